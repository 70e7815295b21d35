"""A version out of an archive into another store: everything verified first, then all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import (
    ConflictError,
    CorruptArtifactError,
    NotFoundError,
    StoreVersionError,
    UnsafeModelError,
    UsageError,
)
from tidemill.core.records import Approval, ModelVersion
from tidemill.engine.materialisers.plain import NAME as PLAIN
from tidemill.evaluation.measurements import Measurement
from tidemill.evaluation.promises import Promise
from tidemill.packaging.package import open_members
from tidemill.packaging.zips import read_zip
from tidemill.registry import archive_file
from tidemill.registry.archive_file import Opened
from tidemill.registry.gates import recorded_measurements
from tidemill.registry.happenings import Subscriber, happened
from tidemill.registry.names import check_name
from tidemill.registry.versions import checked_tags
from tidemill.store import Store, approvals, audit, migrations, models, transfer
from tidemill.store.database import Transaction

_LONGEST_ID = 300
_JSON = {
    "artifacts": ("metadata",),
    "contexts": ("attributes",),
    "executions": ("key_parts",),
    "fingerprints": ("parts",),
    "model_versions": ("tags", "metrics", "gate"),
    "runs": ("arguments", "environment"),
}


@dataclass(frozen=True, slots=True)
class Restored:
    """What came out of an archive.

    Parameters
    ----------
    version
        As it is in the store now.
    digest
        Of the archive.
    rows, blobs
        How many of them are new; none when it was here already.
    aliases
        The aliases that it had when it was archived; they are not moved.
    """

    version: ModelVersion
    digest: str
    rows: int
    blobs: int
    aliases: tuple[str, ...]


def restore_version(
    store: Store,
    path: Path,
    *,
    name: str | None = None,
    next_number: bool = False,
    digest: str | None = None,
    trust: Collection[str] = (),
    subscribers: Collection[Subscriber] = (),
    actor: str | None = None,
) -> Restored:
    """Read an archive into a store; doing so again changes nothing.

    The version keeps its number and its record, except that it is in the stage ``registered``, that who restores it has
    registered it here, and that approvals given elsewhere count no more. Aliases stay where they are.

    Parameters
    ----------
    store
        Where.
    path
        The file of `archive_version`.
    name
        What to call the model here; as there by default.
    next_number
        Give it the model's next number where its own is taken.
    digest
        What the archive's digest must be, when the caller knows it: without, a file that was changed consistently as a
        whole cannot be told from another one.
    trust
        Modules, besides Tidemill's, whose dataclasses and enums recorded values may be made of.
    subscribers, actor
        Who may be told; who does it.

    Raises
    ------
    UnsafeModelError
        For a file that is not a whole archive; the message names the member.
    ConflictError
        When its number is taken by another version.
    StoreVersionError
        When it was written by a newer Tidemill.
    """
    with archive_file.opened(path) as archive:
        if digest is not None and archive.digest != digest.strip().lower():
            raise UnsafeModelError(
                f"{path.name} is another archive than was asked for", value=archive.digest, hint=f"Expected {digest}."
            )
        rows = _rows(archive, path.name)
        _check_classes(archive, rows, trust, path.name)
        version = _version(archive, rows, path.name)
        model = check_name(name or version.model, "model")
        wanted = replace(version, model=model, id=_id(version, model))
        new = [one for one in archive.blobs() if not _holds(store, one)]
        for one in archive.blobs():
            archive.copy(one, store.artifacts) if one in new else store.artifacts.touch(one)
        with store.metadata.transaction() as tx:
            known = _known(tx, wanted, rows)
            if known is not None:
                return Restored(known, archive.digest, 0, len(new), _aliases(archive))
            counts = transfer.merge(tx, rows)
            made = _registered(tx, wanted, rows, archive, next_number=next_number, who=actor or audit.current_user())
            details = {"archive": archive.digest, "as": f"{version.model}@{version.version}"}
            details |= {"history": archive.head.get("history", [])}
            happened(tx, "version.restored", made.model, made.version, details, subscribers=subscribers, actor=actor)
        return Restored(made, archive.digest, sum(counts.values()) + 1, len(new), _aliases(archive))


def _holds(store: Store, digest: str) -> bool:
    """Whether a blob is here and whole."""
    try:
        return store.artifacts.exists(digest) and digest_bytes(store.artifacts.read(digest)) == digest
    except CorruptArtifactError:
        return False


def _known(tx: Transaction, wanted: ModelVersion, rows: Mapping[str, list[dict[str, Any]]]) -> ModelVersion | None:
    """The version, if it is here already."""
    package = next(row["digest"] for row in rows["artifacts"] if row["id"] == wanted.package)
    for found in models.list_versions(tx, wanted.model, package=wanted.package):
        if found.id == wanted.id:
            return found
    try:
        other = models.get_version_by_id(tx, wanted.id)
    except NotFoundError:
        return None
    raise ConflictError(
        f"the id of this version belongs to {other.model}@{other.version} here",
        value=package[:12],
        hint="Restore it under another name: --as NAME.",
    )


def _registered(
    tx: Transaction,
    wanted: ModelVersion,
    rows: Mapping[str, list[dict[str, Any]]],
    archive: Opened,
    *,
    next_number: bool,
    who: str,
) -> ModelVersion:
    made = replace(wanted, stage="registered", archived=False, registered_by=who)
    models.reserve(tx, made.model, made.created_at)
    try:
        models.insert_numbered(tx, made)
    except ConflictError as error:
        if not next_number:
            raise ConflictError(
                error.what, hint="Restore it under another name (--as NAME), or the next number (--next)."
            ) from None
        made = models.insert_version(tx, made)
    for row in rows["approvals"]:
        # Given to somebody else, who cannot be asked here: kept to be read, never to be counted.
        given = Approval(**{**row, "id": _derived(row["id"], made.id), "version_id": made.id})
        approvals.insert(tx, replace(given, evidence=f"in archive {archive.digest}"))
    return made


def _id(version: ModelVersion, model: str) -> str:
    """The version's own id; under another name another one, the same at every restore."""
    return version.id if model == version.model else _derived(version.id, model)


