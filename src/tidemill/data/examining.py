"""The first look at a table, in one reading: whole if it fits in memory, else batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from tidemill.data.column_streams import ColumnStream, OrderedStream, stream_of
from tidemill.data.evaluating import evaluating, schema_of
from tidemill.data.findings.finding import Finding
from tidemill.data.findings.keys import find_in_keys
from tidemill.data.findings.repeats import find_duplicates
from tidemill.data.findings.times import find_in_times
from tidemill.data.findings.values import find_in_values
from tidemill.data.profile import ColumnProfile, MeasuredColumn, measure_column
from tidemill.data.relations.coverage import TimeCoverage, find_in_coverage, time_coverage
from tidemill.data.relations.keys import find_near_duplicates, key_candidates
from tidemill.data.relations.missing import MissingPattern, missing_patterns
from tidemill.data.sampling import SAMPLE, RowSample, sampled
from tidemill.data.types import Tabular, collected

#: A table is held when it takes at most this share of the memory allowed: measuring it takes about three times more.
_WHOLE = 1 / 4
#: Of a table that is not held in memory, this many rows stand for it where rows are compared.
_LARGE_SAMPLE = 200_000
#: Distinct values of a column that are counted exactly in a table that is not held, and the bytes that one may take.
_MOST_DISTINCT, _PER_VALUE = 100_000, 400
#: The share of the memory allowed that a batch, or the sample, may take; and the fewest rows of one.
_PART, _FEWEST = 1 / 64, 256
_PER_CELL = 16
_NAMED = 20


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
    measured: Sequence[MeasuredColumn] = ()


def examine(
    table: Tabular, references: Mapping[str, pl.DataFrame], keys: Mapping[str, str], *, memory: int
) -> Examined:
    """Profiles and findings of columns, keys, missing patterns, and the sample for the rest."""
    if not isinstance(table, pl.LazyFrame):
        return _whole(collected(table), references, keys)
    schema = schema_of(table)
    batches = _batches(table, len(schema), memory)
    held, size = [pl.DataFrame(schema=schema)], 0
    for batch in batches:
        held.append(batch)
        size += int(batch.estimated_size())
        if size > memory * _WHOLE:
            return _in_batches(_drained(held, batches), held[0].schema, references, keys, memory)
    return _whole(pl.concat(held), references, keys)


def _batches(table: pl.LazyFrame, width: int, memory: int) -> Iterator[pl.DataFrame]:
    """The table in its order, once, in parts of few rows."""
    rows = min(131_072, max(_FEWEST, int(memory * _PART / (_PER_CELL * max(1, width)))))
    with evaluating(table):
        yield from table.collect_batches(chunk_size=rows, maintain_order=True)


def _drained(held: list[pl.DataFrame], batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """What is held, each let go as it is taken, and then the rest."""
    while held:
        yield held.pop(0)
    yield from batches


def _whole(frame: pl.DataFrame, references: Mapping[str, pl.DataFrame], keys: Mapping[str, str]) -> Examined:
    measured = [measure_column(column) for column in frame.iter_columns()]
    sample = sampled(frame)
    out = Examined(frame.height, sample, frame, measured=measured)
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


def _in_batches(
    batches: Iterable[pl.DataFrame],
    schema: pl.Schema,
    references: Mapping[str, pl.DataFrame],
    keys: Mapping[str, str],
    memory: int,
) -> Examined:
    """Columns in full, as exactly as bounded memory allows; what concerns rows on a sample."""
    most = min(_MOST_DISTINCT, max(_FEWEST, memory // (_PER_VALUE * len(schema))))
    chosen = RowSample(min(_LARGE_SAMPLE, max(_FEWEST, int(4 * memory * _PART / (_PER_CELL * len(schema))))))
    streams = [stream_of(name, kind, most) for name, kind in schema.items()]
    rows = 0
    for batch in batches:
        rows += batch.height
        chosen.add(batch)
        for stream in streams:
            stream.add(batch[stream.name])
    sample = chosen.rows()
    out = Examined(rows, sampled(sample, SAMPLE), sample)
    out.findings += find_in_times(_of_streams(out, streams, references, keys))
    out.findings += find_duplicates(sample)
    out.keys = tuple((profile.name,) for profile in out.profiles if _is_key(profile, rows))
    out.missing = missing_patterns([column.fill_nan(None) if column.dtype.is_float() else column for column in sample])
    return out


def _of_streams(
    out: Examined, streams: Iterable[ColumnStream], references: Mapping[str, pl.DataFrame], keys: Mapping[str, str]
) -> list[MeasuredColumn]:
    measured = []
    for stream in streams:
        column = stream.measured(out.labels[stream.name])
        measured.append(column)
        out.profiles.append(column.profile)
        out.findings += find_in_values(column)
        out.findings += find_in_keys([column], references, keys)
        found = time_coverage(stream.covering(column) if isinstance(stream, OrderedStream) else column)
        if found is not None:
            out.coverage.append(found)
            out.findings += find_in_coverage(found)
    rows, sample = out.rows, out.labels.height
    estimated = [profile.name for profile in out.profiles if not profile.exact]
    out.basis["columns"] = f"all {rows:,} rows, in batches"
    if estimated:
        out.basis["estimates"] = (
            f"distinct values to about 1 %, and quantiles, mad, top and histogram from a sample of {sample:,} rows, of "
            f"{', '.join(estimated[:_NAMED])}"
            + (f" and {len(estimated) - _NAMED:,} more" if estimated[_NAMED:] else "")
        )
    out.basis["rows"] = (
        f"repeated rows, labels, clocks beside each other and missing patterns on a sample of {sample:,} rows"
    )
    out.basis["keys"] = "columns of exact distinct values, or in strict order: others may be keys that are not named"
    out.basis["relations"] = f"a sample of {out.sample.height:,} of {rows:,} rows"
    return measured


def _is_key(profile: ColumnProfile, rows: int) -> bool:
    fractional = profile.type.startswith(("float", "decimal"))
    return not profile.nulls and profile.distinct == rows > 1 and not fractional
