"""A folder on any file system that fsspec knows, where a file appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from tidemill.core.errors import ConfigError, MissingExtraError
from tidemill.store.blobs import storage_error
from tidemill.store.blobs_local import flush
from tidemill.store.file_systems import connect

#: Protocols where an object appears whole when its upload ends; on the others a temporary file is renamed.
_WHOLE = frozenset("s3 s3a gs gcs abfs abfss az adl oss oci memory".split())
_T = TypeVar("_T")


class RemoteFolder:
    """A folder elsewhere.

    Parameters
    ----------
    url
        Where, as fsspec reads it, with every secret revealed.
    options
        Of its file system.
    what
        What it is, in words for errors: ``the artifact store``.
    shown
        The address in errors, where `url` has secrets.

    Examples
    --------
    >>> folder = RemoteFolder("memory://example", {}, "the example")
    >>> folder.upload("a/b.txt", b"tide", "tmp/b")
    >>> folder.call("read", lambda fs: fs.cat_file(folder.path("a/b.txt")))
    b'tide'
    """

    def __init__(self, url: str, options: Mapping[str, Any], what: str, shown: str = "") -> None:
        self.url, self.options, self.shown = url, dict(options), shown or url
        self._what = what
        self.whole = (url.partition("::")[0] if "::" in url else url.partition("://")[0]) in _WHOLE
        self._connected: tuple[int, Any, str] | None = None

    def path(self, name: str) -> str:
        """Where in its file system something in this folder is."""
        return f"{self.connect()[1]}/{name}"

    def connect(self) -> tuple[Any, str]:
        """The file system and the folder in it; made anew in a forked child, where connections do not work."""
        if self._connected is None or self._connected[0] != os.getpid():
            place = f"{self._what.removeprefix('the ')} on {self.shown}"
            purpose = f"an {place}" if place[0] in "aeiou" else f"a {place}"
            protocol = self.url.partition("://")[0].rpartition("::")[2]
            try:
                fs, root = connect(self.url, purpose, **self.options)
            except ImportError as error:
                raise MissingExtraError(f"fsspec[{protocol}]", "all", purpose=purpose) from error
            except ValueError as error:
                known = ", ".join(fsspec.available_protocols())
                raise ConfigError(
                    f"no file system for {self._what} {self.shown} ({error})", hint=f"fsspec knows: {known}."
                ) from error
            self._connected = (os.getpid(), fs, str(root).rstrip("/"))
        return self._connected[1], self._connected[2]

    def call(self, verb: str, action: Callable[[Any], _T]) -> _T:
        """Do something with the file system; whatever it raises becomes an error of the house, but a missing file."""
        try:
            return action(self.connect()[0])
        except FileNotFoundError:
            raise
        except Exception as error:  # every file system has exceptions of its own, not all of them OSError
            raise self.error(error, verb) from error

    def error(self, error: Exception, verb: str) -> Exception:
        """The error of the house for something that the file system raised."""
        return storage_error(error, self.shown, verb, self._what)

    def upload(self, name: str, source: bytes | Path, draft: str) -> None:
        """Put a file in its place, all of it or nothing; `draft` is where it grows if it has to.

        On a disk of this machine, or what is mounted like one, it survives the death of the machine from then on.
        """
        self.call("write to", lambda fs: self.put(fs, name, source, draft))

    def put(self, fs: Any, name: str, source: bytes | Path, draft: str) -> None:
        """`upload`, with what the file system raises."""
        target = self.path(name)
        place = target if self.whole else self.path(draft)
        is_local = isinstance(fs, LocalFileSystem)
        made = _missing(Path(target)) if is_local else []
        if not self.whole:
            fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        if isinstance(source, bytes):
            fs.pipe_file(place, source)
        else:
            fs.put_file(str(source), place)
        if is_local:  # others have it safe when the upload ends, or cannot be asked to
            flush(Path(place))
        if place != target:
            _replace(fs, place, target, f"{place}-old")
        for folder in _leading(Path(target), Path(self.path("")), made) if is_local else ():
            flush(folder)

    def find(self, name: str = "") -> dict[str, Any]:
        """All files in this folder, or in one in it, by their paths in the file system, with what is known of them."""
        return self.call("list", lambda fs: _find(fs, self.path(name).rstrip("/")))

    def is_there(self) -> bool:
        """Whether the bucket or container is there: then a missing file is gone, and not the whole place."""
        fs, root = self.connect()
        try:
            return bool(fs.exists(root.partition("/")[0] or "/"))
        except Exception:
            return False


def _missing(path: Path) -> list[Path]:
    """The folders that have to be made for a file."""
    return [folder for folder in path.parents if not folder.exists()]


def _leading(path: Path, root: Path, made: list[Path]) -> list[Path]:
    """The folders that hold the names on the way to a file: those in `root`, and those where folders were made."""
    above = {folder.parent for folder in made}
    return [folder for folder in path.parents if folder.is_relative_to(root) or folder in above]


def _replace(fs: Any, place: str, target: str, aside: str) -> None:
    try:
        fs.mv(place, target)
    except Exception:  # several file systems refuse to rename onto a file, each in its own words
        if not fs.exists(target):
            raise
        with suppress(FileNotFoundError):
            fs.mv(target, aside)
        fs.mv(place, target)
        fs.rm_file(aside)


def _find(fs: Any, folder: str) -> dict[str, Any]:
    fs.invalidate_cache()
    if type(fs).find is AbstractFileSystem.find:  # it leaves out what it may not list, without a word
        return dict(sorted(_walked(fs, folder).items()))
    try:
        found: dict[str, Any] = fs.find(folder, detail=True)
    except FileNotFoundError:
        return {}
    return found


def _walked(fs: Any, folder: str) -> dict[str, Any]:
    try:
        there = {info["name"].rstrip("/"): info for info in fs.ls(folder, detail=True)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, Any] = {}
    for name, info in there.items():
        if info["type"] != "directory":
            found[name] = info
        elif name != folder:
            found |= _walked(fs, name)
    return found
