"""Blobs in a local folder: ``blobs/ab/cdef…`` for the bytes and ``tmp/`` for what is being written."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tidemill.core.errors import StoreUnavailableError
from tidemill.store.blobs import (
    ArtifactStore,
    Blob,
    BlobInfo,
    check_digest,
    copy_file,
    corrupt,
    digest_file,
    gone,
    storage_error,
)

_MEMORY = 1 << 16  # blobs remembered as verified
_REMOVED = ".removed"
_SHARD = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")
_READ_ONLY = 0o444
_Seen = tuple[int, int, int]


class LocalArtifacts(ArtifactStore):
    """An artifact store in a folder of this machine or of a mounted file system.

    Parameters
    ----------
    root
        The folder.
    durable
        Flush file and folder to the disk before a blob counts as stored. Without it a power cut may lose the newest
        blobs, never half of one unnoticed: what is read is verified. It is the same promise as SQLite's
        ``synchronous=NORMAL`` beside it.
    create
        Make the folder if it is missing.

    Raises
    ------
    StoreUnavailableError
        The folder is missing and may not or cannot be made.
    """

    def __init__(self, root: Path, *, durable: bool = False, create: bool = True) -> None:
        super().__init__(str(root))
        self.root = root
        self._durable = durable
        self._blobs = root / "blobs"
        self._temporary = root / "tmp"
        self._views = root / "views"
        self._verified: dict[str, _Seen] = {}
        try:
            if create:
                self._blobs.mkdir(parents=True, exist_ok=True)
                self._temporary.mkdir(exist_ok=True)
            elif not self._blobs.is_dir():
                raise FileNotFoundError(f"no folder {self._blobs}")
        except OSError as error:
            raise storage_error(error, self.url, "open") from error

    def put(self, data: bytes) -> Blob:
        """Store bytes; see `ArtifactStore.put`."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        try:
            if not self._keep(blob):
                temporary = self._name()
                try:
                    self._write(temporary, data)
                    self._rename(temporary, blob)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise storage_error(error, self.url, "write a blob to") from error
        return blob

    def read(self, digest: str) -> bytes:
        """The bytes, verified; see `ArtifactStore.read`."""
        target = self._target(digest)
        try:
            with target.open("rb", buffering=0) as source:
                seen = _seen(os.fstat(source.fileno()))
                data = source.readall()
        except FileNotFoundError:
            raise self._missing(digest) from None
        except OSError as error:
            raise storage_error(error, self.url, "read a blob of") from error
        if self._verified.get(digest) != seen or len(data) != seen[0]:
            found = hashlib.sha256(data).hexdigest()
            if found != digest:
                raise corrupt(digest, str(target), found, len(data))
            self._remember(digest, seen)
        return data

    def path(self, digest: str) -> Path:
        """The blob's own file, verified; see `ArtifactStore.path`."""
        target = self._target(digest)
        try:
            seen = _seen(target.stat())
            if self._verified.get(digest) != seen:
                found = digest_file(target)
                if found != digest:
                    raise corrupt(digest, str(target), found, seen[0])
                self._remember(digest, seen)
        except FileNotFoundError:
            raise self._missing(digest) from None
        except OSError as error:
            raise storage_error(error, self.url, "read a blob of") from error
        return target

    def exists(self, digest: str) -> bool:
        """Whether the blob is there; `StoreUnavailableError` if the store is not."""
        if self._target(digest).is_file():
            return True
        self._check_root()
        return False

    def size(self, digest: str) -> int:
        """Its number of bytes."""
        try:
            return self._target(digest).stat().st_size
        except FileNotFoundError:
            raise self._missing(digest) from None
        except OSError as error:
            raise storage_error(error, self.url, "read a blob of") from error

    def touch(self, digest: str) -> None:
        """Make it young."""
        target = self._target(digest)
        try:
            seen = _seen(target.stat())
            try:
                self._renew(digest, target, verified=self._verified.get(digest) == seen)
            except PermissionError:  # another user's: a copy of our own is as good
                temporary = self.scratch()
                copy_file(target, temporary)
                self._rename(temporary, Blob(digest, seen[0]))
        except FileNotFoundError:
            raise self._missing(digest) from None
        except OSError as error:
            raise storage_error(error, self.url, "touch a blob of") from error

    def delete(self, digest: str) -> None:
        """Remove it."""
        try:
            self._target(digest).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.url, "delete a blob of") from error

    def discard(self, digest: str, *, before: float) -> int | None:
        """Remove it if it was not touched since `before`, even when a writer touches it at this very moment.

        The blob is first moved aside. A writer that comes later finds nothing and writes it anew; one that touched it
        just before is seen in the time stamp of what was moved, which then goes back.
        """
        target = self._target(digest)
        aside = self._temporary / f"{digest}.{secrets.token_hex(4)}{_REMOVED}"
        try:
            if target.stat().st_mtime >= before:
                return None
            target.rename(aside)
            state = aside.stat()
            if state.st_mtime >= before:
                self._restore(aside, target)
                return None
            aside.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, self.url, "delete a blob of") from error
        return state.st_size

    def blobs(self) -> Iterator[BlobInfo]:
        """Every blob, in no order."""
        self._check_root()
        try:
            with os.scandir(self._blobs) as entries:
                shards = sorted(entry.name for entry in entries if _SHARD.fullmatch(entry.name))
        except OSError as error:
            raise storage_error(error, self.url, "list") from error
        for shard in shards:
            yield from self._shard(shard)

    def sweep(self, *, before: float, dry_run: bool = False) -> list[tuple[str, int]]:
        """Remove temporary files of dead writers, and views that nobody asked for."""
        swept = []
        try:
            for path in [*self._temporary.iterdir(), *(self._views.iterdir() if self._views.is_dir() else ())]:
                state = _stat(path)
                if state is None:
                    continue
                if state.st_mtime >= before:
                    self._bring_back(path, dry_run=dry_run)
                    continue
                swept.append((path.name, _measure(path, state)))
                if not dry_run:
                    self._remove(path)
        except OSError as error:
            raise storage_error(error, self.url, "sweep") from error
        return swept

    def view(self, name: str, build: Callable[[Path], None], check: Callable[[Path], bool] | None = None) -> Path:
        """A folder in ``views/``; see `ArtifactStore.view`."""
        target = self._views / check_digest(name)
        try:
            if target.is_dir():
                if check is None or check(target):
                    with suppress(PermissionError):  # another user's: then theirs keeps it young
                        os.utime(target)
                    return target
                self._remove(target)
            made = self._name()
            made.mkdir()
            try:
                build(made)
                self._views.mkdir(exist_ok=True)
                made.rename(target)
            except OSError:
                shutil.rmtree(made, ignore_errors=True)
                if not target.is_dir():  # nobody else made it meanwhile
                    raise
        except OSError as error:
            raise storage_error(error, self.url, "unpack a blob of") from error
        return target

    def scratch(self) -> Path:
        """A new empty file in ``tmp/``."""
        path = self._name()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except OSError as error:
            raise storage_error(error, self.url, "write a blob to") from error
        return path

    def adopt(self, path: Path, blob: Blob) -> None:
        """Move a scratch file in as a blob."""
        try:
            if self._keep(blob):
                path.unlink(missing_ok=True)
                return
            path.chmod(_READ_ONLY & path.stat().st_mode)
            if self._durable:
                flush(path)
            self._rename(path, blob)
        except OSError as error:
            raise storage_error(error, self.url, "write a blob to") from error

    def _keep(self, blob: Blob) -> bool:
        """Whether the blob is there already, whole; then it is young afterwards. A corrupt one is written over."""
        target = self._target(blob.digest)
        try:
            seen = _seen(target.stat())
            if seen[0] != blob.size:
                return False
            if self._verified.get(blob.digest) != seen and digest_file(target) != blob.digest:
                return False
            self._renew(blob.digest, target, verified=True)
        except (FileNotFoundError, PermissionError):  # collected meanwhile, or another user's: write our own
            return False
        return True

    def _renew(self, digest: str, target: Path, *, verified: bool) -> None:
        os.utime(target)
        if verified:
            self._remember(digest, _seen(target.stat()))

    def _write(self, path: Path, data: bytes) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _READ_ONLY)
        try:
            view = memoryview(data).cast("B")
            while view:
                view = view[os.write(handle, view) :]
            if self._durable:
                os.fsync(handle)
        finally:
            os.close(handle)

    def _rename(self, temporary: Path, blob: Blob) -> None:
        target = self._target(blob.digest)
        try:
            temporary.replace(target)
        except FileNotFoundError:
            self._check_root()
            target.parent.mkdir(exist_ok=True)
            if self._durable:
                flush(self._blobs)
            temporary.replace(target)
        if self._durable:
            flush(target.parent)
        state = _stat(target)
        if state is not None:
            self._remember(blob.digest, _seen(state))

    def _remove(self, path: Path) -> None:
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return
        aside = self._name()
        with suppress(FileNotFoundError):  # another process is doing the same
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)

    def _restore(self, aside: Path, target: Path) -> None:
        try:
            target.hardlink_to(aside)
        except FileExistsError:  # written anew meanwhile
            pass
        aside.unlink()

    def _bring_back(self, path: Path, *, dry_run: bool) -> None:
        """Undo a removal whose process died between moving a blob aside and seeing that a writer had touched it."""
        if path.name.endswith(_REMOVED) and not dry_run:
            self._restore(path, self._target(path.name.partition(".")[0]))

    def _shard(self, shard: str) -> Iterator[BlobInfo]:
        try:
            with os.scandir(self._blobs / shard) as entries:
                found = [entry for entry in entries if _REST.fullmatch(entry.name)]
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, self.url, "list") from error
        for entry in found:
            state = _stat(Path(entry.path))
            if state is not None:
                yield BlobInfo(shard + entry.name, state.st_size, state.st_mtime)

    def _target(self, digest: str) -> Path:
        check_digest(digest)
        return self._blobs / digest[:2] / digest[2:]

    def _name(self) -> Path:
        return self._temporary / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _remember(self, digest: str, seen: _Seen) -> None:
        if len(self._verified) >= _MEMORY:
            self._verified.clear()
        self._verified[digest] = seen

    def _missing(self, digest: str) -> Exception:
        try:
            self._check_root()
        except StoreUnavailableError as error:
            return error
        return gone(digest, str(self._target(digest)))

    def _check_root(self) -> None:
        if not self._blobs.is_dir():
            raise StoreUnavailableError(
                f"the artifact store at {self.url} is gone: there is no folder {self._blobs}",
                hint="Mount or restore it; Tidemill does not make an empty one in its place.",
            )


def _seen(state: os.stat_result) -> _Seen:
    return (state.st_size, state.st_mtime_ns, state.st_ino)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _measure(path: Path, state: os.stat_result) -> int:
    """Bytes of a file, or of the files in a folder."""
    if not path.is_dir():
        return state.st_size
    return sum(inner.lstat().st_size for inner in path.rglob("*") if inner.is_file())


def flush(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive the death of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
