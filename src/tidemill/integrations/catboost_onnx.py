"""CatBoost's trees as ONNX, symmetric ones unfolded: borders and missing values decide as CatBoost does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.integrations.catboost import loss_of
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph

_SERVED = "It is served by its native engine."

#: Loss -> link of the answer.
_LINKS: Mapping[str, str] = {
    **dict.fromkeys(("Logloss", "CrossEntropy", "MultiClassOneVsAll", "MultiLogloss"), "sigmoid"),
    "MultiClass": "softmax",
    **dict.fromkeys(("Poisson", "Tweedie"), "exp"),
    **dict.fromkeys(("RMSE", "MAE", "Quantile", "MultiQuantile", "Huber", "LogCosh", "MAPE", "Expectile"), "identity"),
    **dict.fromkeys(("YetiRank", "YetiRankPairwise", "PairLogit", "QueryRMSE"), "identity"),
}


def to_onnx(estimator: Any, features: int) -> bytes:
    """The ONNX form of a model that takes `features` columns.

    Raises
    ------
    ModelError
        For categorical, text and embedding features, and for losses whose answer this writer does not know.
    """
    loss = loss_of(estimator)
    if loss not in _LINKS:
        raise ModelError("a loss of CatBoost has no ONNX form here", value=loss, hint=_SERVED)
    model = _written(estimator)
    floats = model["features_info"]["float_features"]
    if set(model["features_info"]) - {"float_features"}:
        raise ModelError("a model with categorical, text or embedding features has no ONNX form here", hint=_SERVED)
    scale, bias = model["scale_and_bias"]
    columns = {
        entry["feature_index"]: (entry["flat_feature_index"], entry["nan_value_treatment"] != "AsTrue")
        for entry in floats
    }
    table, targets = TreeTable(), len(bias)
    for index, tree in enumerate(model.get("oblivious_trees") or model.get("trees") or []):
        table.start_tree()
        root = _unfolded(tree, targets) if "splits" in tree else tree
        _add(table, root, index, columns)
    # The scale is on the trees alone: the bias is added after it.
    table.weight = [weight * scale for weight in table.weight]
    base = tuple(map(float, bias))
    return ensemble_graph(table, targets=targets, features=features, link=_LINKS[loss], base=base)


def _written(estimator: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:  # CatBoost writes JSON to files only
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _unfolded(tree: Mapping[str, Any], targets: int) -> Mapping[str, Any]:
    """A symmetric tree as nested nodes: every node of a level asks the same; the first split is the lowest bit."""
    values = np.asarray(tree["leaf_values"], dtype=np.float64).reshape(-1, targets)
    level: list[Mapping[str, Any]] = [{"value": value.tolist()} for value in values]
    for split in tree["splits"]:
        level = [
            {"split": split, "left": left, "right": right} for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]


def _add(table: TreeTable, root: Mapping[str, Any], index: int, columns: Mapping[int, tuple[int, bool]]) -> None:
    pending: list[tuple[Mapping[str, Any], list[int] | None, int]] = [(root, None, 0)]
    while pending:
        raw, branch, parent = pending.pop()
        if "split" not in raw:
            value: Sequence[float] = raw["value"] if isinstance(raw["value"], list) else [raw["value"]]
            place = table.leaf(index, dict(enumerate(value)))
        else:
            split = raw["split"]
            if split["split_type"] != "FloatFeature":
                raise ModelError("a split on a category has no ONNX form here", hint=_SERVED)
            column, missing = columns[split["float_feature_index"]]
            place = table.add(index, column, "BRANCH_LEQ", float(np.float32(split["border"])), missing=missing)
            pending += [(raw["right"], table.false, place), (raw["left"], table.true, place)]
        if branch is not None:
            branch[parent] = table.node[place]
