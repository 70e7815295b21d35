"""What tables of predictions in databases have in common: the statements, and one transaction for each chunk."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.serving.scoring.tables import Done, Layout, check_entity

#: The chunks that are done, beside the tables that they were written to.
RECORDS = "tidemill_scoring"
#: The column that the entities of each table are from.
ORIGINS = "tidemill_scored"
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,19}")


def is_whole(entity: str, *, beyond: int = 2**63) -> bool:
    """Whether a key is written as databases write whole numbers of 64 bits: 014 and 14.0 are other keys than 14.

    Those with a sign begin at -2**63; `beyond` is where they end.

    >>> [is_whole(key) for key in ("14", "-7", "0", "014", "14.0", " 14", "٣", "9" * 19)]
    [True, True, True, False, False, False, False, False]
    """
    return _WHOLE.fullmatch(entity) is not None and -(2**63) <= int(entity) < beyond


def quoted(name: str) -> str:
    """A name for SQL, each part in quotes.

    >>> quoted("public.late")
    '"public"."late"'
    """
    return ".".join(f'"{part}"' for part in name.split("."))


def column(name: str) -> str:
    """A column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


class SqlTable(ABC):
    """A table of predictions in a database; a subclass says how it runs statements and how rows get there.

    Parameters
    ----------
    connection
        To the database.
    table
        Its name.
    layout
        Its columns.
    """

    #: The types of the database.
    types: Mapping[type[pl.DataType], str]
    #: What stands for a value in a statement.
    mark = "?"

    def __init__(self, connection: Any, table: str, layout: Layout) -> None:
        self._connection, self.table, self.layout = connection, table, layout

    @abstractmethod
    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and give its rows."""

    @abstractmethod
    def columns(self) -> list[str]:
        """The columns of the table; none if it is not there."""

    @abstractmethod
    def stage(self, rows: pl.DataFrame) -> str:
        """Bring rows into the database for the time of a transaction; the name of what holds them, for SQL."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what the block does."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def begin(self, job: str) -> Mapping[int, Done]:
        """See `tables.Table`."""
        with self.transaction():
            self._check_origin(is_new=self._make())
            mark, table = self.mark, self.layout
            self.run(
                f"CREATE TABLE IF NOT EXISTS {RECORDS} (target VARCHAR(200) NOT NULL, job VARCHAR(64) NOT NULL, "
                "chunk INTEGER NOT NULL, digest VARCHAR(64) NOT NULL, counts TEXT NOT NULL, "
                "PRIMARY KEY (target, chunk))"
            )
            others = f"SELECT model FROM {quoted(self.table)} WHERE model <> {mark} LIMIT 1"
            for (model,) in self.run(others, [table.model]):
                hint = "Name another one after #."
                raise ConfigError(f"the table {self.table!r} holds predictions of {model!r}", hint=hint)
            self.run(f"DELETE FROM {RECORDS} WHERE target = {mark} AND job <> {mark}", [self.table, job])
            found = self.run(f"SELECT chunk, digest, counts FROM {RECORDS} WHERE target = {mark}", [self.table])
        return {chunk: Done(digest, json.loads(counts)) for chunk, digest, counts in found}

    def known(self, keys: pl.DataFrame) -> pl.DataFrame:
        """See `tables.Table`."""
        names = [*self.layout.keys, "version", "row_digest"]
        schema = {name: self.layout.columns[name] for name in names}
        wanted = ", ".join(f"t.{column(name)}" for name in names)
        on = " AND ".join(f"t.{column(name)} = k.{column(name)}" for name in self.layout.keys)
        with self.transaction():
            staged = self.stage(keys)
            rows = self.run(f"SELECT {wanted} FROM {staged} k JOIN {quoted(self.table)} t ON {on}")
        return self.as_frame(rows, schema)

    def as_frame(self, rows: list[tuple[Any, ...]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """Rows of the database in the layout's types."""
        frame = pl.DataFrame(rows, schema=list(schema), orient="row", infer_schema_length=None)
        moments = [name for name, kind in schema.items() if kind == pl.Datetime and frame.height]
        is_text = {name for name in moments if frame.schema[name] == pl.String}
        zoned = [
            pl.col(name).str.to_datetime() if name in is_text else pl.col(name).dt.replace_time_zone(None)
            for name in moments
        ]
        return frame.with_columns(zoned).cast(dict(schema))  # type: ignore[arg-type]

    def write(self, job: str, place: int, rows: pl.DataFrame, done: Done) -> None:
        """See `tables.Table`."""
        mark = self.mark
        with self.transaction():
            if rows.height:
                self.upsert(rows)
            self.run(
                f"INSERT INTO {RECORDS} (target, job, chunk, digest, counts) VALUES ({', '.join([mark] * 5)}) "
                "ON CONFLICT (target, chunk) DO UPDATE SET job = excluded.job, digest = excluded.digest, "
                "counts = excluded.counts",
                [self.table, job, place, done.digest, json.dumps(dict(done.counts))],
            )

    def upsert(self, rows: pl.DataFrame) -> None:
        """Put rows in the place of those with the same keys."""
        names = ", ".join(map(column, rows.columns))
        self.run(self.merging(f"SELECT {names} FROM {self.stage(rows)} WHERE true", rows.columns))

    def merging(self, given: str, names: Sequence[str]) -> str:
        """The statement that inserts what is `given` or updates what is there."""
        keys = self.layout.keys
        updates = ", ".join(f"{column(name)} = excluded.{column(name)}" for name in names if name not in keys)
        return (
            f"INSERT INTO {quoted(self.table)} ({', '.join(map(column, names))}) {given} "
            f"ON CONFLICT ({', '.join(map(column, keys))}) DO UPDATE SET {updates}"
        )

    def finish(self, job: str) -> None:
        """See `tables.Table`."""
        mark = self.mark
        with self.transaction():
            self.run(f"DELETE FROM {RECORDS} WHERE target = {mark} AND job = {mark}", [self.table, job])

    def _make(self) -> bool:
        """Make the table, or give it the columns that it lacks; says whether it was not there."""
        found = self.columns()
        layout = self.layout
        if not found:
            lines = [self._line(name, kind) for name, kind in layout.columns.items()]
            keys = f"PRIMARY KEY ({', '.join(map(column, layout.keys))})"
            self.run(f"CREATE TABLE {quoted(self.table)} ({', '.join([*lines, keys])})")
            return True
        check_keys(self.table, found, layout)
        for name, kind in layout.columns.items():
            if name not in found:  # a later version has more to tell
                self.run(f"ALTER TABLE {quoted(self.table)} ADD COLUMN {column(name)} {self._type(kind)}")
        return False

    def _check_origin(self, *, is_new: bool) -> None:
        """Let nobody mix entities of two kinds, which look alike; a dropped table takes what was said of it along."""
        mark = self.mark
        self.run(f"CREATE TABLE IF NOT EXISTS {ORIGINS} (target VARCHAR(200) PRIMARY KEY, entity TEXT NOT NULL)")
        found = [] if is_new else self.run(f"SELECT entity FROM {ORIGINS} WHERE target = {mark}", [self.table])
        check_entity(self.table, found[0][0] if found else "", self.layout)
        self.run(
            f"INSERT INTO {ORIGINS} (target, entity) VALUES ({mark}, {mark}) "
            "ON CONFLICT (target) DO UPDATE SET entity = excluded.entity",
            [self.table, self.layout.entity],
        )

    def _line(self, name: str, kind: pl.DataType) -> str:
        return f"{column(name)} {self._type(kind)}{' NOT NULL' if name in self.layout.keys else ''}"

    def _type(self, kind: pl.DataType) -> str:
        return self.types[type(kind)]


def check_keys(table: str, found: Sequence[str], layout: Layout) -> None:
    """Raise ConfigError unless the columns are those of a table of predictions with the layout's keys.

    >>> check_keys("t", ["entity", "row_digest", "version"], Layout(("entity",), {}, "m"))
    """
    if "entity" not in found or "row_digest" not in found:
        hint = "Name another table after #: this one was not made by scoring."
        raise ConfigError(f"{table!r} is no table of predictions", value=list(found)[:8], hint=hint)
    if ("as_of" in found) != ("as_of" in layout.keys):
        how = (
            "has one row for each entity and time" if "as_of" in found else "has one row for each entity, without times"
        )
        hint = "Give --at." if "as_of" in found else "Leave --at out, or write to another table."
        raise ConfigError(f"the table {table!r} {how}", hint=hint)
