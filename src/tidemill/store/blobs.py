"""What every artifact store is: named bytes that are their own name, and how its failures read."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tidemill.core.errors import CorruptArtifactError, OutOfSpaceError, StoreError, StoreUnavailableError, UsageError

#: Bytes read at a time when a file is hashed or copied.
CHUNK = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: the SHA-256 of the bytes as 64 hexadecimal digits, and how many they are."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob as it is listed; `modified` is when it was last put or touched, in seconds since the epoch."""

    digest: str
    size: int
    modified: float


class ArtifactStore(ABC):
    """Content-addressed bytes: put once under the SHA-256 of the bytes, verified when read, never changed.

    Parameters
    ----------
    url
        Where it is; another process opens the same store with it and the options.
    options
        What its file system needs to know beside the URL.

    Notes
    -----
    What every implementation guarantees (`tidemill.testing.artifact_contract` checks it):

    - A blob is visible whole or not at all, whenever a writer dies and however many write the same one.
    - Reading gives the bytes that were put, or raises `CorruptArtifactError`; putting the bytes again heals the blob.
    - One `put` makes at most one file or object.
    - Putting or touching a blob makes it young again, so that garbage collection leaves it for its grace period.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self.options = dict(options or {})

    #: The shortest grace period, in seconds, with which garbage collection is safe beside running writers.
    minimum_grace: float = 0.0

    @abstractmethod
    def put(self, data: bytes) -> Blob:
        """Store bytes; storing them again costs little and makes the blob young."""

    @abstractmethod
    def read(self, digest: str) -> bytes:
        """The bytes, verified.

        Raises
        ------
        CorruptArtifactError
            The stored bytes are not those that were put, or are gone.
        """

    @abstractmethod
    def path(self, digest: str) -> Path:
        """A local file with the bytes, verified. Read it only; a remote store downloads it once into its cache."""

    @abstractmethod
    def exists(self, digest: str) -> bool:
        """Whether the blob is there; its bytes are not looked at."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """Its number of bytes; `CorruptArtifactError` if it is gone."""

    @abstractmethod
    def touch(self, digest: str) -> None:
        """Make it young, so that garbage collection leaves it; `CorruptArtifactError` if it is gone."""

    @abstractmethod
    def delete(self, digest: str) -> None:
        """Remove it; removing what is not there is no error."""

    @abstractmethod
    def discard(self, digest: str, *, before: float) -> int | None:
        """Remove it if it was last touched before this moment (seconds since the epoch).

        Returns
        -------
        int or None
            The bytes freed, or None if it is younger or gone.
        """

    @abstractmethod
    def blobs(self) -> Iterator[BlobInfo]:
        """Every blob, in no order."""

    @abstractmethod
    def sweep(self, *, before: float, dry_run: bool = False) -> list[tuple[str, int]]:
        """Remove what dead writers left behind before this moment: names and sizes of temporary files."""

    @abstractmethod
    def scratch(self) -> Path:
        """A new local temporary file, empty, on the file system that holds blobs or their cache."""

    @abstractmethod
    def adopt(self, path: Path, blob: Blob) -> None:
        """Move a scratch file, whose digest and size are known, in as a blob. The file is gone afterwards."""

    @abstractmethod
    def view(self, name: str, build: Callable[[Path], None], check: Callable[[Path], bool] | None = None) -> Path:
        """A local folder that is made once, and kept until nobody has asked for it during a grace period.

        Parameters
        ----------
        name
            64 hexadecimal digits that say what is in it.
        build
            Fills an empty folder. Another process may do the same at the same time; one of the two stays.
        check
            Whether a folder that is there is still as it was built; if not, it is built again.
        """

    def open(self, digest: str) -> BinaryIO:
        """The bytes as a binary file, verified before the first byte is given out."""
        return self.path(digest).open("rb")

    def put_file(self, path: Path) -> Blob:
        """Store the bytes of a file in bounded memory; the file stays where it is."""
        with self.writer() as writer, path.open("rb") as source:
            while chunk := source.read(CHUNK):
                writer.write(chunk)
        return writer.blob

    def writer(self) -> Writer:
        """A context manager to write a blob piece by piece: `.write(bytes)`, or any library writes to `.path`.

        After a clean exit `.blob` names what was written; after an exception nothing remains.
        """
        return Writer(self)


class Writer:
    """A blob in the making; see `ArtifactStore.writer`."""

    path: Path
    blob: Blob

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._hasher = hashlib.sha256()
        self._written = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Writer:
        self.path = self._store.scratch()
        return self

    def write(self, data: bytes) -> int:
        """Append bytes."""
        try:
            if self._file is None:
                self._file = self.path.open("wb", buffering=0)
            view = memoryview(data).cast("B")
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise storage_error(error, self._store.url, "write a blob to") from error
        self._hasher.update(data)
        self._written += len(data)
        return len(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
            if kind is None:
                self.blob = self._measure()
                self._store.adopt(self.path, self.blob)
            elif isinstance(error, OSError) and error.errno in _FULL:
                raise storage_error(error, self._store.url, "write a blob to") from error
        except OSError as failure:
            raise storage_error(failure, self._store.url, "write a blob to") from failure
        finally:
            with suppress(OSError):  # the error above says more
                self.path.unlink(missing_ok=True)

    def _measure(self) -> Blob:
        """The digest of what was written here; hashed from the file if something else wrote it."""
        size = self.path.stat().st_size
        if size == self._written:
            return Blob(self._hasher.hexdigest(), size)
        return Blob(digest_file(self.path), size)


def digest_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, as 64 hexadecimal digits."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def check_digest(digest: str) -> str:
    """Refuse what is not a digest, before it becomes part of a path."""
    if not _DIGEST.fullmatch(digest):
        raise UsageError(
            "not the digest of a blob", value=digest, hint="Give the SHA-256 of the bytes as 64 hexadecimal digits."
        )
    return digest


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes only, without permissions and times."""
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, CHUNK)


def storage_error(error: Exception, url: str, verb: str, what: str = "the artifact store") -> StoreError:
    """The error of the house for a failure of the file system under a store."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, OSError) and error.errno in _FULL:
        return OutOfSpaceError(
            f"cannot {verb} {what} at {url}: no space is left ({error.strerror})",
            hint="Free space or raise the quota, for example with `tidemill gc`; nothing half-written remains.",
        )
    return StoreUnavailableError(
        f"cannot {verb} {what} at {url}: {type(error).__name__}: {error}",
        hint="Check that it exists, is mounted or reachable, and that you may read and write it.",
    )


def corrupt(digest: str, where: str, found: str, expected_size: int | None = None) -> CorruptArtifactError:
    """The error for bytes that do not match their digest."""
    size = "" if expected_size is None else f" in {expected_size} bytes"
    return CorruptArtifactError(
        f"the blob at {where} is corrupt: expected SHA-256 {digest}, found {found}{size}",
        hint="Run the step that made it again without the cache, which writes it anew, or restore it from a backup.",
    )


def gone(digest: str, where: str) -> CorruptArtifactError:
    """The error for a blob that is not there."""
    return CorruptArtifactError(
        f"the blob {digest} is gone: nothing is at {where}",
        hint="Run the step that made it again without the cache, which writes it anew, or restore it from a backup.",
    )
