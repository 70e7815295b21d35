"""A folder as a zip archive that depends on nothing but names, bytes and executable bits: no times, users or order."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError

#: The time stamp of everything unpacked, 1980-01-01: a file that somebody changed has another.
EPOCH = 315_532_800
_CHUNK = 1 << 20
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: IO[bytes]) -> tuple[str, int]:
    """Write a folder into a zip archive.

    Returns
    -------
    digest
        Of the relative names, bytes and executable bits; the folder's own name does not matter.
    files
        How many files it has.

    Raises
    ------
    MaterialiserError
        There is something in it that is no file or folder, such as a symbolic link.
    """
    entries: dict[str, object] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # what zlib makes of bytes depends on its version
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                archive.writestr(_entry(f"{name}/", 0o755, directory=True), b"")
                entries[f"{name}/"] = True
            elif stat.S_ISREG(mode):
                executable = bool(mode & stat.S_IXUSR)
                entries[name] = (_add(archive, path, _entry(name, 0o755 if executable else 0o644)), executable)
            else:
                raise MaterialiserError(
                    f"the folder {folder} holds something that is neither file nor folder",
                    value=str(path),
                    hint="Leave symbolic links, sockets and devices out of folders that a step returns.",
                )
    return digest_value(("folder", entries)), sum(not name.endswith("/") for name in entries)


def unpack(archive_path: Path, target: Path) -> None:
    """Write the files of an archive into an empty folder, read-only, with the time stamp `EPOCH`.

    Raises
    ------
    MaterialiserError
        A name in it leads outside the folder.
    """
    with zipfile.ZipFile(archive_path) as archive:
        for info in archive.infolist():
            place = target.joinpath(*_inside(info.filename, archive_path))
            if info.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, place.open("wb") as out:
                while chunk := source.read(_CHUNK):
                    out.write(chunk)
            place.chmod(0o555 if info.external_attr >> 16 & stat.S_IXUSR else 0o444)
            os.utime(place, (EPOCH, EPOCH))


def is_intact(archive_path: Path, folder: Path) -> bool:
    """Whether a folder that was unpacked from an archive has had nothing added, removed or written since."""
    with zipfile.ZipFile(archive_path) as archive:
        expected = {info.filename: (info.file_size, EPOCH) for info in archive.infolist() if not info.is_dir()}
    found = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        if not stat.S_ISDIR(state.st_mode):
            found[path.relative_to(folder).as_posix()] = (state.st_size, int(state.st_mtime))
    return found == expected


def _add(archive: zipfile.ZipFile, path: Path, entry: zipfile.ZipInfo) -> str:
    hasher = hashlib.sha256()
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as out:
        while chunk := source.read(_CHUNK):
            hasher.update(chunk)
            out.write(chunk)
    return hasher.hexdigest()


def _entry(name: str, mode: int, *, directory: bool = False) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
    entry.create_system = 3  # Unix, wherever it is made
    entry.external_attr = ((stat.S_IFDIR if directory else stat.S_IFREG) | mode) << 16 | (0x10 if directory else 0)
    return entry


def _inside(name: str, archive: Path) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or not parts:
        raise MaterialiserError(
            f"the folder archive {archive} holds a name that leads outside it",
            value=name,
            hint="It was not written by Tidemill; do not use it.",
        )
    return parts
