"""LightGBM's text format as an ONNX graph; the text is read as arrays, since a tree is too many nodes to walk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph

_ZERO = float(np.float32(1e-35))
#: Bits of a node's ``decision_type``; what is missing is in the two bits above them.
_IS_CATEGORY, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_MISSING_IS_ZERO, _MISSING_IS_NAN = 1, 2


def lightgbm_to_onnx(text: str) -> bytes:
    """The ONNX model of a LightGBM model.

    Parameters
    ----------
    text
        What `lightgbm.Booster.model_to_string` gives.

    Raises
    ------
    ModelError
        For linear trees, ``zero_as_missing`` splits and objectives whose answer this writer does not know.
    """
    head, *blocks = text.split("\nTree=")
    told = dict(_entries(head))
    targets = int(told["num_tree_per_iteration"])
    link, scale = _link(told.get("objective", ""))
    if "average_output" in head.splitlines():
        scale /= max(len(blocks) // targets, 1)
    table = TreeTable()
    for index, block in enumerate(blocks):
        table.start_tree()
        _add_tree(table, dict(_entries(block.partition("\n\n")[0])), index, index % targets)
    features = int(told["max_feature_idx"]) + 1
    return ensemble_graph(table, targets=targets, features=features, link=link, scale=scale)


def _entries(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name, value


def _link(objective: str) -> tuple[str, float]:
    name, *options = objective.split() or [""]
    if "sqrt" in options:
        raise ModelError("reg_sqrt has no ONNX form here", value=objective, hint="Train without reg_sqrt.")
    sigmoid = next((float(option[8:]) for option in options if option.startswith("sigmoid:")), 1.0)
    links = {
        "binary": ("sigmoid", sigmoid),
        "cross_entropy": ("sigmoid", 1.0),
        "multiclassova": ("sigmoid", sigmoid),
        "multiclass": ("softmax", 1.0),
        **dict.fromkeys(("poisson", "gamma", "tweedie"), ("exp", 1.0)),
        **dict.fromkeys(
            ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank"), ("identity", 1.0)
        ),
    }
    if name not in links:
        raise ModelError(
            "a LightGBM objective has no ONNX form here", value=objective, hint=f"Known: {', '.join(links)}."
        )
    return links[name]


def _add_tree(table: TreeTable, tree: dict[str, str], index: int, target: int) -> None:
    """Add a tree: its splits, each as many nodes as it has categories or one, and then its leaves."""
    if tree.get("is_linear", "0") != "0":
        raise ModelError("linear trees have no ONNX form here", hint="Train with linear_tree=False.")
    leaves = _floats(tree["leaf_value"])
    if int(tree["num_leaves"]) > 1:
        thresholds, missing, sets = _splits(tree)
        widths = np.array([len(values) for values in sets]) if sets else np.ones(len(thresholds), dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(widths)])  # the number of each split's first node
        splits, total = np.repeat(np.arange(len(widths)), widths), int(first[-1])

        def nodes_of(children: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.where(children >= 0, first[np.maximum(children, 0)], total + ~children)

        otherwise = np.arange(1, total + 1)  # of a set of categories the next one is asked, and then
        otherwise[first[1:] - 1] = nodes_of(_integers(tree["right_child"]))
        is_set = _integers(tree["decision_type"])[splits] & _IS_CATEGORY > 0
        table.add_all(
            index,
            _integers(tree["split_feature"])[splits],
            ["BRANCH_EQ" if one else "BRANCH_LEQ" for one in is_set.tolist()] if sets else ["BRANCH_LEQ"] * total,
            np.concatenate(sets) if sets else thresholds,
            (nodes_of(_integers(tree["left_child"]))[splits], otherwise),
            missing[splits],
        )
    table.add_leaves(index, target, leaves)


def _splits(tree: dict[str, str]) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Thresholds, whether what is missing goes left, and what each split compares with where one has categories."""
    kinds, thresholds = _integers(tree["decision_type"]), _floats(tree["threshold"])
    categories = kinds & _IS_CATEGORY > 0
    how = kinds >> _MISSING_SHIFT
    if (how[~categories] == _MISSING_IS_ZERO).any():
        raise ModelError(
            "splits that treat zero as missing have no ONNX form here", hint="Train with zero_as_missing=False."
        )
    tiny = (np.abs(thresholds) <= _ZERO) & ~categories  # LightGBM predicts with such small values read as zero
    compared = np.where(tiny, np.where(thresholds >= 0, _ZERO, np.nextafter(-_ZERO, -1.0)), thresholds)
    # Without missing values in training LightGBM reads a missing one as zero.
    missing = np.where(how == _MISSING_IS_NAN, kinds & _DEFAULT_LEFT > 0, compared >= 0.0) & ~categories
    if not categories.any():
        return compared, missing, []
    bounds, words = _integers(tree["cat_boundaries"]), _integers(tree["cat_threshold"]).astype("<u4")
    sets = [
        _members(words[bounds[int(value)] : bounds[int(value) + 1]]) if category else np.array([value])
        for value, category in zip(compared.tolist(), categories.tolist(), strict=True)
    ]
    return compared, missing, sets


def _members(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The categories whose bits are set; where there are none, what equals nothing."""
    found = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
    return found.astype(np.float64) if len(found) else np.array([np.nan])


def _integers(text: str) -> NDArray[np.int64]:
    return np.fromstring(text, dtype=np.int64, sep=" ")


def _floats(text: str) -> NDArray[np.float64]:
    return np.fromstring(text, dtype=np.float64, sep=" ")
