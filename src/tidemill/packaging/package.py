"""A model as a folder: ``model.json``, the native file in a safe format, and the ONNX file; read only when it is whole.

``model.json`` holds everything a prediction depends on and the digest of every other file, so its digest identifies the
folder. How long the training took is left out of the digest: equal models have equal digests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.core.digests import canonical_json, digest_bytes
from tidemill.core.errors import ModelError, TidemillError, UnsafeModelError, UsageError
from tidemill.core.model import Model, Signature
from tidemill.core.schema import Column
from tidemill.core.tasks import TASKS
from tidemill.design.requirements import Moment
from tidemill.packaging.formats import native_format

FORMAT = 1
MANIFEST = "model.json"
ONNX_FILE = "model.onnx"
#: What a manifest says because of how long something took: never the same twice.
_TIMED = ("measured", "engines")

#: The fields of ``model.json``: those that every folder has, and those that it has if it was measured or checked.
_NEEDED: Mapping[str, type] = {
    "format": int, "name": str, "framework": str, "signature": dict, "encoding": list, "cleaning": list, "files": dict,
}  # fmt: skip
_OPTIONAL: Mapping[str, type] = {
    "calibration": dict, "contract": dict, "engines": dict, "example": dict, "measured": dict, "metadata": dict,
    "metrics": dict, "params": dict, "parity": dict, "profile": dict, "takes_missing": bool, "versions": dict,
}  # fmt: skip
#: A manifest of thousands of features with a thousand categories each has 30 MB.
_LARGEST = 256 << 20

_PICKLES = (".pkl", ".pickle", ".joblib", ".p", ".dill", ".cloudpickle")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Package:
    """A model in its serving formats, verified.

    Parameters
    ----------
    manifest
        What ``model.json`` says: ``name``, ``framework``, ``signature``, ``encoding``, ``cleaning``, ``profile``,
        ``contract``, ``params``, ``metrics``, ``metadata``, ``versions``, ``files``; and, on a package that was
        measured, ``engines``, ``parity``, ``measured``, ``example``.
    files
        The other files by name.
    """

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """What the registry calls the model."""
        return str(self.manifest["name"])

    @property
    def framework(self) -> str:
        """Who made the estimator."""
        return str(self.manifest["framework"])

    @property
    def signature(self) -> Signature:
        """Inputs, task, target and classes."""
        return Signature.from_dict(self.manifest["signature"])

    @property
    def contract(self) -> Mapping[str, Any]:
        """What a request must keep beside the signature: ``name``, ``checks``, ``not_enforced``; empty if nothing."""
        contract: Mapping[str, Any] = self.manifest.get("contract", {})
        return contract

    @property
    def calibration(self) -> Mapping[str, Any]:
        """How the estimator's probabilities become those of the model; empty if they are taken as they are."""
        calibration: Mapping[str, Any] = self.manifest.get("calibration", {})
        return calibration

    @property
    def digest(self) -> str:
        """SHA-256 of what ``model.json`` says, the digests of the files included and all that was timed left out."""
        return manifest_digest(self.manifest)

    @property
    def moment(self) -> Moment:
        """The moment of the model's life at which its metrics were measured, for the gate."""
        return "package"

    @property
    def metrics(self) -> dict[str, float]:
        """What requirements can be checked against at the moment ``package``; empty if it was not measured.

        ``latency_p50_ms``, ``latency_p99_ms`` of one row in the online engine, ``rows_per_s`` of the batch engine,
        ``size_mb``, ``parity_max_difference``.
        """
        return dict(self.manifest.get("measured", {}).get("metrics", {}))

    def __repr__(self) -> str:
        return f"Package({self.name!r}, {self.framework}, files={sorted(self.files)}, digest={self.digest[:12]!r})"

    def members(self) -> dict[str, bytes]:
        """Every file of the folder by name, ``model.json`` first."""
        text = json.dumps(self.manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return {MANIFEST: f"{text}\n".encode(), **self.files}

    def write(self, folder: str | Path) -> Path:
        """Write the folder, which must be new or empty; returns its path."""
        path = Path(folder)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError("a package is written to a new or empty folder", value=str(path), hint="Choose another.")
        path.mkdir(parents=True, exist_ok=True)
        for name, data in self.members().items():
            (path / name).write_bytes(data)
        return path


def describe(model: Model) -> dict[str, Any]:
    """The part of ``model.json`` that is the model's own: no moment, no measurement, no machine."""
    return {
        "format": FORMAT,
        "name": model.name,
        "framework": model.framework,
        "signature": plain(model.signature.to_dict(), "signature"),
        **{
            part: plain(getattr(model, part), part)
            for part in ("encoding", "cleaning", "profile", "params", "metrics", "metadata")
        },
        # Only where there is one: a model without is the folder that it always was.
        **({"contract": plain(model.contract, "contract")} if model.contract else {}),
        **({"calibration": plain(model.calibration, "calibration")} if model.calibration else {}),
    }


def native_package(model: Model) -> Package:
    """The folder of a model in its native format only."""
    files = native_format(model.framework).save(model.estimator)
    return Package({**describe(model), "files": file_table(files)}, files)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of a manifest; see `Package.digest`."""
    kept = {key: value for key, value in manifest.items() if key not in _TIMED}
    kept["metadata"] = {key: value for key, value in manifest.get("metadata", {}).items() if key != "timing"}
    return digest_bytes(canonical_json(kept).encode())


def file_table(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Digest and size of each file."""
    return {name: {"sha256": digest_bytes(data), "bytes": len(data)} for name, data in sorted(files.items())}


def model_of(package: Package) -> Model:
    """The model inside a package, its estimator read from the native file."""
    manifest = package.manifest
    native = {name: data for name, data in package.files.items() if name != ONNX_FILE}
    return Model(
        name=package.name,
        estimator=native_format(package.framework).load(native),
        framework=package.framework,
        signature=package.signature,
        encoding=tuple(manifest["encoding"]),
        cleaning=tuple(manifest["cleaning"]),
        contract=manifest.get("contract", {}),
        calibration=manifest.get("calibration", {}),
        **{part: manifest.get(part, {}) for part in ("profile", "params", "metrics", "metadata")},
    )


def open_folder(path: str | Path, *, digest: str | None = None) -> Package:
    """Read a model folder, or say why it is refused.

    Parameters
    ----------
    path
        The folder.
    digest
        What `Package.digest` must be, when the caller knows it (the registry does): then nobody can have replaced the
        folder as a whole either.

    Raises
    ------
    UnsafeModelError
        For a folder without ``model.json``, of an unknown format version, with a missing, changed, additional or
        pickled file; the message names the file.
    """
    root = Path(path)
    if not root.is_dir():
        raise UnsafeModelError("there is no model folder here", value=str(root), hint="Give the path of a folder.")
    members: dict[str, bytes] = {}
    for entry in sorted(root.rglob("*")):
        name = entry.relative_to(root).as_posix()
        if entry.is_symlink():
            raise UnsafeModelError("a model folder holds a link", value=name, hint="Copy the file itself.")
        _refuse_pickle(name)
        if entry.is_file():
            members[name] = _bytes(entry, name)
        elif not entry.is_dir():
            raise UnsafeModelError("a model folder holds something that is no file", value=name, hint="Remove it.")
    return open_members(members, str(root), digest=digest)


def _bytes(path: Path, name: str) -> bytes:
    size = path.stat().st_size
    if name == MANIFEST and size > _LARGEST:
        raise UnsafeModelError(f"{MANIFEST} has {size:,} bytes", value=str(path), hint="This is no model of ours.")
    return path.read_bytes()


def open_members(members: Mapping[str, bytes], where: str, *, digest: str | None = None) -> Package:
    """As `open_folder`, from the files' bytes; `where` is for messages."""
    if MANIFEST not in members:
        raise UnsafeModelError(
            f"{where} is no model folder of Tidemill: {MANIFEST} is missing", value=sorted(members)[:5]
        )
    manifest = _manifest(members[MANIFEST], where)
    if digest is not None and manifest_digest(manifest) != digest:
        raise UnsafeModelError(
            f"{MANIFEST} in {where} is not the one that was registered",
            value=manifest_digest(manifest),
            hint=f"Expected {digest}; fetch the package again.",
        )
    listed = manifest["files"]
    for name in sorted(set(members) - set(listed) - {MANIFEST}):
        _refuse_pickle(name)
        raise UnsafeModelError(f"{where} holds a file that {MANIFEST} does not list", value=name, hint="Remove it.")
    for name, entry in listed.items():
        if name not in members:
            raise UnsafeModelError(f"{where} lacks a file", value=name, hint="Fetch the package again.")
        if digest_bytes(members[name]) != entry["sha256"]:
            raise UnsafeModelError(
                f"the digest of {name} in {where} is not the one in {MANIFEST}",
                value=digest_bytes(members[name]),
                hint=f"It was changed or damaged after packaging (expected {entry['sha256']}); fetch it again.",
            )
    return Package(manifest, {name: members[name] for name in listed})


def _manifest(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > _LARGEST:
        raise UnsafeModelError(f"{MANIFEST} in {where} has {len(data):,} bytes", hint="This is no model of ours.")
    try:
        manifest = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated)
    except (ValueError, RecursionError) as error:
        raise UnsafeModelError(f"{MANIFEST} in {where} is not JSON: {error}", hint="Fetch it again.") from error
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT or isinstance(version, bool):
        raise UnsafeModelError(
            f"{where} has a model folder format that this Tidemill does not read",
            value=version,
            hint=f"It reads format {FORMAT}; upgrade Tidemill or package the model again.",
        )
    if missing := sorted(set(_NEEDED) - set(manifest)):
        raise UnsafeModelError(f"{MANIFEST} in {where} lacks fields", value=missing, hint="Package the model again.")
    shapes = {**_NEEDED, **_OPTIONAL}
    if unknown := sorted(set(manifest) - set(shapes)):
        raise UnsafeModelError(
            f"{MANIFEST} in {where} has fields that nobody knows", value=unknown, hint=f"Known: {', '.join(shapes)}."
        )
    for name, value in manifest.items():
        if type(value) is not shapes[name]:
            raise UnsafeModelError(
                f"{name} in {MANIFEST} of {where} is not a {shapes[name].__name__}", value=value, hint="Fetch it again."
            )
    _check_parts(manifest, where)
    return dict(manifest)


def _check_parts(manifest: Mapping[str, Any], where: str) -> None:
    """What is read as soon as a folder is opened has the fields that are read."""
    for name, entry in manifest["files"].items():
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("sha256"), str)
            or type(entry.get("bytes")) is not int
        ):
            raise UnsafeModelError(f"{MANIFEST} in {where} has no digest and size of a file", value=name)
    for part in ("encoding", "cleaning"):
        if not all(isinstance(entry, dict) for entry in manifest[part]):
            raise UnsafeModelError(f"{part} in {MANIFEST} of {where} is not a list of mappings", value=manifest[part])
    for entry in manifest["encoding"]:
        if not all(isinstance(entry.get(key), str) for key in ("name", "column", "kind")):
            raise UnsafeModelError(f"an encoding in {MANIFEST} of {where} has no name, column and kind", value=entry)
    try:
        signature = Signature.from_dict(manifest["signature"])
        sound = isinstance(signature.target, str) and signature.task in TASKS
        sound = sound and all(isinstance(name, str) for name in signature.classes)
        sound = sound and isinstance(signature.threshold, int | float) and not isinstance(signature.threshold, bool)
        sound = sound and all(_is_column(column) for column in signature.inputs)
    except (TidemillError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnsafeModelError(
            f"the signature in {MANIFEST} of {where} cannot be read: {type(error).__name__}: {error}",
            hint="Package the model again.",
        ) from error
    if not sound:
        raise UnsafeModelError(f"the signature in {MANIFEST} of {where} is none", value=manifest["signature"])


def _is_column(column: Column) -> bool:
    ends = all(isinstance(end, int | float | None) for end in (column.minimum, column.maximum))
    texts = isinstance(column.name, str) and all(isinstance(name, str) for name in column.categories or ())
    return ends and texts and isinstance(column.nullable, bool)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a key that is there twice could read different models."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key is there twice among {[key for key, _ in pairs][:10]}")
    return found


def _refuse_pickle(name: str) -> None:
    if name.lower().endswith(_PICKLES):
        raise UnsafeModelError(
            "a model folder holds a pickle, which could run any code when it is read",
            value=name,
            hint="Tidemill never loads it: package the estimator again from where it was trained.",
        )


def plain(value: Any, path: str) -> Any:
    """A value as JSON has it: NumPy scalars as numbers, tuples as lists; anything else is an error naming `path`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ModelError(f"{path} of the model is not a finite number", value=value, hint="Leave it out.")
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), path)
    raise ModelError(
        f"{path} of the model cannot be written to {MANIFEST}",
        value=value,
        hint="Keep plain values there: numbers, text, lists, mappings.",
    )
