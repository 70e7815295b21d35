"""Which columns tell rows apart, and rows that are the same but for how they are written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.profile import MeasuredColumn
from tidemill.data.sampling import sampled

_WIDEST = 3
_MOST_COLUMNS = 10
_MOST_CHECKS = 10
_SCREEN = 20_000
_MOST_REPEATED = 0.1
_CHANCE = 0.05


def key_candidates(frame: pl.DataFrame, columns: Sequence[MeasuredColumn]) -> tuple[tuple[str, ...], ...]:
    """Columns whose values name every row: single ones, or the smallest sets of two or three.

    Fractional numbers and columns with missing values are never part of a key. Sets are looked for only if no single
    column is one, among the ten columns with the most distinct values.

    >>> from tidemill.data.profile import measure_column
    >>> table = pl.DataFrame({"origin": ["EWR", "JFK"] * 2, "hour": [1, 1, 2, 2], "temp": [0.5, 1.5, 2.5, 3.5]})
    >>> key_candidates(table, [measure_column(column) for column in table])
    (('origin', 'hour'),)
    """
    if frame.height < 2:
        return ()
    able = [
        column.profile
        for column in columns
        if not column.profile.nulls and column.profile.distinct > 1 and not column.series.dtype.is_float()
        and not column.series.dtype.is_nested()
    ]  # fmt: skip
    single = tuple((profile.name,) for profile in able if profile.distinct == frame.height)
    if single:
        return single
    widest = sorted(able, key=lambda profile: -profile.distinct)[:_MOST_COLUMNS]
    order = {profile.name: place for place, profile in enumerate(able)}
    hashes = {profile.name: frame[profile.name].hash(order[profile.name] + 1) for profile in widest}
    screen = sampled(pl.DataFrame(hashes), _SCREEN)
    found: list[tuple[str, ...]] = []
    checks = 0
    for width in range(2, _WIDEST + 1):
        for chosen in itertools.combinations(widest, width):
            names = tuple(sorted((profile.name for profile in chosen), key=order.__getitem__))
            possible = float(np.prod([float(profile.distinct) for profile in chosen])) >= frame.height
            if checks >= _MOST_CHECKS or not possible or any(set(key) <= set(names) for key in found):
                continue
            if not _is_unique([screen[name] for name in names]):
                continue
            checks += 1
            if _is_unique([hashes[name] for name in names]):
                found.append(names)
    return tuple(found)


def _is_unique(hashes: Sequence[pl.Series]) -> bool:
    mixed = hashes[0].to_numpy().copy()
    for other in hashes[1:]:
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + other.to_numpy()
    ordered = np.sort(mixed)
    return bool((ordered[1:] != ordered[:-1]).all())


def find_near_duplicates(frame: pl.DataFrame, columns: Sequence[MeasuredColumn]) -> Iterator[Finding]:
    """Rows that repeat another but for capitals, spaces at the ends of text, and columns that only name the row.

    Says nothing where chance alone would make such rows, or where a tenth of all rows and more are alike.
    """
    rows_of_table = frame.height
    names = {column.profile.name for column in columns if _names_rows(column, frame.height)}
    compared = [column for column in columns if column.profile.name not in names]
    texts = [column.profile.name for column in compared if column.is_text]
    if frame.height < 2 or len(compared) < 2 or not (texts or names) or _by_chance(compared, frame.height) > _CHANCE:
        return
    # Rows that differ in what is no text are not alike: only the others' text is folded.
    rest = [column.profile.name for column in compared if not column.is_text]
    alike = _repeated(frame.select(rest).hash_rows()) if rest else pl.repeat(value=True, n=frame.height, eager=True)
    if not alike.any():
        return
    frame = frame.filter(alike)
    folded = frame.select(
        pl.col(column.profile.name).cast(pl.String).str.strip_chars().str.to_lowercase() if column.is_text
        else pl.col(column.profile.name)
        for column in compared
    )  # fmt: skip
    alike = _repeated(folded.hash_rows())
    count = int(alike.sum())
    if not count or count > _MOST_REPEATED * rows_of_table:
        return
    suspects = frame.filter(alike)
    exact = suspects.is_duplicated()
    groups = folded.filter(alike).with_columns(exact=exact).with_row_index("__row")
    keys = [name for name in folded.columns]  # noqa: C416
    repeated = groups.filter(~pl.struct(keys).is_first_distinct() & ~pl.col("exact"))
    if repeated.is_empty():
        return
    rows = repeated.height
    example = suspects[repeated["__row"].head(2).to_list()].rows()
    differ = f"the columns that name them ({', '.join(sorted(names))})" if names else "capitals and spaces"
    yield Finding(
        "near_duplicates", "*", "warning", rows, rows / rows_of_table, tuple(str(row) for row in example),
        f"{number_of(rows, 'row repeats', 'rows repeat')} another row but for {differ}"
        f"{' or capitals and spaces' if names and texts else ''}.",
        "Normalise the text (NormaliseText), then Deduplicate over the columns that describe the thing.",
    )  # fmt: skip


def _repeated(hashes: pl.Series) -> pl.Series:
    """Where a hash is there more than once; mostly there is none, and that is cheap to see."""
    ordered = np.sort(hashes.to_numpy())
    if (ordered[1:] != ordered[:-1]).all():
        return pl.repeat(value=False, n=hashes.len(), eager=True)
    return hashes.is_duplicated()


def _names_rows(column: MeasuredColumn, rows: int) -> bool:
    whole = column.series.dtype.is_integer() or column.is_text
    return whole and column.profile.distinct == rows


def _by_chance(columns: Sequence[MeasuredColumn], rows: int) -> float:
    """How many pairs of rows would agree in all columns if the columns had nothing to do with each other."""
    pairs = rows * (rows - 1) / 2
    for column in columns:
        counts = column.counts.astype(np.float64)
        known = float((counts * counts).sum()) + float(column.profile.nulls) ** 2
        pairs *= known / rows**2 if len(counts) else 1.0
    return pairs
