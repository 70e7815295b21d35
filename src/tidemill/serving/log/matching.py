"""Whose rows are meant: those that have a value in a column, in the clear or as its hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.project.settings import nearest
from tidemill.serving.log.decoding import FEATURE, decode
from tidemill.serving.log.layout import Days
from tidemill.serving.log.places import Place
from tidemill.serving.log.privacy import CLIENT, ENTITY, hashed
from tidemill.serving.log.spellings import flag_of, float_of, in_utc, moment_of, spellings, whole_of


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
        return self._found(cells).fill_null(value=False)

    def labels(self, frame: pl.DataFrame) -> pl.Series:
        """Which labels name them."""
        if self.column != ENTITY:
            return pl.repeat(value=False, n=frame.height, eager=True)
        return self.rows(frame)

    def _found(self, cells: pl.Series) -> pl.Series:
        """Where the value is, compared as what the column holds: whole numbers with all their digits."""
        kind, value = cells.dtype, self.value
        if kind.is_integer():
            return cells.cast(pl.String).is_in([str(number) for number in whole_of(value)])
        if kind.is_float():
            return cells.is_in(pl.Series(float_of(value), dtype=kind))
        if kind == pl.Boolean:
            return cells.is_in(pl.Series(flag_of(value), dtype=kind))
        if kind == pl.Date:
            return cells.is_in(pl.Series([moment.date() for moment in moment_of(value)], dtype=kind))
        if isinstance(kind, pl.Datetime):
            moments = pl.Series([in_utc(moment) for moment in moment_of(value)], dtype=pl.Datetime("us"))
            return cells.dt.replace_time_zone(None).cast(pl.Datetime("us")).is_in(moments)
        return cells.cast(pl.String).is_in(self._spellings())

    def _spellings(self) -> list[str]:
        """What the value may be in a column of text: as it was sent, or its hash."""
        plain = [self.value, *(str(flag) for flag in flag_of(self.value) if self.value in ("true", "false"))]
        if not self.key:
            return plain
        is_input = self.column not in (ENTITY, CLIENT)
        typed = spellings(self.value) if is_input else plain  # keys are no numbers: 17 and 17.0 are two
        return [*plain, *(hashed(self.key, self.column, one) for one in typed)]


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
