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
_WRITTEN = 2


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

    Where chance alone would make such rows, or a tenth of all rows and more are alike, only those that are written
    otherwise in two columns at once.
    """
    names = {column.profile.name for column in columns if _names_rows(column, frame.height)}
    compared = [column for column in columns if column.profile.name not in names]
    texts = [column.profile.name for column in compared if column.is_text]
    if frame.height < 2 or len(compared) < 2 or not (texts or names):
        return
    # Rows that differ in what is no text are not alike: only the others' text is folded.
    rest = [column.profile.name for column in compared if not column.is_text]
    alike = _repeated(frame.select(rest).hash_rows()) if rest else pl.repeat(value=True, n=frame.height, eager=True)
    if not alike.any():
        return
    kept = frame.filter(alike)
    folded = kept.select(
        _folded(column.profile.name) if column.is_text else pl.col(column.profile.name) for column in compared
    )
    alike = _repeated(folded.hash_rows())
    if not alike.any():
        return
    suspects, folded = kept.filter(alike), folded.filter(alike)
    if _by_chance(compared, frame.height) > _CHANCE or suspects.height > _MOST_REPEATED * frame.height:
        again = _written_otherwise(columns, suspects, texts)
    else:
        again = ~suspects.is_duplicated() & ~_is_first(folded)
    if again.any():
        yield _near_duplicates(suspects, again, names, texts, frame.height)


def _near_duplicates(
    suspects: pl.DataFrame, again: pl.Series, names: set[str], texts: Sequence[str], rows: int
) -> Finding:
    count = int(again.sum())
    example = suspects.filter(again).head(2).rows()
    differ = f"the columns that name them ({', '.join(sorted(names))})" if names else "capitals and spaces"
    return Finding(
        "near_duplicates", "*", "warning", count, count / rows, tuple(str(row) for row in example),
        f"{number_of(count, 'row repeats', 'rows repeat')} another row but for {differ}"
        f"{' or capitals and spaces' if names and texts else ''}.",
        "Normalise the text (NormaliseText), then Deduplicate over the columns that describe the thing.",
    )  # fmt: skip


def _folded(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase()


def _is_first(folded: pl.DataFrame) -> pl.Series:
    return folded.select(pl.struct(pl.all()).is_first_distinct().alias("first"))["first"]


def _written_otherwise(columns: Sequence[MeasuredColumn], suspects: pl.DataFrame, texts: Sequence[str]) -> pl.Series:
    """Rows of which two texts or more are not written as they mostly are: what one hand wrote, another wrote again."""
    count = pl.zeros(suspects.height, dtype=pl.Int64, eager=True)
    for column in columns:
        name = column.profile.name
        if name not in texts:
            continue
        words = pl.DataFrame({name: column.distinct, "count": column.counts}).with_columns(fold=_folded(name))
        usual = words.sort("count").group_by("fold", maintain_order=True).last()[name]
        if len(usual) < words.height:
            count += (~suspects[name].is_in(usual.implode()) & suspects[name].is_not_null()).cast(pl.Int64)
    return count >= _WRITTEN


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
