"""Models of River as JSON: which of River's own classes, and what is in them; nothing of a file is ever called.

River keeps models with pickle. Their state is plain Python all the same: objects of River with attributes, numbers,
containers, and a few random generators. An object is made without its ``__init__`` and gets its attributes back.
"""

from __future__ import annotations

import base64
import copy
import functools
import importlib
import json
import math
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.integrations.river import Learner, predict
from tidemill.packaging.formats import only_file

__all__ = ["load", "predict", "save"]

FILE = "model.river.json"
FORMAT = 1
#: The parts of River whose classes compute and do nothing else; its data sets and streams read files and the network.
PARTS = (
    "anomaly", "base", "compose", "drift", "ensemble", "feature_extraction", "feature_selection", "forest", "imblearn",
    "linear_model", "metrics", "multiclass", "naive_bayes", "neighbors", "optim", "preprocessing", "proba", "rules",
    "stats", "tree", "utils",
)  # fmt: skip
_VECTOR = "river._river_rust.vectordict:VectorDict"
#: The part of River in Rust: its objects give bytes, which it reads as data.
_RUST = ("river._river_rust.drift", "river._river_rust.stats")
_PAIRS: Mapping[str, type] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
#: Beside River's own: what makes a value that a mapping does not have yet.
_CALLED: Mapping[str, Callable[..., Any]] = {
    called.__name__: called for called in (Counter, copy.deepcopy, defaultdict, dict, float, int, list, set)
}
_FILLED = {"list", "deque", "defaultdict", *_PAIRS}


def save(estimator: Any) -> dict[str, bytes]:
    """The state of a learner; equal learners have equal bytes.

    Raises
    ------
    ModelError
        For a model that holds a function, or an object that is not River's.
    """
    writer = _Writer()
    state = {
        "format": FORMAT,
        "names": list(estimator.names),
        "outputs": estimator.outputs,
        "model": writer.written(estimator.model, "model"),
    }
    return {FILE: json.dumps(state, separators=(",", ":"), allow_nan=False).encode()}


def load(files: Mapping[str, bytes]) -> Any:
    """A `Learner`."""
    try:
        state = json.loads(only_file(files, FILE))
        if state["format"] != FORMAT:
            raise UnsafeModelError("a state of a format that this Tidemill does not read", value=state["format"])
        model = _Reader().read(state["model"])
        return Learner(model, tuple(state["names"]), int(state["outputs"]))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UnsafeModelError(
            f"this is not the state of a model of River: {error!r}", hint="Package it again."
        ) from error


class _Writer:
    """Writes each object once; where it is met again, its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def written(self, value: Any, path: str) -> Any:
        """A value as JSON; `path` is where it is, for messages."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | str | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, tuple):
            return {"tuple": [self.written(item, f"{path}[]") for item in value]}
        if isinstance(value, type | FunctionType | functools.partial):
            return self._called(value, path)
        if id(value) in self._numbers:
            return {"again": self._numbers[id(value)]}
        number = self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)  # an object that is gone would lend its id to another one
        return {"number": number, **(self._container(value, path) or self._object(value, path))}

    def _called(self, value: Any, path: str) -> dict[str, Any]:
        """What makes the values that a mapping does not have yet: River's own, a type of Python, a partial of these."""
        if isinstance(value, functools.partial) and not value.keywords:
            args = [self.written(item, path) for item in value.args]
            return {"partial": self.written(value.func, path), "args": args}
        name = getattr(value, "__name__", "")
        if _CALLED.get(name) is value:
            return {"called": name}
        full = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
        if _is_river(full) and _found(full) is value:
            return {"called": full}
        raise self._refused(value, path)

    def _container(self, value: Any, path: str) -> dict[str, Any] | None:
        kind = type(value)
        if kind is list or kind is deque:
            items = [self.written(item, f"{path}[]") for item in value]
            return {"list": items} if kind is list else {"deque": items, "most": value.maxlen}
        if kind is set or kind is frozenset:
            ordered = sorted(value, key=lambda item: (type(item).__name__, repr(item)))
            return {kind.__name__: [self.written(item, f"{path}{{}}") for item in ordered]}
        if kind is defaultdict:
            return {"defaultdict": self._pairs(value, path), "factory": self.written(value.default_factory, path)}
        if kind in _PAIRS.values():
            return {kind.__name__: self._pairs(value, path)}
        if kind is np.ndarray and value.dtype.kind in "fiub":
            return {"array": value.ravel().tolist(), "shape": list(value.shape), "of": value.dtype.str}
        return {"random": self.written(value.getstate(), path)} if kind is random.Random else None

    def _object(self, value: Any, path: str) -> dict[str, Any]:
        kind = type(value)
        name = f"{kind.__module__}:{kind.__qualname__}"
        if name == _VECTOR:
            pairs, *rest = value.__reduce__()[1]
            if any(part is not None for part in rest[:2]):
                raise self._refused(value, path)
            return {"vector": self._pairs(pairs, path), "rest": list(rest[2:])}
        if kind.__module__ in _RUST:
            _, (_, *args), state = value.__reduce_ex__(4)[:3]
            return {"rust": name, "args": args, "state": base64.b64encode(state).decode()}
        if not _is_river(name):
            raise self._refused(value, path)
        held = {key: _reproducible(value, item) for key, item in _attributes(value).items()}
        return {"object": name, "state": [[key, self.written(item, f"{path}.{key}")] for key, item in held.items()]}

    def _pairs(self, value: Mapping[Any, Any], path: str) -> list[Any]:
        return [[self.written(key, path), self.written(item, f"{path}.{key}")] for key, item in value.items()]

    def _refused(self, value: Any, path: str) -> ModelError:
        return ModelError(
            f"{path} of the model is neither plain nor one of River's own objects",
            value=value,
            hint="Let it hold no functions of yours: Select and transformers of River instead of a lambda.",
        )


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds, in ``__dict__`` and in slots."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**found, **getattr(value, "__dict__", {})}


