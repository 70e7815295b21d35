"""Keep what is kept of sources within bounds: the least recently used goes first, and what the dead have left.

Beside other processes it is safe: who uses an entry marks it under a lock that is shared, and an entry goes under the
exclusive lock, in one rename, if it has no mark of the last hour. What is gone is fetched or parsed again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tidemill.core.clock import lease_now

#: Seconds since its last use during which an entry stays, and since its last write a temporary file.
LEASE = 3600.0
#: Seconds between two looks at all entries of a folder.
_EVERY = 60.0
_LOCK, _LOOKED, _NOTES, _TEMPORARY = ".lock", ".looked", "notes", "tmp-"


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is kept of sources, and what was removed, or would be.

    Parameters
    ----------
    kept, bytes_kept
        Contents of files, queries and pages that stay, with what was made of them.
    evicted, bytes_freed
        Those that were least recently used, beyond the limit; and all bytes freed.
    swept
        Temporary files and folders that processes have left which are gone.
    """

    kept: int
    bytes_kept: int
    evicted: int
    bytes_freed: int
    swept: int


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int
    used: float


def mark_used(entry: Path) -> bool:
    """Note that an entry is used now, so that it stays for a while; False if it is not there."""
    try:
        with _locked(entry.parent.parent, fcntl.LOCK_SH):
            os.utime(entry)
    except FileNotFoundError:
        return False
    except OSError:  # it may be read and not written: then it is not marked
        return entry.exists()
    return True


def keep_within(folder: Path, limit: int) -> None:
    """Evict what is beyond the limit, if nobody has looked lately."""
    looked = folder / _LOOKED
    with suppress(FileNotFoundError):
        if lease_now() - looked.stat().st_mtime < _EVERY:
            return
    looked.touch()
    evict(folder, limit)


def evict(folder: Path, limit: int, *, lease: float = LEASE, dry_run: bool = False) -> CacheReport:
    """Remove what is beyond the limit and unused, and what dead processes have left.

    Parameters
    ----------
    folder
        Where contents are kept by digest.
    limit
        Bytes that may be kept; what was used within the lease stays even so.
    lease
        Seconds.
    dry_run
        Change nothing; say what would be removed.
    """
    before = lease_now() - lease
    leftovers = [_measured(path) for path in _temporaries(folder)]
    dead = [item for item in leftovers if item.used < before]
    entries = sorted((_measured(path) for path in _entries(folder)), key=lambda item: item.used)
    total, gone = sum(item.size for item in entries), []
    for item in entries:
        if total <= limit or item.used >= before:
            break
        if dry_run or _removed(folder, item, before):
            gone.append(item)
            total -= item.size
    if not dry_run:
        for item in dead:
            _delete(item.path)
        _forget(folder, before)
    freed = sum(item.size for item in [*dead, *gone])
    return CacheReport(len(entries) - len(gone), total, len(gone), freed, len(dead))


def _entries(folder: Path) -> Iterator[Path]:
    for shard in _inside(folder):
        if len(shard.name) == 2 and shard.is_dir():
            yield from (path for path in _inside(shard) if path.is_dir() and not path.name.startswith(_TEMPORARY))


def _temporaries(folder: Path) -> Iterator[Path]:
    for place in (folder, *_entries(folder)):
        yield from (path for path in _inside(place) if path.name.startswith(_TEMPORARY))


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # another process was faster
        return []


def _measured(path: Path) -> _Entry:
    """Its bytes, and when it or anything in it was last written or marked."""
    size, used = 0, 0.0
    with suppress(FileNotFoundError):  # another process is at it
        for item in (path, *path.rglob("*")):
            state = item.stat()
            used = max(used, state.st_mtime)
            size += state.st_size if item.is_file() else 0
    return _Entry(path, size, used)


def _removed(folder: Path, entry: _Entry, before: float) -> bool:
    """Take an entry away if it is still unused."""
    grave = Path(mkdtemp(dir=folder, prefix=_TEMPORARY))
    try:
        with _locked(folder, fcntl.LOCK_EX):
            if _measured(entry.path).used >= before:
                return False
            entry.path.rename(grave / entry.path.name)
    except FileNotFoundError:  # another process has removed it
        return False
    finally:
        _delete(grave)
    return True


def _forget(folder: Path, before: float) -> None:
    """Remove the notes on contents that are gone."""
    for note in _inside(folder / _NOTES):
        with suppress(FileNotFoundError, ValueError, KeyError):
            digest = json.loads(note.read_text(encoding="utf-8"))["digest"]
            if note.stat().st_mtime < before and not (folder / digest[:2] / digest).exists():
                note.unlink()


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
