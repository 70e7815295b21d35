"""Predictions in Parquet: a folder with a file for each chunk, or one file; readers see the old table or the new one.

Chunks are staged beside the target, each with its record; the record is written last, so a chunk without one does not
count. When all are there they take the target's place by renaming.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, StoreUnavailableError
from tidemill.serving.scoring.sql_table import check_keys
from tidemill.serving.scoring.tables import Done, Layout, Place, check_entity

#: Rows that are merged with older ones at a time.
_BUCKET_ROWS = 1_000_000
#: Says that a folder is ours, so that it may be replaced.
_MARKER = "_predictions.json"
#: In the metadata of each file: the column that the entities are from.
_ENTITY = "tidemill.entity"
_MAGIC = b"PAR1"
#: scheme -> a database's name, and at which place of its files the bytes are that tell it.
_DATABASES = {"sqlite": ("SQLite", 0, b"SQLite format 3\x00"), "duckdb": ("DuckDB", 8, b"DUCK")}


def open_table(place: Place, layout: Layout) -> ParquetTable:
    """The table at a path: one file if it ends with ``.parquet``, else a folder."""
    target = Path(place.address)
    if target.is_file():
        _require_parquet(target, place)
    return ParquetTable(target, layout)


def find(place: Place, entity: str) -> dict[str, Any] | None:
    """The newest row of an entity; a scan of the key column, for tables that are asked now and then."""
    target = Path(place.address)
    if not target.exists():  # for a moment, while the new table takes its place
        target = _before(target)
    try:
        frame = pl.scan_parquet(_files(target))
        names = frame.collect_schema()
        key = pl.col("entity").cast(pl.String) == entity
        found = frame.filter(key).sort("as_of" if "as_of" in names else "entity", descending=True).limit(1).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreUnavailableError(f"the predictions cannot be read: {error}", value=place.shown) from error
    if not found.height:
        return None
    row = found.row(0, named=True)
    return row | {name: row[name].replace(tzinfo=UTC) for name in ("as_of", "scored_at") if name in row}


class ParquetTable:
    """A table of predictions in Parquet."""

    def __init__(self, target: Path, layout: Layout) -> None:
        self._target, self._layout = target, layout
        self._staged = target.with_name(f".{target.name}.scoring")

    def begin(self, job: str) -> Mapping[int, Done]:
        """See `tables.Table`."""
        _recover(self._target)
        self._check()
        for other in self._staged.glob("*") if self._staged.is_dir() else ():
            if other.name != job:
                shutil.rmtree(other)
        folder = self._staged / job
        folder.mkdir(parents=True, exist_ok=True)
        done = {}
        for record in folder.glob("*.json"):
            told = json.loads(record.read_text())
            done[int(record.stem)] = Done(told["digest"], told["counts"])
        return done

    def known(self, keys: pl.DataFrame) -> pl.DataFrame:
        """See `tables.Table`."""
        names = [*self._layout.keys, "version", "row_digest"]
        files = _files(self._target)
        if not files:
            return pl.DataFrame(schema={name: self._layout.columns[name] for name in names})
        return pl.scan_parquet(files).select(names).join(keys.lazy(), on=self._layout.keys, how="semi").collect()

    def write(self, job: str, place: int, rows: pl.DataFrame, done: Done) -> None:
        """See `tables.Table`."""
        folder = self._staged / job
        if rows.height:
            _written(rows, folder / f"{place:06d}.parquet", self._layout)
        record = folder / f"{place:06d}.json"
        temporary = record.with_suffix(".tmp")
        temporary.write_text(json.dumps({"digest": done.digest, "counts": dict(done.counts)}))
        temporary.replace(record)

    def finish(self, job: str) -> None:
        """See `tables.Table`."""
        folder = self._staged / job
        new = sorted(folder.glob("[0-9]*.parquet"))
        old = _files(self._target)
        ready = self._staged / "ready"
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir()
        if new or not old:
            self._arrange(new, old, ready)
            (ready / _MARKER).write_text(json.dumps({"model": self._layout.model, "keys": self._layout.keys}))
            self._show(ready)
        shutil.rmtree(self._staged)

    def close(self) -> None:
        """See `tables.Table`."""

    def _check(self) -> None:
        files = _files(self._target)
        if self._target.is_dir() and any(self._target.iterdir()) and not (self._target / _MARKER).exists():
            hint = "Name a folder that is empty or not there."
            raise ConfigError("the folder holds something else", value=str(self._target), hint=hint)
        if not files:
            return
        frame = pl.scan_parquet(files)
        try:
            names = frame.collect_schema().names()
        except pl.exceptions.PolarsError as error:
            hint = "Name another path, or move it away."
            raise ConfigError(
                f"the Parquet file that is there is damaged: {error}", value=str(files[0]), hint=hint
            ) from error
        check_keys(self._target.name, names, self._layout)
        check_entity(self._target.name, pl.read_parquet_metadata(files[0]).get(_ENTITY, ""), self._layout)
        others = frame.filter(pl.col("model") != self._layout.model).select("model").limit(1).collect()
        if others.height:
            hint = "Name another path."
            raise ConfigError(f"{self._target.name!r} holds predictions of {others.item()!r}", hint=hint)

    def _arrange(self, new: list[Path], old: list[Path], ready: Path) -> None:
        """Lay the files of the whole table out in a folder; keys that are there twice keep their newest row."""
        if not old and not self._repeated(new):
            for place, path in enumerate(new):
                _linked(path, ready / f"part-{place:06d}.parquet")
            if not new:
                _written(pl.DataFrame(schema=self._layout.columns), ready / "part-000000.parquet", self._layout)
            return
        keys = list(self._layout.keys)
        # A table of an earlier version may lack columns, or have more.
        every = pl.concat([pl.scan_parquet(path) for path in (*old, *new)], how="diagonal_relaxed")
        rows = every.select(pl.len()).collect().item()
        buckets = max(1, math.ceil(rows / _BUCKET_ROWS))
        for bucket in range(buckets):
            part = every.filter(pl.struct(keys).hash() % buckets == bucket).collect()
            kept = part.unique(keys, keep="last", maintain_order=True)
            if kept.height or not bucket:
                _written(kept, ready / f"part-{bucket:06d}.parquet", self._layout)

    def _repeated(self, files: list[Path]) -> bool:
        """Whether two chunks may have a row of the same key."""
        entity = pl.col("entity")
        spans = [pl.scan_parquet(path).select(entity.min(), entity.max().alias("last")).collect() for path in files]
        edges = pl.concat(spans).sort("entity") if spans else pl.DataFrame(schema=["entity", "last"])
        if (edges["last"][:-1] < edges["entity"][1:]).all():  # as they lie in a source that is sorted by them
            return False
        hashes = pl.scan_parquet(files).select(pl.struct(self._layout.keys).hash()).collect().to_series()
        return hashes.n_unique() < hashes.len()

    def _show(self, ready: Path) -> None:
        if self._target.suffix == ".parquet":
            parts = sorted(ready.glob("*.parquet"))
            whole = parts[0]
            if len(parts) > 1:
                whole = ready / "whole.tmp"
                pl.scan_parquet(parts).sink_parquet(whole, maintain_order=True, metadata={_ENTITY: self._layout.entity})
            self._target.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(self._target)
            return
        before = _before(self._target)
        if self._target.exists():
            self._target.rename(before)
        ready.rename(self._target)
        shutil.rmtree(before, ignore_errors=True)


def _require_parquet(target: Path, place: Place) -> None:
    """Raise ConfigError if the file is of another kind; a database is written by its scheme."""
    with target.open("rb") as file:
        head = file.read(32)
    if head.startswith(_MAGIC):
        return
    path = place.shown.removeprefix("file://")
    for scheme, (name, start, magic) in _DATABASES.items():
        if head[start:].startswith(magic):
            hint = f"Write {scheme}:///{path} for a table in this database."
            raise ConfigError(f"the file is a {name} database, no Parquet file", value=path, hint=hint)
    hint = "Name another path; a table in a database is written by its scheme, such as sqlite:///scores.db."
    raise ConfigError("the file is there already, and is no Parquet file", value=path, hint=hint)


def _before(target: Path) -> Path:
    return target.with_name(f".{target.name}.before")


def _recover(target: Path) -> None:
    """Bring the old table back if a crash came between the two renames."""
    before = _before(target)
    if before.exists() and not target.exists():
        before.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def _files(target: Path) -> list[Path]:
    if target.is_file():
        return [target]
    return sorted(target.glob("*.parquet")) if target.is_dir() else []


def _linked(path: Path, target: Path) -> None:
    """The same file under a second name: a kill from here on leaves the chunks where they are."""
    try:
        os.link(path, target)
    except OSError:  # not every file system has links
        shutil.copyfile(path, target)


def _written(rows: pl.DataFrame, path: Path, layout: Layout) -> None:
    """Write all of it or nothing."""
    temporary = path.with_suffix(".tmp")
    rows.write_parquet(temporary, compression="lz4", metadata={_ENTITY: layout.entity})
    temporary.replace(path)
