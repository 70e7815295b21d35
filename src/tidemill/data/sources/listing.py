"""Which files a remote address names: itself, those below a folder, or those that match a glob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

#: What a file system says of a file.
Info: TypeAlias = Mapping[str, Any]

_SIGNS = frozenset("*?[")
#: Stores that list all below a prefix in one go. The others have folders, and are walked: fsspec's own walk leaves out
#: a folder that it may not read, and says nothing.
_FLAT = frozenset("s3 s3a gs gcs az abfs abfss adl memory".split())


def listed(system: Any, path: str, scheme: str) -> dict[str, Info]:
    """The files in reading order, each with what the file system says of it; those that writers hide are left out.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    Exception
        Whatever the file system raises where it does not answer or a folder may not be read.
    """
    if scheme in ("http", "https"):
        return {path: system.info(path)}  # a question mark there begins a query, and folders are not listed
    if _SIGNS.isdisjoint(path):
        info = system.info(path)
        if info["type"] != "directory":
            return {path: info}
        found = system.find(path, detail=True).items() if scheme in _FLAT else _below(system, path)
        return {name: item for name, item in sorted(found) if not _hides(name.removeprefix(path))}
    if scheme in _FLAT:
        found = system.glob(path, detail=True).items()
    else:
        first, *rest = path.lstrip("/").split("/")
        found = _matching(system, "", [first, *rest])
    fixed = path[: min(path.index(sign) for sign in _SIGNS if sign in path)].rpartition("/")[0]
    wanted = path.rpartition("/")[2].startswith(("_", "."))
    files = {name: info for name, info in sorted(found) if info["type"] == "file"}
    return {name: info for name, info in files.items() if wanted or not _hides(name.removeprefix(fixed))}


def _hides(inside: str) -> bool:
    """Whether a file is a writer's own: in or named ``_temporary``, ``_SUCCESS``, ``.part-0.crc``, or half copied."""
    parts = [part for part in inside.split("/") if part]
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts) or (
        bool(parts) and parts[-1].endswith("._COPYING_")
    )


def _below(system: Any, folder: str) -> Iterator[tuple[str, Info]]:
    for item in system.ls(folder, detail=True):
        if item["type"] != "directory":
            yield item["name"], item
        elif not _hides(item["name"].rpartition("/")[2]):
            yield from _below(system, item["name"])


def _matching(system: Any, folder: str, pattern: list[str]) -> Iterator[tuple[str, Info]]:
    """Files below a folder whose path matches, one folder's listing at a time."""
    head, *rest = pattern
    if not rest and head == "**":
        yield from _below(system, folder or "/")
        return
    if _SIGNS.isdisjoint(head) and rest:
        yield from _matching(system, f"{folder}/{head}", rest)
        return
    if head == "**":
        yield from _matching(system, folder, rest)
    for item in _entries(system, folder or "/"):
        name = item["name"].rstrip("/").rpartition("/")[2]
        if item["type"] == "directory" and rest:
            if head == "**" and not _hides(name):
                yield from _matching(system, item["name"], pattern)
            elif head != "**" and fnmatchcase(name, head):
                yield from _matching(system, item["name"], rest)
        elif item["type"] != "directory" and not rest and fnmatchcase(name, head):
            yield item["name"], item


def _entries(system: Any, folder: str) -> list[Info]:
    try:
        entries: list[Info] = system.ls(folder, detail=True)
    except FileNotFoundError:  # one of the folders that match has no such folder in it
        return []
    return entries