def _derived(id_: str, more: str) -> str:
    return digest_bytes(f"{id_}\0{more}".encode())[:26]


def _aliases(archive: Opened) -> tuple[str, ...]:
    found = archive.head.get("aliases", [])
    return tuple(str(alias) for alias in found) if isinstance(found, list) else ()


def _rows(archive: Opened, where: str) -> dict[str, list[dict[str, Any]]]:
    """The rows, each of a known table, with known columns of the right kinds."""
    known = migrations.MIGRATIONS[-1].number
    if archive.head["schema"] > known:
        raise StoreVersionError(
            f"{where} has schema version {archive.head['schema']}, and this Tidemill knows versions up to {known}",
            hint='Install a newer Tidemill: pip install --upgrade "tidemill"',
        )
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in transfer.TABLES}
    is_older = archive.head["schema"] < known
    shapes = {name: transfer.kinds(name) for name in transfer.TABLES}
    for number, line in enumerate(archive.lines(), start=1):
        place = f"line {number} of {archive_file.RECORDS} in {where}"
        if not isinstance(line, list) or len(line) != 2 or line[0] not in shapes or not isinstance(line[1], dict):
            raise UnsafeModelError(f"{place} is no row of a table that travels", value=line)
        table, row = line
        _check_row(table, row, shapes[table], place, is_older=is_older)
        rows[table].append(row)
    listed = set(archive.blobs())
    for row in (*rows["artifacts"], *rows["executions"]):
        blob = row.get("blob", row.get("log"))
        if blob is not None and blob not in listed:
            raise UnsafeModelError(f"{where} lacks a blob that a row refers to", value=blob)
    return rows


def _check_row(
    table: str, row: dict[str, Any], shape: Mapping[str, transfer.Kind], place: str, *, is_older: bool
) -> None:
    for name in sorted(set(shape) ^ set(row)):
        if name in shape and is_older and shape[name].has_default:
            continue
        problem = "lacks a column" if name in shape else "has a column that nobody knows"
        raise UnsafeModelError(f"{place} {problem}", value=f"{table}.{name}")
    for name, value in row.items():
        problem = _problem(name, value, shape[name])
        if problem:
            raise UnsafeModelError(f"{place} has {problem} in {table}.{name}", value=value)
    for name in _JSON.get(table, ()):
        if name in row and not isinstance(archive_file.parsed(row[name].encode(), f"{table}.{name}", place), dict):
            raise UnsafeModelError(f"{place} has no mapping in {table}.{name}", value=row[name])