def _reproducible(owner: Any, value: Any) -> Any:
    """A generator that nobody seeded is another one each time: it is written as a new one with a seed."""
    if isinstance(value, random.Random) and getattr(owner, "seed", 0) is None:
        return random.Random(0)
    return value


class _Reader:
    """Makes the objects of a file, each once."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def read(self, node: Any) -> Any:
        """The value of a node."""
        if not isinstance(node, dict):
            return node
        if "float" in node:
            return float(node["float"])
        if "tuple" in node:
            return tuple(self.read(item) for item in node["tuple"])
        if "again" in node:
            return self._made[node["again"]]
        if "called" in node:
            return _CALLED[node["called"]] if node["called"] in _CALLED else _found(node["called"])
        if "partial" in node:
            return functools.partial(self.read(node["partial"]), *(self.read(item) for item in node["args"]))
        if "object" in node:
            kind = _found(node["object"])
            made = self._made[node["number"]] = object.__new__(kind)
            for name, item in node["state"]:
                object.__setattr__(made, name, self.read(item))
            return made
        return self._container(node) if _FILLED & set(node) else self._special(node)

    def _container(self, node: dict[str, Any]) -> Any:
        """A container, known before it is filled: what is in it may point back to it."""
        made: Any
        (kind,) = _FILLED & set(node)
        if kind in ("list", "deque"):
            made = self._made[node["number"]] = [] if kind == "list" else deque(maxlen=node["most"])
            made.extend(self.read(item) for item in node[kind])
            return made
        made = defaultdict(self.read(node["factory"])) if kind == "defaultdict" else _PAIRS[kind]()
        self._made[node["number"]] = made
        for key, item in node[kind]:
            made[self.read(key)] = self.read(item)
        return made

    def _special(self, node: dict[str, Any]) -> Any:
        made: Any
        if "random" in node:
            made = random.Random()
            made.setstate(self.read(node["random"]))
        elif "array" in node:
            made = np.array(node["array"], dtype=node["of"]).reshape(node["shape"])
        elif "vector" in node:
            pairs = {self.read(key): self.read(item) for key, item in node["vector"]}
            made = _rust(_VECTOR)(pairs, None, None, *node["rest"])
        elif "rust" in node:
            made = _rust(node["rust"])(*node["args"])
            made.__setstate__(base64.b64decode(node["state"]))
        else:
            made = (set if "set" in node else frozenset)(
                self.read(item) for item in node["set" if "set" in node else "frozenset"]
            )
        self._made[node["number"]] = made
        return made


def _is_river(name: str) -> bool:
    library, _, rest = name.partition(".")
    return library == "river" and rest.partition(":")[0].partition(".")[0] in PARTS


def _found(name: str) -> Any:
    """A class or a function of River by its name, if it is of the parts that are read."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module) if _is_river(name) else None
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type | FunctionType) or found.__module__ != module:
        raise UnsafeModelError(
            "a state names what is not one of River's own models", value=name, hint="Package the model again."
        )
    return found


def _rust(name: str) -> Any:
    module, _, path = name.partition(":")
    if (module not in _RUST and name != _VECTOR) or not path.isidentifier():
        raise UnsafeModelError("a state names a strange type", value=name, hint="Package the model again.")
    return getattr(importlib.import_module(module), path)
