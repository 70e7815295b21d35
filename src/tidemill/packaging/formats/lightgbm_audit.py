"""Whether a LightGBM text can be read: LightGBM follows its numbers, and ends the process where they lead astray.

A text that was cut or changed by hand makes LightGBM abort, walk in a circle or read any memory of the process. What
LightGBM writes has as many trees as its head says, each as long as said there, with splits that point forwards only, at
nodes, features and sets of categories that are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError

_AGAIN = "The file was cut, damaged or made by hand: package the model again from where it was trained."
_END = b"end of trees\n"
#: LightGBM takes a parameter apart without looking whether it has both parts.
_PARAMETER = re.compile(rb"\[[a-z0-9_]+: [^\n]*\]")
_NUMBERS = re.compile(rb"[-+.0-9einfa ]*")
_PER_SPLIT = "split_feature threshold decision_type left_child right_child".split()
_PER_SPLIT_TOLD = "split_gain internal_value internal_weight internal_count".split()
_PER_LEAF_TOLD = "leaf_weight leaf_count".split()
_OF_CATEGORIES = "cat_boundaries cat_threshold".split()
_LINEAR = "leaf_const num_features leaf_features leaf_coeff".split()
_SINGLE = "num_leaves num_cat is_linear shrinkage".split()
_KNOWN = {"leaf_value", *_PER_SPLIT, *_PER_SPLIT_TOLD, *_PER_LEAF_TOLD, *_OF_CATEGORIES, *_LINEAR, *_SINGLE}
_WHOLE = {"num_leaves", "num_cat", "is_linear", "split_feature", "decision_type", "left_child", "right_child"}
_WHOLE |= {*_OF_CATEGORIES, "num_features", "leaf_features"}
#: Bit of a node's ``decision_type``; the highest that LightGBM writes is 3 + (2 << 2).
_IS_CATEGORY, _DECISIONS = 1, 12

_Tree = dict[str, NDArray[Any]]


def audit(text: bytes) -> None:
    """Refuse what LightGBM would not write.

    Raises
    ------
    UnsafeModelError
        It says what is wrong, and in which tree.
    """
    start = text.find(b"\nTree=") + 1
    if not text.startswith(b"tree\n") or not start:
        raise UnsafeModelError("this is not a LightGBM text model", value=text[:40], hint="Package the model again.")
    try:
        if b"\r" in text or b"\0" in text:
            raise _Wrong("it holds characters that end a line")
        features, sizes = _head(text[:start])
        for index, size in enumerate(sizes):
            _check_tree(_tree(text[start : start + size], index), features, f"tree {index}")
            start += size
        if not text.startswith(_END, start):
            raise _Wrong("the trees do not end where its head says")
        _check_parameters(text[start + len(_END) :])
    except _Wrong as wrong:
        raise UnsafeModelError(f"a LightGBM model was not written by LightGBM: {wrong}", hint=_AGAIN) from None


class _Wrong(Exception):
    """What is wrong with a text."""


def _head(text: bytes) -> tuple[int, list[int]]:
    """How many features there are, and how many bytes each tree has."""
    entries = _entries(text, "its head")
    try:
        classes, per_round, last = (
            _count(entries[name]) for name in ("num_class", "num_tree_per_iteration", "max_feature_idx")
        )
        sizes = [_count(size) for size in entries["tree_sizes"].split(b" ")]
    except KeyError as missing:
        raise _Wrong(f"its head does not say {missing}") from None
    if classes < 1 or per_round != classes or len(sizes) % classes:
        raise _Wrong(f"{len(sizes)} trees, {per_round} in each round, are not for {classes} classes")
    for option in entries.get("objective", b"").split():
        if option.startswith(b"num_class") and option != b"num_class:%d" % classes:
            raise _Wrong(f"its objective is of other classes than its {classes}")
    return last + 1, sizes


def _tree(block: bytes, index: int) -> _Tree:
    """The numbers of a tree by name."""
    said, empty, _ = block.partition(b"\n\n")
    first, _, lines = said.partition(b"\n")
    if first != b"Tree=%d" % index or not empty:
        raise _Wrong(f"tree {index} is not where its head says")
    found = {}
    for name, value in _entries(lines, f"tree {index}").items():
        if name not in _KNOWN or not _NUMBERS.fullmatch(value):
            raise _Wrong(f"tree {index} has a strange {name!r}")
        try:
            found[name] = np.array(value.split(), dtype=np.int64 if name in _WHOLE else np.float64)
        except (ValueError, OverflowError):
            raise _Wrong(f"{name} of tree {index} are not numbers") from None
    return found


def _check_tree(tree: _Tree, features: int, where: str) -> None:
    """Refuse a tree with an index that leads out of it."""
    leaves, sets, linear = (_single(tree, name, where) for name in ("num_leaves", "num_cat", "is_linear"))
    if leaves < 1 or linear not in (0, 1):
        raise _Wrong(f"{where} has {leaves} leaves")
    lengths = {"leaf_value": leaves, **dict.fromkeys(_PER_SPLIT, leaves - 1)}
    told = {**dict.fromkeys(_PER_LEAF_TOLD, leaves), **dict.fromkeys(_PER_SPLIT_TOLD, leaves - 1)}
    if leaves == 1:  # LightGBM writes these empty, and leaves them out of older texts
        lengths, told = {"leaf_value": 1}, {}
    lengths |= {name: length for name, length in told.items() if name in tree}
    if linear:
        lengths |= {"leaf_const": leaves, "num_features": leaves}
    for name, length in lengths.items():
        if name not in tree or len(tree[name]) != length:
            raise _Wrong(f"{where} of {leaves} leaves has not {length} of {name}")
    if leaves > 1:
        _check_splits(tree, leaves, sets, features, where)
    if linear:
        _check_linear(tree, features, where)


def _check_splits(tree: _Tree, leaves: int, sets: int, features: int, where: str) -> None:
    place = np.arange(leaves - 1)
    for children in (tree["left_child"], tree["right_child"]):
        if ((children >= 0) & (children <= place)).any():
            raise _Wrong(f"a node of {where} leads back")
        if _outside(np.where(children < 0, ~children, 0), leaves) or (children >= leaves - 1).any():
            raise _Wrong(f"a node of {where} leads to one that is not there")
    if _outside(tree["split_feature"], features):
        raise _Wrong(f"a node of {where} asks for a feature that is not there")
    if _outside(tree["decision_type"], _DECISIONS):
        raise _Wrong(f"a node of {where} decides in a way that is not known")
    by_category = tree["decision_type"] & _IS_CATEGORY > 0
    if not sets and not by_category.any():
        return
    bounds, words = (tree.get(name, np.array([], dtype=np.int64)) for name in _OF_CATEGORIES)
    if len(bounds) != sets + 1 or bounds[0] != 0 or bounds[-1] != len(words) or (np.diff(bounds) < 0).any():
        raise _Wrong(f"the sets of categories of {where} do not agree")
    asked = tree["threshold"][by_category]
    if not ((asked >= 0) & (asked < sets)).all() or _outside(words, 2**32):
        raise _Wrong(f"a node of {where} asks for a set of categories that is not there")


def _check_linear(tree: _Tree, features: int, where: str) -> None:
    counts = tree["num_features"]
    used, factors = (tree.get(name, np.array([], dtype=np.int64)) for name in ("leaf_features", "leaf_coeff"))
    if (counts < 0).any() or not counts.sum() == len(used) == len(factors):
        raise _Wrong(f"the linear models of {where} have other features than factors")
    if _outside(used, features):
        raise _Wrong(f"a linear model of {where} asks for a feature that is not there")


def _check_parameters(text: bytes) -> None:
    """Refuse parameters of training that are cut."""
    lines = iter(text.split(b"\n"))
    for line in lines:
        if line == b"parameters:":
            for entry in lines:
                if entry == b"end of parameters":
                    return
                if entry and not _PARAMETER.fullmatch(entry):
                    break
            raise _Wrong("its parameters are cut")


def _entries(text: bytes, where: str) -> Mapping[str, bytes]:
    """The lines by name; of two with one name LightGBM takes the last."""
    found: dict[str, bytes] = {}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b"=")
        if line and found.setdefault(name.decode("latin-1"), value) is not value:
            raise _Wrong(f"{where} says {name!r} twice")
    return found


def _single(tree: _Tree, name: str, where: str) -> int:
    numbers = tree.get(name, np.array([0]))
    if len(numbers) != 1 or not 0 <= numbers[0] < 2**31:
        raise _Wrong(f"{where} has a strange {name!r}")
    return int(numbers[0])


def _count(text: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,10}", text) or int(text) >= 2**31 - 1:
        raise _Wrong(f"its head counts {text[:40]!r}")
    return int(text)


def _outside(indices: NDArray[Any], size: int) -> bool:
    return bool(((indices < 0) | (indices >= size)).any())