def _problem(name: str, value: Any, kind: transfer.Kind) -> str:
    """Why a value cannot be in a column, or nothing."""
    text = value if isinstance(value, str) else ""
    if value is None:
        return "" if kind.nullable else "nothing"
    if type(value) is not kind.type and not (kind.type is float and type(value) is int):
        return "a value of another kind"
    if isinstance(value, int | float):
        return "a number that no database holds" if abs(value) >= 2**63 else ""
    if (name == "id" and not text) or (name.endswith("id") and len(text) > _LONGEST_ID):
        return "an id that cannot be"
    return "text that no database holds" if "\0" in text or not _encodable(text) else ""


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _version(archive: Opened, rows: Mapping[str, list[dict[str, Any]]], where: str) -> ModelVersion:
    """The version's record, and its package opened once, as anybody will who serves it."""
    found = rows["model_versions"]
    if len(found) != 1:
        raise UnsafeModelError(f"{where} holds {len(found)} versions", hint="An archive holds one.")
    row = found[0]
    parts = {name: json.loads(row[name]) for name in ("tags", "metrics", "gate")}
    version = ModelVersion(**{**row, **parts, "archived": bool(row["archived"])})
    _check_numbers(version, where)
    package = next((one for one in rows["artifacts"] if one["id"] == version.package), None)
    if package is None or package["type"] != "package" or package["blob"] is None:
        raise UnsafeModelError(f"{where} lacks the package of its version", value=version.package)
    said = (version.model, version.version, package["digest"])
    if said != (archive.head["model"], archive.head["number"], archive.head["package"]) or version.version < 1:
        raise UnsafeModelError(f"{archive_file.HEAD} in {where} tells of another version than its rows", value=said)
    open_members(read_zip(archive.read(package["blob"])), f"the package in {where}", digest=package["digest"])
    return version


def _check_numbers(version: ModelVersion, where: str) -> None:
    """What the gate and the screen read of a version is of the kinds that they expect."""
    try:
        checked_tags(version.tags)
        measured = recorded_measurements(version.gate)
        promises = [Promise(**promise) for promise in version.gate.get("promises", ())]
        both: list[Measurement | Promise] = [*measured, *promises]
        numbers = [number for one in both for number in (one.value, one.low, one.high)]
        sound = all(isinstance(number, int | float | None) for number in (*numbers, *version.metrics.values()))
        texts: list[object] = [text for one in both for text in (one.moment, one.metric, one.reason)]
        sound = sound and all(isinstance(text, str) for text in texts)
    except (TypeError, AttributeError, UsageError) as error:
        raise UnsafeModelError(f"the gate or the tags of the version in {where} cannot be read: {error}") from error
    if not sound:
        raise UnsafeModelError(f"the gate of the version in {where} has no numbers where it should", hint="Look at it.")


def _check_classes(
    archive: Opened, rows: Mapping[str, list[dict[str, Any]]], trust: Collection[str], where: str
) -> None:
    """Refuse recorded values that are made of classes which nobody vouches for: to read one imports its module."""
    trusted = {"tidemill", *trust}
    for row in rows["artifacts"]:
        if row["materialiser"] != PLAIN:
            continue
        text = archive.read(row["blob"]) if row["inline"] is None and row["blob"] else (row["inline"] or "").encode()
        value = archive_file.parsed(text, f"the value of artifact {row['id']}", where) if text else None
        for path in _class_paths(value):
            module = path.partition(":")[0]
            if module.partition(".")[0] not in trusted and module not in trusted:
                raise UnsafeModelError(
                    f"a value in {where} is made of a class that is not Tidemill's",
                    value=path,
                    hint=f"If you know where this archive comes from: --trust {module}",
                )


def _class_paths(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "$" in item and "c" in item:
                yield str(item["c"])
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
