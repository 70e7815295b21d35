"""A version with its whole lineage as one file."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tidemill.core.errors import OutOfSpaceError, UsageError
from tidemill.core.records import ModelVersion
from tidemill.registry import archive_file
from tidemill.registry.history import model_history
from tidemill.registry.names import Reference
from tidemill.registry.versions import version_in
from tidemill.store import Store, migrations, models, transfer

#: Artifacts of these types are small and say what was done: they stay when the data is left out.
_KEPT = ("package", "model", "record", "json")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Archive:
    """What was written.

    Parameters
    ----------
    path, digest
        The file, and the digest that identifies its contents.
    model, version
        What is in it.
    blobs, left_out, bytes
        How many blobs are in it, how many were left out, and the size of the file.
    """

    path: Path
    digest: str
    model: str
    version: int
    blobs: int
    left_out: int
    bytes: int


def archive_version(store: Store, version: ModelVersion | str | Reference, path: Path, *, data: bool = True) -> Archive:
    """Write a version, its package, runs, executions, parameters, metrics and artifacts into one file.

    The same version of an unchanged store gives the same bytes.

    Parameters
    ----------
    store, version
        Where, and which.
    path
        The file, which must not be there yet.
    data
        Whether tables and other large artifacts go with it; without them the version still serves and traces.

    Raises
    ------
    UsageError
        When the file is there already.
    CorruptArtifactError
        When a blob of the store is missing or damaged.
    OutOfSpaceError
        When the disk or the quota is full; nothing is left of the file.
    """
    if path.exists():
        raise UsageError("there is a file already", value=str(path), hint="Choose another name, or remove it.")
    with store.metadata.reading() as tx:
        found = version_in(tx, version)
        rows = transfer.gather(tx, found)
        aliases = sorted(one.alias for one in models.aliases(tx, found.model) if one.version == found.version)
        schema = migrations.version(tx)
    events = model_history(store, Reference(found.model, found.version), limit=1000)
    left_out = set() if data else _leave_out(rows)
    digests = sorted(set(_blobs(rows)))
    package = next(row for row in rows["artifacts"] if row["id"] == found.package)
    head = {
        "model": found.model, "number": found.version, "schema": schema, "package": package["digest"],
        "without_data": not data, "aliases": aliases, "history": [asdict(event) for event in events],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = f".{path.name}.{platform.node()}."
    _remove_parts(path.parent, part)
    temporary = path.with_name(f"{part}{os.getpid()}")
    blobs = {digest: store.artifacts.path(digest) for digest in digests}
    try:
        digest = archive_file.write(temporary, head, list(_lines(rows)), blobs)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full(path, f"{found.model}@{found.version}", blobs, data=data) from error
    finally:
        temporary.unlink(missing_ok=True)
    return Archive(path, digest, found.model, found.version, len(digests), len(left_out), path.stat().st_size)


def _full(path: Path, name: str, blobs: Mapping[str, Path], *, data: bool) -> OutOfSpaceError:
    """How much the archive needs, and how to do with less."""
    need = sum(blob.stat().st_size for blob in blobs.values()) / 2**20
    free = shutil.disk_usage(path.parent).free / 2**20
    less = ", or leave tables and other large artifacts out: --without-data" if data else ""
    return OutOfSpaceError(
        f"the disk or its quota is full: the archive of {name} takes {need:,.1f} MiB, and {free:,.1f} MiB are free",
        value=str(path.parent),
        hint=f"Write it to another disk{less}. Nothing of it was kept.",
    )


def _remove_parts(folder: Path, prefix: str) -> None:
    """Remove what a process of this machine that is no more has left of the same file."""
    for left in folder.iterdir():
        number = left.name.removeprefix(prefix)
        if left.name.startswith(prefix) and number.isdigit() and not _runs(int(number)):
            left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name == "nt":  # where to ask is to end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of somebody else
        return True
    return True


def _leave_out(rows: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    """Forget the bytes of data, and that the steps which made it can be reused."""
    gone = {row["id"]: row["blob"] for row in rows["artifacts"] if row["blob"] and row["type"] not in _KEPT}
    for row in rows["artifacts"]:
        if row["id"] in gone:
            described = {**json.loads(row["metadata"]), "left_out": row["blob"]}
            row |= {"blob": None, "metadata": json.dumps(described, separators=(",", ":"))}
    makers = {e["execution_id"] for e in rows["events"] if e["direction"] == "output" and e["artifact_id"] in gone}
    for row in rows["executions"]:
        if row["id"] in makers:
            row["key"] = ""
    return set(gone.values())


def _blobs(rows: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield from (row["blob"] for row in rows["artifacts"] if row["blob"])
    yield from (row["log"] for row in rows["executions"] if row["log"])


def _lines(rows: Mapping[str, list[dict[str, Any]]]) -> Iterator[bytes]:
    for table in transfer.TABLES:
        for row in rows[table]:
            yield json.dumps([table, row], separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
