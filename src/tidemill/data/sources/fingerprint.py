"""Content digests of files, computed once for each state that a file is in."""

from __future__ import annotations

import hashlib
import mmap
import os
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
        _known[key] = _hashed(path)
    return stat.st_size, _known[key]


def _hashed(path: Path) -> str:
    """Mapped, since copying costs a quarter of the hash, and part by part, since what is mapped counts as memory."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start in range(0, size, _CHUNK):
            length = min(_CHUNK, size - start)
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start) as part:
                hasher.update(part)
    return hasher.hexdigest()
