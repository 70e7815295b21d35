"""Where a log has sealed files: a folder on this machine, and archives elsewhere with the same names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import polars as pl

from tidemill.core.errors import DataError
from tidemill.serving.log.files import contents, listed, reading
from tidemill.serving.log.layout import Days
from tidemill.store.blobs_local import flush

#: What an erasure or a sealing leaves behind when it is interrupted.
_DRAFTS = ("*.erasing", "*.sealing")


def columns_of(source: Path | BinaryIO, shown: str) -> pl.Schema:
    """The columns of a sealed file, by what is at its end; raises `FileNotFoundError` if it is gone.

    Raises
    ------
    StoreUnavailableError
        When it cannot be read.
    DataError
        When it is no whole file.
    """
    with _whole(shown):
        return pl.Schema(pl.read_parquet_schema(source))


def table_of(source: Path | bytes, shown: str) -> pl.DataFrame:
    """A sealed file as a table; raises as `columns_of`."""
    with _whole(shown):
        return pl.read_parquet(source, hive_partitioning=False)


@contextmanager
def _whole(shown: str) -> Iterator[None]:
    try:
        with reading(shown):
            yield
    except pl.exceptions.PolarsError as error:
        problem = f"a sealed file of the prediction log is damaged or cut off: {str(error).splitlines()[0]}"
        hint = "Put a copy of it back from a backup, or move it out of the log to go on without its rows."
        raise DataError(problem, value=shown, hint=hint) from error


class Place(Protocol):
    """Somewhere that has sealed files, each named by its path in the log; all raise `FileNotFoundError` for others."""

    def files(self, days: Days) -> list[str]:
        """The sealed files of these days."""

    def schemas(self, paths: list[str]) -> dict[str, pl.Schema]:
        """The columns of files, without those that are gone meanwhile."""

    def source(self, path: str) -> Path | bytes:
        """A file as Polars reads it, found to have an end."""

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

    def full(self, path: str) -> str:
        """A file as whoever has to mend it finds it."""


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
                found[path] = columns_of(self._root / path, self.full(path))
            except FileNotFoundError:
                continue
        return found

    def source(self, path: str) -> Path | bytes:
        """A file as Polars reads it, found to have an end."""
        columns_of(self._root / path, self.full(path))
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

    def full(self, path: str) -> str:
        """A file as whoever has to mend it finds it."""
        return str((self._root / path).absolute())
