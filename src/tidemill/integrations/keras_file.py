"""Keras models as ``.keras`` files: the same bytes for the same model, and nothing in them but layers of Keras."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.integrations.keras_backend import keras
from tidemill.packaging.formats import only_file
from tidemill.packaging.zips import read_zip, write_zip

FILE = "model.keras"
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
#: Layers that run what the file says.
_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
_NUMBER = re.compile(r"_\d+$")


def save(estimator: Any) -> dict[str, bytes]:
    """The model without its optimizer; layers are numbered anew, so that equal models have equal bytes.

    Raises
    ------
    ModelError
        When it could not be read again: layers of the user's own, or a Lambda.
    """
    described = keras.saving.serialize_keras_object(estimator)
    described.pop("compile_config", None)
    _refuse_code(described, ModelError)
    try:
        model = keras.saving.deserialize_keras_object(_renamed(described), safe_mode=True)
        model.set_weights(estimator.get_weights())
    except (ValueError, TypeError) as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"Keras cannot write the model: {said}", hint="Use layers of Keras alone.") from error
    with tempfile.TemporaryDirectory() as folder:  # Keras writes to files only
        path = Path(folder) / FILE
        model.save(path)
        members = read_zip(path.read_bytes())
    metadata = {**json.loads(members["metadata.json"]), "date_saved": ""}
    config = _without_addresses(json.loads(members["config.json"]), {})
    plain = {"metadata.json": metadata, "config.json": config}
    written = {name: json.dumps(value, sort_keys=True).encode() for name, value in plain.items()}
    return {FILE: write_zip({**members, **written})}


def load(files: Mapping[str, bytes]) -> Any:
    """A `keras.Model`, not compiled.

    Raises
    ------
    UnsafeModelError
        For a file that names what is not Keras's own, runs code, or links to another file.
    """
    data = only_file(files, FILE)
    members = read_zip(data)
    if set(members) != _MEMBERS:
        raise UnsafeModelError("this is not a .keras file of a model", value=sorted(members), hint="Package it again.")
    try:
        _refuse_code(json.loads(members["config.json"]), UnsafeModelError)
        _refuse_links(members["model.weights.h5"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            path.write_bytes(data)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, AttributeError, RuntimeError, MemoryError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnsafeModelError(f"Keras cannot read {FILE}: {said}", hint="Package the model again.") from error


def _refuse_code(node: Any, kind: type[ModelError]) -> None:
    """Every object that a configuration describes must be one of Keras's own that runs no code of the file."""
    for entry in _entries(node):
        module, name = entry.get("module"), entry["class_name"]
        own = isinstance(module, str) and (module == "keras" or module.startswith("keras."))
        if not own or name in _CODE or entry.get("registered_name") not in (None, name):
            raise kind(
                "a Keras model holds what is not a layer of Keras, or runs code",
                value=f"{module}.{name}",
                hint="Use layers of Keras alone, and no Lambda: they are read without anybody's code.",
            )


def _entries(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "class_name" in node and node["class_name"] not in ("__tuple__", "__keras_tensor__", "__tensor__"):
            yield node
        for item in node.values():
            yield from _entries(item)
    elif isinstance(node, list):
        for item in node:
            yield from _entries(item)


def _refuse_links(data: bytes) -> None:
    """HDF5 can point to other files; a weight is in the file itself."""
    with h5py.File(io.BytesIO(data), "r") as file:
        pending = [file]
        while pending:
            group = pending.pop()
            for name in group:
                link, item = group.get(name, getlink=True), group.get(name)
                outside = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
                if not isinstance(link, h5py.HardLink) or outside:
                    raise UnsafeModelError("the weights point to another file", value=name, hint="Package it again.")
                if isinstance(item, h5py.Group):
                    pending.append(item)


def _renamed(node: Any) -> Any:
    """Layers by what they are and their place: Keras numbers them through the life of a process."""
    names: dict[str, str] = {}
    taken: dict[str, int] = {}
    for entry in _entries(node):
        name = entry.get("config", {}).get("name") if isinstance(entry.get("config"), dict) else None
        if isinstance(name, str) and entry["class_name"] != "DTypePolicy" and name not in names:
            stem = _NUMBER.sub("", name)
            count = taken[stem] = taken.get(stem, -1) + 1
            names[name] = f"{stem}_{count}" if count else stem
    return _replaced(node, names)


def _replaced(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return names.get(node, node)
    if isinstance(node, dict):
        return {key: _replaced(item, names) for key, item in node.items()}
    return [_replaced(item, names) for item in node] if isinstance(node, list) else node


def _without_addresses(node: Any, numbers: dict[int, int]) -> Any:
    """Shared objects are numbered by their place instead of by where they were in memory."""
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(item, len(numbers))
            if key == "shared_object_id"
            else _without_addresses(item, numbers)
            for key, item in node.items()
        }
    return [_without_addresses(item, numbers) for item in node] if isinstance(node, list) else node
