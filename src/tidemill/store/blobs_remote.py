"""Blobs on any file system that fsspec knows, with a local cache for those that are read as files."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from tidemill.core.errors import CorruptArtifactError, StoreUnavailableError
from tidemill.store.blobs import ArtifactStore, Blob, BlobInfo, check_digest, corrupt, gone
from tidemill.store.blobs_local import LocalArtifacts
from tidemill.store.remote_folder import RemoteFolder

#: Where file systems say when a file was written; one look at it then says all, and no other writer comes between.
_STAMPS = ("LastModified", "last_modified", "mtime", "modified", "created")
_TEMPORARY = "tmp"
#: So often a read that broke off begins again, while writers renew the blob.
_READS = 10
#: So many seconds are waited, each time longer, for a blob that a writer may have moved aside.
_PAUSES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.1)
_NAME = re.compile(r"(?:.*/)?([0-9a-f]{2})/([0-9a-f]{62})")
_T = TypeVar("_T")


class RemoteArtifacts(ArtifactStore):
    """An artifact store on a remote file system.

    Parameters
    ----------
    url
        Where, as fsspec reads it.
    cache
        The local folder for blobs read as files; `default_cache` if not given. Several stores may share one.
    young
        Seconds for which a blob counts as just put. Putting an older one again uploads it again, since remote file
        systems have no other way to renew its time; garbage collection needs a grace period of twice this.
    storage_options
        For the fsspec file system.
    """

    def __init__(self, url: str, *, cache: Path | None = None, young: float = 600.0, **storage_options: Any) -> None:
        super().__init__(url, storage_options)
        self.minimum_grace = 2 * young
        self._young = young
        self._cache_path = cache or default_cache()
        self._cache: LocalArtifacts | None = None
        self._suspects: set[str] = set()
        self._folder = RemoteFolder(url, storage_options, "the artifact store")
        self._folder.connect()

    def put(self, data: bytes) -> Blob:
        """Upload bytes, unless the blob is there and young."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        if not self._is_young(blob):
            self._call("write a blob to", lambda fs: self._upload(fs, blob, data))
        return blob

    def read(self, digest: str) -> bytes:
        """The bytes, from the cache if they are there."""
        if self.cache.exists(digest):
            try:
                self.cache.touch(digest)
                return self.cache.read(digest)
            except CorruptArtifactError:
                self.cache.delete(digest)
        data: bytes = self._read(lambda fs: fs.cat_file(self._target(digest)), digest)
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            self._suspects.add(digest)
            raise corrupt(digest, self._target(digest), found, len(data))
        return data

    def path(self, digest: str) -> Path:
        """A file in the cache, downloaded if it is not there."""
        if self.cache.exists(digest):
            try:
                self.cache.touch(digest)
                return self.cache.path(digest)
            except CorruptArtifactError:
                self.cache.delete(digest)
        with self.cache.writer() as writer:
            self._read(lambda fs: fs.get_file(self._target(digest), str(writer.path)), digest)
        if writer.blob.digest != digest:
            self.cache.delete(writer.blob.digest)
            self._suspects.add(digest)
            raise corrupt(digest, self._target(digest), writer.blob.digest, writer.blob.size)
        return self.cache.path(digest)

    def exists(self, digest: str) -> bool:
        """Whether the blob is on the remote file system."""
        return self._info(digest) is not None

    def size(self, digest: str) -> int:
        """Its number of bytes."""
        info = self._info(digest)
        if info is None:
            raise gone(digest, self._target(digest))
        return info.size

    def touch(self, digest: str) -> None:
        """Upload it again, unless it is young."""
        blob = Blob(digest, self.size(digest))
        if not self._is_young(blob):
            path = self.path(digest)
            self._call("touch a blob of", lambda fs: self._upload(fs, blob, path))

    def delete(self, digest: str) -> None:
        """Remove it here and from the cache."""
        self.cache.delete(digest)
        if self._info(digest) is not None:
            self._call("delete a blob of", lambda fs: _delete(fs, self._target(digest)))

    def discard(self, digest: str, *, before: float) -> int | None:
        """Remove it if it was not touched since `before`; safe beside writers with `minimum_grace`."""
        info = self._info(digest)
        if info is None or info.modified >= before:
            return None
        self.delete(digest)
        return info.size

    def blobs(self) -> Iterator[BlobInfo]:
        """Every blob, in no order."""
        for path, info in self._folder.find("blobs").items():
            match = _NAME.fullmatch(path)
            if match:
                yield BlobInfo(match[1] + match[2], int(info["size"]), self._modified(path, info))

    def sweep(self, *, before: float, dry_run: bool = False) -> list[tuple[str, int]]:
        """Remove temporary files of dead writers, here and in the cache, and cached blobs that nobody used since."""
        swept = self.cache.sweep(before=before, dry_run=dry_run)
        for info in self.cache.blobs():
            if info.modified < before:
                swept.append((info.digest, info.size))
                if not dry_run:
                    self.cache.discard(info.digest, before=before)
        if self._folder.whole:
            return swept
        for path, info in self._folder.find(_TEMPORARY).items():
            if self._modified(path, info) < before:
                swept.append((path.rpartition("/")[2], int(info["size"])))
                if not dry_run:
                    self._call("sweep", partial(_remove, path=path))
        return swept

    def scratch(self) -> Path:
        """A new empty file in the cache folder."""
        return self.cache.scratch()

    def adopt(self, path: Path, blob: Blob) -> None:
        """Upload a scratch file, then keep it in the cache: what was just made is often read next."""
        if not self._is_young(blob):
            self._call("write a blob to", lambda fs: self._upload(fs, blob, path))
        self.cache.adopt(path, blob)

    def view(self, name: str, build: Callable[[Path], None], check: Callable[[Path], bool] | None = None) -> Path:
        """A folder in the cache."""
        return self.cache.view(name, build, check)

    @property
    def cache(self) -> LocalArtifacts:
        """The local cache, made when it is first needed."""
        if self._cache is None:
            self._cache = LocalArtifacts(self._cache_path)
        return self._cache

    def _upload(self, fs: Any, blob: Blob, source: bytes | Path) -> None:
        self._folder.put(fs, self._name(blob.digest), source, f"{_TEMPORARY}/{token_hex(8)}")
        self._suspects.discard(blob.digest)

    def _is_young(self, blob: Blob) -> bool:
        if blob.digest in self._suspects:  # seen corrupt: putting it again heals it
            return False
        info = self._info(blob.digest)
        return info is not None and info.size == blob.size and info.modified > time.time() - self._young

    def _info(self, digest: str) -> BlobInfo | None:
        target = self._target(digest)

        def look(fs: Any) -> BlobInfo | None:
            try:
                fs.invalidate_cache(target.rpartition("/")[0])
                info = fs.info(target)
            except FileNotFoundError:
                return None
            return BlobInfo(digest, int(info["size"]), self._modified(target, info))

        return self._call("look into", look)

    def _modified(self, path: str, info: dict[str, Any]) -> float:
        stamp = next((info[key] for key in _STAMPS if info.get(key)), None)
        if stamp is None:
            stamp = self._call("look into", lambda fs: fs.modified(path))
        if isinstance(stamp, str):
            stamp = datetime.fromisoformat(stamp)
        if isinstance(stamp, datetime):
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
        return float(stamp)

    def _name(self, digest: str) -> str:
        check_digest(digest)
        return f"blobs/{digest[:2]}/{digest[2:]}"

    def _target(self, digest: str) -> str:
        return self._folder.path(self._name(digest))

    def _read(self, action: Callable[[Any], _T], digest: str) -> _T:
        """Read a blob, again if a writer renewed it meanwhile: HDFS drops at once what a rename replaces.

        Where a file cannot be replaced, the old one is moved aside for a moment: then it is looked for again.
        """
        seen: float | None = None
        pauses = iter(() if self._folder.whole else _PAUSES)
        for _ in range(_READS - 1):
            try:
                return self._call("read a blob of", action, digest)
            except CorruptArtifactError as error:
                missing = error
            except StoreUnavailableError as error:
                info = self._info(digest)
                if info is not None:
                    if info.modified == seen:  # nobody renewed it: that is not why
                        raise
                    seen = info.modified
                    continue
                if not self._folder.is_there():
                    raise
                missing = gone(digest, self._target(digest))
                missing.__cause__ = error
            pause = next(pauses, None)
            if pause is None:
                raise missing
            time.sleep(pause)
        return self._call("read a blob of", action, digest)

    def _call(self, verb: str, action: Callable[[Any], _T], digest: str | None = None) -> _T:
        """Do something with the file system; whatever it raises becomes an error of the house."""
        try:
            return self._folder.call(verb, action)
        except FileNotFoundError as error:
            if digest is not None and self._folder.is_there():
                raise gone(digest, self._target(digest)) from error
            raise self._folder.error(error, verb) from error


def default_cache() -> Path:
    """Where remote blobs are kept locally: ``$TIDEMILL_CACHE`` or ``tidemill/blobs`` in the user's cache folder."""
    chosen = os.environ.get("TIDEMILL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill" / "blobs"


def _remove(fs: Any, path: str) -> None:
    fs.rm_file(path)


def _delete(fs: Any, path: str) -> None:
    """Remove a file that another process may be removing too."""
    with suppress(FileNotFoundError):
        fs.rm_file(path)
