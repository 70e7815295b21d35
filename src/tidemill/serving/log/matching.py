"""Whose rows are meant: those that have a value in a column, in the clear or as its hash."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.project.settings import nearest
from tidemill.serving.log.decoding import FEATURE, decode
from tidemill.serving.log.layout import Days
from tidemill.serving.log.places import Place
from tidemill.serving.log.privacy import CLIENT, ENTITY, hashed


@dataclass(frozen=True, slots=True)
class Subject:
    """The rows that are about somebody.

    Parameters
    ----------
    column
        ``entity``, ``client``, or an input of the model.
    value
        As it was sent.
    key
        Of the hashes; empty if there are none.

    Examples
    --------
    >>> frame = pl.DataFrame({"entity": ["ann", "ben", None], "features.seat": [4.0, 5.0, None]})
    >>> Subject("entity", "ann").rows(frame).to_list(), Subject("seat", "5").rows(frame).to_list()
    ([True, False, False], [False, True, False])
    """

    column: str
    value: str
    key: str = ""

    @property
    def stored(self) -> str:
        """What the log calls the column."""
        return self.column if self.column in (ENTITY, CLIENT) else FEATURE + self.column

    def rows(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows of predictions they are."""
        if self.stored not in frame.columns:
            return pl.repeat(value=False, n=frame.height, eager=True)
        cells = frame[self.stored]
        if cells.dtype.is_nested():
            raise UsageError("nobody is found by a column of lists", value=self.column, hint="Name another column.")
        found = cells.cast(pl.String).is_in(self._spellings()).fill_null(value=False)
        if cells.dtype.is_numeric():
            with suppress(ValueError):
                found |= (cells == float(self.value)).fill_null(value=False)
        return found

    def labels(self, frame: pl.DataFrame) -> pl.Series:
        """Which labels name them."""
        if self.column != ENTITY:
            return pl.repeat(value=False, n=frame.height, eager=True)
        return self.rows(frame)

    def _spellings(self) -> list[str]:
        plain = [self.value]
        with suppress(ValueError):  # a number was hashed as Python writes it
            plain.append(str(float(self.value)))
        return [*plain, *(hashed(self.key, self.column, one) for one in plain if self.key)]


def requests_of(subject: Subject, model: str, places: Iterable[Place], segments: Iterable[Path]) -> pl.DataFrame:
    """The requests and rows in them that a log has about somebody.

    Raises
    ------
    UsageError
        When nothing in the log has such a column.
    """
    gone = [pl.DataFrame(schema={"request_id": pl.String, "row": pl.Int32})]
    columns: set[str] = set()

    def look(frame: pl.DataFrame) -> None:
        columns.update(frame.columns)
        gone.append(frame.filter(subject.rows(frame)).select("request_id", "row"))

    for place in places:
        for path in place.files(Days(model)):
            scanned = pl.scan_parquet(place.source(path), hive_partitioning=False)
            names = scanned.collect_schema().names()
            columns.update(names)
            look(scanned.select(name for name in ("request_id", "row", subject.stored) if name in names).collect())
    for segment in segments:
        look(decode(segment.read_bytes()).frame)
    known = [ENTITY, CLIENT, *sorted(name.removeprefix(FEATURE) for name in columns if name.startswith(FEATURE))]
    if columns and subject.column not in known:
        hint = nearest(subject.column, known)
        raise UsageError("the log of this model has no such column", value=subject.column, hint=hint)
    return pl.concat(gone).unique()
