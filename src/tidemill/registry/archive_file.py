"""The file of an archived version: a zip of stored members, their digests in the first one; read as a stranger's.

``archive.json`` says what is archived and lists every other member with SHA-256 and size; ``records.ndjson`` has the
rows, one JSON list ``[table, row]`` a line; ``blobs/<sha256>`` are the artifacts' bytes. Nothing is compressed, so that
no member is larger than the file; nothing is ever unpacked to a path that the file names.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import NotFoundError, UnsafeModelError
from tidemill.store.artifacts import ArtifactStore
from tidemill.store.blobs import CHUNK

FORMAT, VERSION = "tidemill model archive", 1
HEAD, RECORDS = "archive.json", "records.ndjson"
_MOMENT = (1980, 1, 1, 0, 0, 0)
_MEMBER = re.compile(r"archive\.json|records\.ndjson|blobs/[0-9a-f]{64}")
_LARGEST_TEXT = 1 << 30
_HINT = "It was damaged or changed after it was written: take another copy."


@dataclass(frozen=True, slots=True)
class Opened:
    """An archive whose members have all been verified.

    Parameters
    ----------
    head
        What ``archive.json`` says.
    digest
        SHA-256 of ``archive.json``, which identifies the archive.
    """

    head: Mapping[str, Any]
    digest: str
    _zip: zipfile.ZipFile
    _where: str

    def lines(self) -> Iterator[Any]:
        """The rows."""
        with self._zip.open(RECORDS) as lines:
            for number, line in enumerate(lines, start=1):
                yield parsed(line, f"line {number} of {RECORDS}", self._where)

    def blobs(self) -> list[str]:
        """The digests of the blobs."""
        return [name.removeprefix("blobs/") for name in self.head["members"] if name.startswith("blobs/")]

    def read(self, digest: str) -> bytes:
        """The bytes of a blob."""
        return self._zip.read(f"blobs/{digest}")

    def copy(self, digest: str, artifacts: ArtifactStore) -> None:
        """Put a blob into a store."""
        with artifacts.writer() as writer, self._zip.open(f"blobs/{digest}") as source:
            while chunk := source.read(CHUNK):
                writer.write(chunk)


def write(path: Path, head: Mapping[str, Any], lines: list[bytes], blobs: Mapping[str, Path]) -> str:
    """Write an archive; returns its digest. Equal contents give equal bytes."""
    records = b"".join(line + b"\n" for line in lines)
    members: dict[str, dict[str, Any]] = {RECORDS: {"sha256": digest_bytes(records), "bytes": len(records)}}
    members |= {
        f"blobs/{digest}": {"sha256": digest, "bytes": blobs[digest].stat().st_size} for digest in sorted(blobs)
    }
    first = json.dumps({"format": FORMAT, "version": VERSION, **head, "members": members}, sort_keys=True, indent=1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=True) as out:
        out.writestr(_entry(HEAD, len(first)), first)
        out.writestr(_entry(RECORDS, len(records)), records)
        for digest in sorted(blobs):
            with (
                blobs[digest].open("rb") as source,
                out.open(_entry(f"blobs/{digest}", members[f"blobs/{digest}"]["bytes"]), "w") as member,
            ):
                while chunk := source.read(CHUNK):
                    member.write(chunk)
    return digest_bytes(first.encode())


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open an archive and verify every member.

    Raises
    ------
    NotFoundError
        When there is no such file.
    UnsafeModelError
        For anything that is not a whole archive; the message names the member.
    """
    if not path.is_file():
        raise NotFoundError("there is no such archive", value=str(path), hint="Give the file of models archive.")
    where = path.name
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = _members(archive, path.stat().st_size, where)
            first = archive.read(HEAD)
            head = _head(first, where)
            _verify(archive, entries, head["members"], where)
            yield Opened(head, digest_bytes(first), archive, where)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnsafeModelError(f"{where} is not an archive of a model: {error}", hint=_HINT) from error


def parsed(line: bytes, what: str, where: str) -> Any:
    """JSON without NaN, and not deeper than anybody writes it."""
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnsafeModelError(f"{what} in {where} is not JSON: {error}", hint=_HINT) from error


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _members(archive: zipfile.ZipFile, size: int, where: str) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        problem = _problem(entry, entries)
        if problem:
            raise UnsafeModelError(f"a member of {where} {problem}", value=entry.filename, hint=_HINT)
        entries[entry.filename] = entry
    if sum(entry.file_size for entry in entries.values()) > size:
        raise UnsafeModelError(f"the members of {where} overlap: they are larger than the file", hint=_HINT)
    for name in (HEAD, RECORDS):
        if name not in entries:
            raise UnsafeModelError(f"{where} lacks a member", value=name, hint="This is no archive of a model.")
        if entries[name].file_size > _LARGEST_TEXT:
            raise UnsafeModelError(f"a member of {where} is larger than 1 GiB", value=name, hint=_HINT)
    return entries


def _problem(entry: zipfile.ZipInfo, known: Mapping[str, Any]) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if not _MEMBER.fullmatch(entry.filename):
        return "has a name that no archive has"
    if entry.filename in known:
        return "is there twice"
    if kind not in (0, stat.S_IFREG):
        return "is a link or no file"
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        return "is compressed"
    return "is encrypted" if entry.flag_bits & 1 else ""


def _head(data: bytes, where: str) -> dict[str, Any]:
    head = parsed(data, HEAD, where)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise UnsafeModelError(f"{where} is no archive of a model", hint="Give the file of tidemill models archive.")
    if head.get("version") != VERSION:
        raise UnsafeModelError(
            f"{where} has a format that this Tidemill does not read",
            value=head.get("version"),
            hint=f"It reads format {VERSION}; upgrade Tidemill.",
        )
    members = head.get("members")
    sound = isinstance(members, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and type(entry.get("bytes")) is int
        for entry in members.values()
    )
    needed = {"model": str, "number": int, "schema": int, "package": str, "without_data": bool}
    wrong = [name for name, kind in needed.items() if type(head.get(name)) is not kind]
    if not sound or wrong:
        raise UnsafeModelError(f"{HEAD} in {where} has no such fields as it should", value=wrong, hint=_HINT)
    return head


def _verify(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], listed: Mapping[str, Any], where: str
) -> None:
    for name in sorted({HEAD, *listed} ^ set(entries)):
        problem = "lacks a member" if name in listed else f"has a member that {HEAD} does not list"
        raise UnsafeModelError(f"{where} {problem}", value=name, hint=_HINT)
    for name, entry in listed.items():
        if entry["bytes"] != entries[name].file_size or entry["sha256"] != _digest(archive, name):
            raise UnsafeModelError(f"the digest of {name} in {where} is not the one in {HEAD}", hint=_HINT)
        if name.startswith("blobs/") and name != f"blobs/{entry['sha256']}":
            raise UnsafeModelError(f"a blob in {where} is not named by its digest", value=name, hint=_HINT)


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    hasher = hashlib.sha256()
    source: IO[bytes]
    with archive.open(name) as source:
        while chunk := source.read(CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = size
    return entry
