"""Archives of a log: sealed files in an object store or on another file system, laid out as on the machine itself."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from tidemill.core.errors import StoreError, StoreUnavailableError
from tidemill.data.sources.shown import shown
from tidemill.project import current_project
from tidemill.serving.log.files import contents
from tidemill.serving.log.layout import Days
from tidemill.serving.log.places import columns_of
from tidemill.serving.options import server_options

#: In a log's folder: the archives that have files of it, one address a line, without secrets.
KNOWN = "archives.txt"
# Named by string: fsspec is loaded for logs that have an archive only.
_FOLDER = ("tidemill.store.remote_folder", "RemoteFolder")
#: In an archive: that it is one, so that an empty one can be told from one that is not there.
_BEACON = "prediction-log.txt"
_DRAFTS = (".uploading", ".uploading-old")
_TAIL = 1 << 16
_WHAT = "the prediction log's archive"


class Archive:
    """The sealed files of logs, elsewhere.

    Parameters
    ----------
    url
        Any that fsspec knows, secrets revealed, or a folder.
    options
        Of its file system, as the ``storage_options`` of a source.
    known
        Whether it is known to have files: then one that is not there is an error.

    Examples
    --------
    >>> archive = Archive("memory://archive-example")
    >>> archive.replace("model=a/day=2026-03-01/01kf.parquet", b"tide")
    >>> archive.files(Days("a"))
    ['model=a/day=2026-03-01/01kf.parquet']
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, *, known: bool = False) -> None:
        self.address = shown(url)
        module, name = _FOLDER
        self._folder = getattr(import_module(module), name)(url, options or {}, _WHAT, self.address)
        self._known = known
        self._sizes: dict[str, int] = {}

    def files(self, days: Days) -> list[str]:
        """The sealed files of these days."""
        found = sorted(path for path in self._listed(days) if path.endswith(".parquet") and days.hold(path))
        if not found:
            self._check_there()
        return found

    def schemas(self, paths: list[str]) -> dict[str, pl.Schema]:
        """The columns of files, without those that are gone meanwhile: read from their ends, many at once."""
        if not paths:
            return {}
        places = [self._folder.path(path) for path in paths]
        ends = [self._size(path) for path in paths]
        starts = [max(0, end - _TAIL) for end in ends]
        tails = self._folder.call("read", lambda fs: fs.cat_ranges(places, starts, ends, on_error="return"))
        found = {}
        for path, tail in zip(paths, tails, strict=True):
            if isinstance(tail, FileNotFoundError):
                continue
            if isinstance(tail, Exception):
                raise self._folder.error(tail, "read") from tail
            footer = int.from_bytes(tail[-8:-4], "little") + 8
            with suppress(FileNotFoundError):
                end = io.BytesIO(tail if footer <= len(tail) else self.read(path))
                found[path] = columns_of(end, self.full(path))
        return found

    def source(self, path: str) -> Path | bytes:
        """A file as Polars reads it, found to have an end."""
        data = self.read(path)
        columns_of(io.BytesIO(data), self.full(path))
        return data

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        data: bytes = self._folder.call("read", lambda fs: fs.cat_file(self._folder.path(path)))
        return data

    def replace(self, path: str, data: bytes) -> None:
        """Put a file there, or other bytes in its place, and read it back.

        Raises
        ------
        StoreError
            When the archive cannot be written, or has other bytes afterwards.
        """
        self._upload(path, data)
        try:
            found = self.read(path)
        except FileNotFoundError:
            found = b""
        if hashlib.sha256(found).digest() != hashlib.sha256(data).digest():
            problem = f"{_WHAT} has {len(found):,} other bytes than the {len(data):,} that were written"
            raise StoreError(problem, value=self.shown(path), hint="Look at the storage; it is written again later.")

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""
        try:
            self._folder.call("delete in", lambda fs: fs.rm_file(self._folder.path(path)))
        except FileNotFoundError:
            return

    def clear_drafts(self, days: Days) -> None:
        """Delete what somebody left who was interrupted, and put back what was moved out of the way."""
        listed = self._listed(days)
        for path in (path for path in listed if path.endswith(_DRAFTS)):
            target = path[: path.rindex(_DRAFTS[0])]
            if path.endswith("-old") and target not in listed:
                self._move(path, target)
            else:
                self.remove(path)

    def shown(self, path: str) -> str:
        """A file as people may see where it is."""
        return f"{self.address.rstrip('/')}/{path}"

    full = shown

    def mark(self) -> None:
        """Say there that it is an archive."""
        self._upload(_BEACON, b"Sealed files of Tidemill's prediction log.\n")

    def _upload(self, path: str, data: bytes) -> None:
        try:
            self._folder.upload(path, data, f"{path}{_DRAFTS[0]}")
        except FileNotFoundError as error:  # the bucket
            raise self._folder.error(error, "write to") from error

    def _move(self, path: str, target: str) -> None:
        self._folder.call("write to", lambda fs: fs.mv(self._folder.path(path), self._folder.path(target)))

    def _listed(self, days: Days) -> set[str]:
        root = self._folder.connect()[1].lstrip("/")
        listed = set()
        for prefix in days.prefixes():
            for path, info in self._folder.find(prefix.rstrip("/")).items():
                name = path.lstrip("/").removeprefix(root).lstrip("/")
                listed.add(name)
                self._sizes[name] = int(info["size"])
        return listed

    def _size(self, path: str) -> int:
        if path not in self._sizes:
            self._sizes[path] = int(self._folder.call("read", lambda fs: fs.info(self._folder.path(path)))["size"])
        return self._sizes[path]

    def _check_there(self) -> None:
        try:
            self._folder.call("read", lambda fs: fs.info(self._folder.path(_BEACON)))
        except FileNotFoundError as error:
            if self._known or not self._folder.is_there():
                self._missing(error)

    def _missing(self, error: Exception) -> NoReturn:
        hint = (
            f"Check address, mount and rights. If it is gone for good, delete its line in {KNOWN} in the log's folder."
        )
        raise StoreUnavailableError(f"{_WHAT} is not there", value=self.address, hint=hint) from error


def archives_of(root: Path) -> list[Archive]:
    """The archives that have files of a log: those that took some, and the one that the project names.

    How the project's is reached is said in ``[serving]``; others are reached as the environment says.
    """
    known = _known(root)
    project = current_project()
    if not project.serving.get("archive"):
        return others(root)
    options = server_options(project)
    own = Archive(options.archive, options.storage_options, known=shown(options.archive) in known)
    if own.address not in known and Path(options.log).resolve() != root.resolve():
        return others(root)
    return [own, *others(root, [own])]


def others(root: Path, besides: Sequence[Archive] = ()) -> list[Archive]:
    """The archives that took files of a log, without those, reached as the environment says."""
    without = {archive.address for archive in besides}
    return [Archive(address, known=True) for address in _known(root) if address not in without]


def remember(root: Path, archive: Archive) -> None:
    """Have readers of a log look into an archive from now on."""
    if archive.address in _known(root):
        return
    archive.mark()
    with (root / KNOWN).open("ab", buffering=0) as lines:
        lines.write(f"\n{archive.address}\n".encode())
        os.fsync(lines.fileno())


def _known(root: Path) -> list[str]:
    file = root / KNOWN
    try:
        lines = contents(file).decode().split("\n")
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(filter(None, lines)))
