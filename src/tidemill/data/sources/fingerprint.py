"""Content digests of files, computed once for each state that a file is in."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 20
_known: dict[tuple[str, int, int, int], str] = {}


def file_digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file.

    The digest is of the content, so that a file that was only touched is not new data. It is remembered under path,
    size, modification time in nanoseconds and inode, so that an unchanged file is read once in a process.
    """
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if key not in _known:
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
        _known[key] = hasher.hexdigest()
    return stat.st_size, _known[key]
