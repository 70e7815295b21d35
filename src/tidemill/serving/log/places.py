"""Where a log has sealed files: a folder on this machine, and archives elsewhere with the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl

from tidemill.serving.log.files import contents, listed
from tidemill.serving.log.layout import Days
from tidemill.store.blobs_local import flush

#: What an erasure or a sealing leaves behind when it is interrupted.
_DRAFTS = ("*.erasing", "*.sealing")


class Place(Protocol):
    """Somewhere that has sealed files, each named by its path in the log; all raise `FileNotFoundError` for others."""

    def files(self, days: Days) -> list[str]:
        """The sealed files of these days."""

    def schemas(self, paths: list[str]) -> dict[str, pl.Schema]:
        """The columns of files, without those that are gone meanwhile."""

    def source(self, path: str) -> Path | bytes:
        """A file as Polars reads it."""

    def read(self, path: str) -> bytes:
        """The bytes of a file."""

    def replace(self, path: str, data: bytes) -> None:
        """Put other bytes in the place of a file, all of them or none."""

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""

    def clear_drafts(self, days: Days) -> None:
        """Delete what somebody left who was interrupted."""

    def shown(self, path: str) -> str:
        """A file as people may see where it is."""


class Folder:
    """The sealed files on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self, days: Days) -> list[str]:
        """The sealed files of these days."""
        return [
            str(path.relative_to(self._root))
            for folder in days.folders(self._root)
            for path in listed(folder, "*.parquet")
        ]

    def schemas(self, paths: list[str]) -> dict[str, pl.Schema]:
        """The columns of files, without those that are gone meanwhile."""
        found = {}
        for path in paths:
            try:
                found[path] = pl.Schema(pl.read_parquet_schema(self._root / path))
            except FileNotFoundError:
                continue
        return found

    def source(self, path: str) -> Path | bytes:
        """A file as Polars reads it."""
        return self._root / path

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        return contents(self._root / path)

    def replace(self, path: str, data: bytes) -> None:
        """Put other bytes in the place of a file, all of them or none."""
        target = self._root / path
        draft = target.with_suffix(".erasing")
        draft.write_bytes(data)
        flush(draft)
        draft.replace(target)
        flush(target.parent)

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""
        (self._root / path).unlink(missing_ok=True)

    def clear_drafts(self, days: Days) -> None:
        """Delete what somebody left who was interrupted."""
        for folder in days.folders(self._root):
            segments = set(listed(folder, "*.log"))
            for pattern in _DRAFTS:
                for path in listed(folder, pattern):
                    if path.with_suffix(".log") not in segments:
                        path.unlink(missing_ok=True)

    def shown(self, path: str) -> str:
        """A file as people may see where it is."""
        return path
