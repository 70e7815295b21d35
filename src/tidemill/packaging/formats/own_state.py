"""Objects of the user's own classes as the state that they give: plain values and arrays, and the name of the class.

A class takes part by having ``get_state()`` and a class method ``from_state(state)``. A file is read into a class that
the reader has named, or that is loaded already and takes part; nothing is imported because a file says so.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.packaging.formats import only_file
from tidemill.packaging.zips import read_zip, write_zip

FILE = "model.state.zip"
_OUTLINE = "state.json"
_allowed: ContextVar[tuple[str, ...]] = ContextVar("tidemill_allowed_classes", default=())


@contextmanager
def allowing(classes: Sequence[str]) -> Iterator[None]:
    """Let files be read into these classes, ``"module:Class"`` each, until the block ends."""
    token = _allowed.set((*_allowed.get(), *classes))
    try:
        yield
    finally:
        _allowed.reset(token)


def save(estimator: Any) -> dict[str, bytes]:
    """The state of an object as an archive of JSON and arrays; equal states have equal bytes.

    Raises
    ------
    ModelError
        When its class cannot be found by its name, or its state holds what is neither plain nor an array.
    """
    kind = type(estimator)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if "<locals>" in name or kind.__module__ == "__main__":
        raise ModelError(
            "a model's class cannot be found by its name in another process",
            value=name,
            hint="Define it at the top of a module that can be imported.",
        )
    arrays: dict[str, bytes] = {}
    outline = {"class": name, "state": _outlined(estimator.get_state(), "state", arrays)}
    text = json.dumps(outline, sort_keys=True, allow_nan=False).encode()
    return {FILE: write_zip({_OUTLINE: text, **arrays})}


def load(files: Mapping[str, bytes]) -> Any:
    """The object, made by its class from its state.

    Raises
    ------
    UnsafeModelError
        For a class that was not allowed, and for a file that is not of this format.
    """
    members = read_zip(only_file(files, FILE))
    try:
        outline = json.loads(members[_OUTLINE])
        name, state = outline["class"], _filled(outline["state"], members)
    except (RecursionError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UnsafeModelError(f"this is not the state of a model: {error!r}", hint="Package it again.") from error
    return _class_of(str(name)).from_state(state)


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]."""
    kind = TASKS[task]
    if not kind.classifies or not callable(getattr(estimator, "predict_proba", None)):
        answer = np.asarray(estimator.predict(matrix), dtype=np.float64)
    else:
        answer = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    if kind.scores == "one":
        return answer[:, -1] if answer.ndim == 2 else answer
    if answer.ndim != 2:
        raise ModelError(
            f"{type(estimator).__name__} gives one number a row where a {task} needs one for each class",
            hint="Give it a predict_proba(X).",
        )
    return answer


def to_onnx(estimator: Any, features: int) -> bytes:
    """What the object's own ``to_onnx(features)`` gives; served so, it needs nobody's class."""
    if not callable(getattr(estimator, "to_onnx", None)):
        raise ModelError(
            f"{type(estimator).__name__} has no to_onnx(features)", hint="It is served by its own class, when allowed."
        )
    return bytes(estimator.to_onnx(features))


def _class_of(name: str) -> Any:
    module, _, path = name.partition(":")
    if name in _allowed.get():
        found: Any = importlib.import_module(module)
    else:
        found = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and all(callable(getattr(found, part, None)) for part in ("get_state", "from_state")):
        return found
    raise UnsafeModelError(
        "the model is of a class that was not allowed",
        value=name,
        hint=f'If you trust it, say so where the model is opened: tm.load(…, allow=["{name}"]), or --allow {name}.',
    )


def _outlined(value: Any, path: str, arrays: dict[str, bytes]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.hasobject is False:
        name, out = f"{len(arrays)}.npy", io.BytesIO()
        np.save(out, np.ascontiguousarray(value), allow_pickle=False)
        arrays[name] = out.getvalue()
        return {"array": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _outlined(item, f"{path}.{key}", arrays) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_outlined(item, f"{path}[{index}]", arrays) for index, item in enumerate(value)]
    raise ModelError(
        f"{path} of the model is neither plain nor an array",
        value=value,
        hint="Let get_state() give numbers, text, lists, mappings with names, and NumPy arrays.",
    )


def _filled(outline: Any, members: Mapping[str, bytes]) -> Any:
    if isinstance(outline, list):
        return [_filled(item, members) for item in outline]
    if not isinstance(outline, dict):
        return outline
    ((kind, content),) = outline.items()
    if kind == "array":
        return np.load(io.BytesIO(members[content]), allow_pickle=False)
    if kind == "float":
        return float(content)
    return {key: _filled(item, members) for key, item in content.items()}
