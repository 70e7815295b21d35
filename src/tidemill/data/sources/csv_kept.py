"""Where the blocks of a CSV file are while it is read, and after: in memory, or in a folder as Arrow files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

import polars as pl

from tidemill.data.sources.cache import made
from tidemill.data.sources.csv_blocks import BLOCK


class Kept(Protocol):
    """The tables of the blocks, in order."""

    #: Bytes of text of a block; None for all of it.
    block_size: int | None

    def __enter__(self) -> Kept:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing that is half done."""
        ...

    def from_before(self) -> pl.LazyFrame | None:
        """The table, if it was read before."""
        ...

    def add(self, frame: pl.DataFrame) -> None:
        """Keep the table of the next block."""
        ...

    def block(self, number: int) -> pl.DataFrame:
        """The table of a block."""
        ...

    def replace(self, number: int, frame: pl.DataFrame) -> None:
        """Keep another table for a block."""
        ...

    def table(self, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        """All blocks; a table of these columns without rows if there was none."""
        ...


class InMemory:
    """For files of a size that memory holds."""

    block_size: int | None = None

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []

    def __enter__(self) -> InMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def from_before(self) -> pl.LazyFrame | None:
        """Nothing outlives the process."""
        return None

    def add(self, frame: pl.DataFrame) -> None:
        """Keep the table of the next block."""
        self._frames.append(frame)

    def block(self, number: int) -> pl.DataFrame:
        """The table of a block."""
        return self._frames[number]

    def replace(self, number: int, frame: pl.DataFrame) -> None:
        """Keep another table for a block."""
        self._frames[number] = frame

    def table(self, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        """All blocks, or a table without rows."""
        return (pl.concat(self._frames) if self._frames else pl.DataFrame(schema=dict(types))).lazy()


class OnDisk:
    """For larger files: the folder appears when everything is in it."""

    block_size: int | None = BLOCK

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary: Path | None = None
        self._number = 0

    def __enter__(self) -> OnDisk:
        self._temporary = Path(tempfile.mkdtemp(dir=made(self._folder.parent), prefix="tmp-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def from_before(self) -> pl.LazyFrame | None:
        """The table, if its folder is there."""
        return self._scan() if self._folder.is_dir() else None

    def add(self, frame: pl.DataFrame) -> None:
        """Keep the table of the next block."""
        self.replace(self._number, frame)
        self._number += 1

    def block(self, number: int) -> pl.DataFrame:
        """The table of a block."""
        return pl.read_ipc(self._path(number).read_bytes())  # not mapped: it is written over

    def replace(self, number: int, frame: pl.DataFrame) -> None:
        """Keep another table for a block."""
        frame.write_ipc(self._path(number), compression="uncompressed")

    def table(self, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        """All blocks, or a table without rows."""
        if self._number == 0:
            self.add(pl.DataFrame(schema=dict(types)))
        assert self._temporary is not None
        try:
            self._temporary.rename(self._folder)
        except OSError:  # another process has read the same file meanwhile
            if not self._folder.is_dir():
                raise
        return self._scan()

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_ipc(sorted(self._folder.glob("*.arrow")), hive_partitioning=False)

    def _path(self, number: int) -> Path:
        assert self._temporary is not None
        return self._temporary / f"{number:06}.arrow"
