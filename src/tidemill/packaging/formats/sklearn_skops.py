"""scikit-learn estimators as skops files, read through an allow-list."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.packaging.formats import only_file
from tidemill.packaging.formats.sklearn_indices import check_indices
from tidemill.packaging.formats.skops_audit import ALLOWED, audit
from tidemill.packaging.zips import read_zip, write_zip
from tidemill.training.frameworks import generic

FILE = "model.skops"
_AGAIN = "Package the model again."
#: An estimator has one of these.
_ANSWERS = ("predict", "decision_function", "score_samples")


def save(estimator: Any) -> dict[str, bytes]:
    """A skops file; types outside the allow-list are refused now rather than when it is served.

    Raises
    ------
    UnsafeModelError
        For an estimator with types that `load` would refuse.
    """
    raw = skops.io.dumps(estimator)
    _refuse_foreign(raw)
    return {FILE: _canonical(raw)}


def load(files: Mapping[str, bytes]) -> Any:
    """The estimator.

    Raises
    ------
    UnsafeModelError
        If the file names a type outside the allow-list or a way to rebuild one, holds a tree that points out of itself,
        holds no estimator, or is no skops file.
    """
    raw = only_file(files, FILE)
    trusted = _refuse_foreign(raw)
    try:
        estimator = skops.io.loads(raw, trusted=trusted)
        check_indices(estimator)
    except UnsafeModelError:
        raise
    except Exception as error:  # what a file of a stranger makes scikit-learn and NumPy raise is anybody's guess
        raise UnsafeModelError(
            f"the skops file cannot be rebuilt: {type(error).__name__}: {error}", hint=_AGAIN
        ) from error
    if not any(callable(getattr(estimator, name, None)) for name in _ANSWERS):
        raise UnsafeModelError("the skops file holds no estimator", value=type(estimator).__name__, hint=_AGAIN)
    return estimator


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values, scores or probabilities of the positive class, or [n, outputs], as the task has it."""
    if task == "anomaly":
        return generic.strangeness(estimator, matrix)
    if not TASKS[task].classifies or (task == "binary" and not hasattr(estimator, "predict_proba")):
        return np.asarray(estimator.predict(matrix), dtype=np.float64)
    scores = generic.probabilities(estimator, matrix)
    return scores[:, 1] if task == "binary" else scores


def _refuse_foreign(raw: bytes) -> list[str]:
    """The types in a file beyond those that skops trusts, when all of them are allowed."""
    try:
        audit(read_zip(raw))
        unknown = skops.io.get_untrusted_types(data=raw)
    except UnsafeModelError:
        raise
    except Exception as error:  # as above
        raise UnsafeModelError(f"this is not a skops file: {error}", hint=_AGAIN) from error
    foreign = [name for name in unknown if name not in ALLOWED]
    if foreign:
        raise UnsafeModelError(
            "the estimator holds types that are not on the allow-list",
            value=foreign,
            hint="Use scikit-learn's own estimators, or register a format for yours.",
        )
    return list(unknown)


def _canonical(raw: bytes) -> bytes:
    """The same file without moments and memory addresses: equal estimators give equal bytes."""
    members = read_zip(raw)
    schema = json.loads(members["schema.json"])
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, numbers, names)
    out = {names[name]: _without_padding(data) for name, data in members.items() if name in names}
    out |= {name: data for name, data in members.items() if name not in names and name != "schema.json"}
    return write_zip({**out, "schema.json": json.dumps(schema).encode()})


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, numbers, names)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        # Whether two equal plain values are one object is chance, and nothing refers to them.
        shared = node.get("__loader__") != "JsonNode"
        fresh = len(numbers) + 1
        key = node["__id__"] if shared else -fresh
        node["__id__"] = numbers.setdefault(key, fresh)
    if isinstance(node.get("file"), str):
        stem, _, suffix = node["file"].rpartition(".")
        if stem.isdigit():
            names[node["file"]] = names.get(node["file"], f"{len(names)}.{suffix}")
            node["file"] = names[node["file"]]
    for key in node:
        _renumber(node[key], numbers, names)


def _without_padding(data: bytes) -> bytes:
    """A .npy file whose structured records have zeros between their fields instead of what memory held."""
    if data[:6] != b"\x93NUMPY":
        return data
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros_like(array)
    clean.view(np.uint8)[...] = 0
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()
