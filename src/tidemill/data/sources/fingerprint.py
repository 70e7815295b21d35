"""Content digests of files, computed once for each state that a file is in."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

_CHUNK = 1 << 24
_known: dict[tuple[str, int, int, int], str] = {}


def file_digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file.

    The digest is of the content, so that a file that was only touched is not new data. It is remembered under path,
    size, modification time in nanoseconds and inode, so that an unchanged file is read once in a process.
    """
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if key not in _known:
        _known[key] = _hashed(path) if stat.st_size else hashlib.sha256().hexdigest()
    return stat.st_size, _known[key]


def _hashed(path: Path) -> str:
    """Mapped, since copying costs a quarter of the hash."""
    hasher = hashlib.sha256()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for start in range(0, len(mapped), _CHUNK):
            with memoryview(mapped)[start : start + _CHUNK] as part:
                hasher.update(part)
    return hasher.hexdigest()
