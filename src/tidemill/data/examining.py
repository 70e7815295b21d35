"""The first look at a table, column by column: in memory, or from a scan of a table that is larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from tidemill.data.findings.finding import Finding
from tidemill.data.findings.keys import find_in_keys
from tidemill.data.findings.repeats import find_duplicates
from tidemill.data.findings.times import find_in_times
from tidemill.data.findings.values import find_in_values
from tidemill.data.profile import ColumnProfile, measure_column
from tidemill.data.relations.coverage import TimeCoverage, find_in_coverage, time_coverage
from tidemill.data.relations.keys import find_near_duplicates, key_candidates
from tidemill.data.relations.missing import MissingPattern, missing_patterns
from tidemill.data.sampling import SAMPLE, sampled
from tidemill.data.types import Tabular, collected

#: A table is read column by column when it would take more than this share of the memory allowed.
_WHOLE = 1 / 3
#: Measuring takes the memory of a column about this many times.
_COPIES = 10
_HEAD = 10_000
#: Of a table that is not held in memory, this many rows stand for it where rows are compared.
_LARGE_SAMPLE = 200_000


@dataclass(slots=True)
class Examined:
    """What the first look saw; see `tidemill.data.explore.Exploration`."""

    rows: int
    sample: pl.DataFrame
    labels: pl.DataFrame
    profiles: list[ColumnProfile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    coverage: list[TimeCoverage] = field(default_factory=list)
    keys: tuple[tuple[str, ...], ...] = ()
    missing: tuple[MissingPattern, ...] = ()
    basis: dict[str, str] = field(default_factory=dict)


def examine(
    table: Tabular, references: Mapping[str, pl.DataFrame], keys: Mapping[str, str], *, memory: int
) -> Examined:
    """Profiles and findings of columns, keys, missing patterns, and the sample for the rest."""
    if isinstance(table, pl.LazyFrame):
        rows = int(table.select(pl.len()).collect(engine="streaming").item())
        head = table.head(_HEAD).collect(engine="streaming")
        width = {name: head[name].estimated_size() / max(1, head.height) for name in head.columns}
        if rows * sum(width.values()) > memory * _WHOLE:
            return _in_pieces(table, rows, width, references, keys, memory)
    return _whole(collected(table), references, keys)


def _whole(frame: pl.DataFrame, references: Mapping[str, pl.DataFrame], keys: Mapping[str, str]) -> Examined:
    measured = [measure_column(column) for column in frame.iter_columns()]
    sample = sampled(frame)
    out = Examined(frame.height, sample, frame)
    out.profiles = [column.profile for column in measured]
    out.findings = [finding for column in measured for finding in find_in_values(column)]
    out.findings += find_in_times(measured)
    out.findings += find_in_keys(measured, references, keys)
    out.findings += find_duplicates(frame)
    out.findings += find_near_duplicates(frame, measured)
    out.coverage = [found for column in measured if (found := time_coverage(column)) is not None]
    out.findings += [finding for found in out.coverage for finding in find_in_coverage(found)]
    out.keys = key_candidates(frame, measured)
    out.missing = missing_patterns([column.series for column in measured])
    out.basis["columns"] = f"all {frame.height:,} rows"
    out.basis["relations"] = f"a sample of {sample.height:,} of {frame.height:,} rows"
    return out


def _in_pieces(
    table: pl.LazyFrame,
    rows: int,
    width: Mapping[str, float],
    references: Mapping[str, pl.DataFrame],
    keys: Mapping[str, str],
    memory: int,
) -> Examined:
    """A few columns at a time, each in full if it fits, and what concerns rows on a sample."""
    sample = _scattered(table, rows, _LARGE_SAMPLE)
    out = Examined(rows, sampled(sample, SAMPLE), sample)
    out.basis["columns"] = f"all {rows:,} rows, read a few columns at a time"
    out.basis["rows"] = f"repeated rows, keys, clocks and missing patterns on a sample of {sample.height:,} rows"
    out.basis["relations"] = f"a sample of {out.sample.height:,} of {rows:,} rows"
    most = memory / _COPIES
    by_name: dict[str, ColumnProfile] = {}
    for names in _batches(width, rows, most):
        thin = rows * width[names[0]] > most
        part = table.select(names)
        frame = (
            _scattered(part, rows, int(most / max(1.0, width[names[0]]))) if thin else part.collect(engine="streaming")
        )
        if thin:
            out.basis[f"column {names[0]}"] = f"a sample of {frame.height:,} of {rows:,} rows"
        for column in frame.iter_columns():
            measured = measure_column(column)
            by_name[column.name] = measured.profile
            out.findings += find_in_values(measured)
            out.findings += find_in_keys([measured], references, keys)
            found = time_coverage(measured)
            if found is not None:
                out.coverage.append(found)
                out.findings += find_in_coverage(found)
    out.profiles = [by_name[name] for name in width]
    looked_at = [measure_column(column) for column in sample.iter_columns()]
    out.findings += find_in_times(looked_at)
    out.findings += find_duplicates(sample)
    out.keys = tuple((profile.name,) for profile in out.profiles if _is_key(profile, rows))
    out.missing = missing_patterns([column.series for column in looked_at])
    return out


def _is_key(profile: ColumnProfile, rows: int) -> bool:
    fractional = profile.type.startswith(("float", "decimal"))
    return not profile.nulls and profile.distinct == rows > 1 and not fractional


def _batches(width: Mapping[str, float], rows: int, most: float) -> Iterator[list[str]]:
    """Columns that fit together; one that does not fit at all is alone."""
    batch: list[str] = []
    size = 0.0
    for name, each in width.items():
        if batch and size + rows * each > most:
            yield batch
            batch, size = [], 0.0
        batch.append(name)
        size += rows * each
    if batch:
        yield batch


def _scattered(table: pl.LazyFrame, rows: int, most: int) -> pl.DataFrame:
    """About `most` rows of a scan, in order; which ones follows from their numbers alone."""
    if rows <= most:
        return table.collect(engine="streaming")
    every = -(-rows // max(1, most))
    index = "__row_number"
    chosen = table.with_row_index(index).filter(pl.col(index).hash(1) % every == 0)
    return chosen.drop(index).collect(engine="streaming")
