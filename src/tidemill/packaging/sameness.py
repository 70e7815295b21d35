"""Whether two models are the same, and if not, the first thing in which they differ and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import shorten
from tidemill.core.model import Model
from tidemill.packaging.package import Package, describe, native_package

_MISSING = "(nothing)"

#: Places in a model's record, in the order in which one explains those after it, and what a difference there means.
_CAUSES: tuple[tuple[str, str], ...] = (
    ("metadata.split", "they were trained on other rows, or rows split otherwise"),
    ("metadata.rows", "they were trained on another number of rows"),
    ("params", "they have other hyperparameters"),
    ("metadata.seed", "they were trained with another seed"),
    ("metadata.threads", "sums of several threads are added in another order"),
    ("metadata.class_weight", "classes counted otherwise"),
    ("metadata.weights", "rows were weighted otherwise"),
    ("metadata.recipe", "their features were made otherwise"),
    ("metadata.versions", "another version of a library can give another model"),
    ("signature.inputs", "their inputs differ, or the values that these had in training"),
    ("signature", "they answer another question, or decide otherwise"),
    ("cleaning", "other repairs were learned"),
    ("encoding", "rows become other numbers"),
    ("contract", "they ask other things of a row"),
    ("framework", "they come from different libraries"),
)
_LAST = (
    "all that was recorded of their training is the same, and the estimators differ: the library does not repeat "
    "itself, or build draws a seed or reads something of its own"
)


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two models are the same.

    Parameters
    ----------
    where
        The first place in which they differ; empty if they are the same.
    left, right
        What is there, shortened.
    why
        What that means.
    """

    where: str = ""
    left: str = ""
    right: str = ""
    why: str = ""

    @property
    def same(self) -> bool:
        """Whether they answer every row alike, as far as their bytes say."""
        return not self.where

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        if self.same:
            return "the models are the same"
        return f"{self.where} differs: {self.left} and {self.right}; {self.why}"


def same_model(left: Model | Package, right: Model | Package) -> Sameness:
    """Compare two models: what they were trained on and with, what was learned beside the estimator, and its bytes.

    Their names, and how long their training took, do not matter.

    Parameters
    ----------
    left, right
        Trained models, or their packages.

    Returns
    -------
    Sameness
        True or false by itself; its text says the first difference and what it means.

    Raises
    ------
    UnsafeModelError
        When an estimator has no safe format, and so no bytes to compare.

    Examples
    --------
    >>> print(Sameness("metadata.seed", "0", "1", "they were trained with another seed"))
    metadata.seed differs: 0 and 1; they were trained with another seed
    """
    one, other = (model if isinstance(model, Package) else native_package(model) for model in (left, right))
    mine, theirs = _record(one, left), _record(other, right)
    for place, why in _CAUSES:
        found = _difference(*_comparable(_at(mine, place), _at(theirs, place), place), place)
        if found is not None:
            return Sameness(*found, why)
    for place in ("files", "calibration", "metrics", "profile"):
        found = _difference(_at(mine, place), _at(theirs, place), place)
        if found is not None:
            return Sameness(*found, _LAST)
    return Sameness()


def _record(package: Package, given: Model | Package) -> dict[str, Any]:
    record = dict(package.manifest) if isinstance(given, Package) else describe(given)
    native = {name: digest_bytes(data) for name, data in package.files.items() if not name.endswith(".onnx")}
    return {**record, "files": native}


def _at(record: Mapping[str, Any], place: str) -> Any:
    found: Any = record
    for key in place.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return _MISSING
        found = found[key]
    return found


def _comparable(left: Any, right: Any, place: str) -> tuple[Any, Any]:
    """Versions are recorded of what a process had loaded; what only one had, for whatever else, made neither model."""
    if place != "metadata.versions" or not isinstance(left, Mapping) or not isinstance(right, Mapping):
        return left, right
    shared = left.keys() & right.keys()
    return {name: left[name] for name in shared}, {name: right[name] for name in shared}


def _difference(left: Any, right: Any, place: str) -> tuple[str, str, str] | None:
    """The first place below this one in which two values differ, and what is there on both sides."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted({*left, *right}, key=str):
            found = _difference(left.get(key, _MISSING), right.get(key, _MISSING), f"{place}.{key}")
            if found is not None:
                return found
        return None
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for index, (mine, theirs) in enumerate(zip(left, right, strict=True)):
            found = _difference(mine, theirs, f"{place}[{index}]")
            if found is not None:
                return found
        return None
    return None if left == right else (place, shorten(left), shorten(right))
