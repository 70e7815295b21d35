"""How each disturbance is done: a table comes in; the disturbed table and a flag for each struck row go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation import disturbances as kinds
from tidemill.data.generation.misreadings import MISREADINGS
from tidemill.data.generation.striking import STRUCK, Draws, first_row, number, replaced, struck_rows
from tidemill.data.moments import duration
from tidemill.data.types import physical_type, polars_type


def _shift(frame: pl.DataFrame, it: kinds.Shift, draws: Draws) -> pl.DataFrame:
    values = number(frame, it.column, it.kind) + it.by
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), values)


def _scale(frame: pl.DataFrame, it: kinds.Scale, draws: Draws) -> pl.DataFrame:
    values = number(frame, it.column, it.kind) * it.factor
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), values)


def _unit_change(frame: pl.DataFrame, it: kinds.UnitChange, draws: Draws) -> pl.DataFrame:
    struck = struck_rows(frame, it.since if it.where is None else 0.0, it.share, draws)
    if it.where is not None:
        struck &= frame.select(pl.sql_expr(it.where).fill_null(value=False).alias(STRUCK))[STRUCK]
    return replaced(frame, it.column, struck, number(frame, it.column, it.kind) * it.factor + it.offset)


def _outliers(frame: pl.DataFrame, it: kinds.Outliers, draws: Draws) -> pl.DataFrame:
    present = np.flatnonzero(frame[it.column].is_not_null().to_numpy())
    present = present[present >= first_row(frame.height, it.since)]
    struck = np.zeros(frame.height, dtype=np.bool_)
    struck[present[draws.rows(len(present), it.rows, "rows")]] = True
    number(frame, it.column, it.kind)
    return replaced(frame, it.column, pl.Series(STRUCK, struck), pl.lit(float(it.value)))


def _valued(
    frame: pl.DataFrame,
    it: kinds.NewCategory | kinds.Orphans | kinds.NullTokens | kinds.MixedTypes,
    draws: Draws,
) -> pl.DataFrame:
    """Some values become one given value."""
    value = it.text if isinstance(it, kinds.NullTokens) else it.value
    if isinstance(value, str) and frame.schema[it.column] != pl.String:
        frame = frame.with_columns(pl.col(it.column).cast(pl.String))
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), pl.lit(value))


def _nulls(frame: pl.DataFrame, it: kinds.Nulls, draws: Draws) -> pl.DataFrame:
    struck = struck_rows(frame, it.since, it.share, draws)
    return frame.with_columns(
        pl.when(~pl.lit(struck)).then(pl.col(name)).alias(name) for name in it.columns
    ).with_columns(struck)


def _label_noise(frame: pl.DataFrame, it: kinds.LabelNoise, draws: Draws) -> pl.DataFrame:
    labels = frame[it.column].drop_nulls().unique().sort()
    if len(labels) < 2:
        raise ConfigError("label noise needs a column of at least two labels", value=it.column)
    codes = frame[it.column].rank("dense").cast(pl.Int64).fill_null(1).to_numpy() - 1
    steps = 1 + (draws.uniforms(frame.height, "labels") * (len(labels) - 1)).astype(np.int64)
    others = labels.gather((codes + steps) % len(labels))
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), pl.lit(others))


def _prevalence(frame: pl.DataFrame, it: kinds.Prevalence, draws: Draws) -> pl.DataFrame:
    start = first_row(frame.height, it.since)
    later = np.arange(frame.height) >= start
    has = frame.select((pl.col(it.column) == it.value).fill_null(value=False).alias("has"))["has"].to_numpy()
    with_it, without = np.flatnonzero(later & has), np.flatnonzero(later & ~has)
    if not len(with_it) or not len(without) or not 0 < it.share < 1:
        raise ConfigError(
            "a prevalence between 0 and 1 needs rows with and without the value", value=(it.column, it.value, it.share)
        )
    more = it.share > len(with_it) / (len(with_it) + len(without))
    few, many, share = (with_it, without, it.share) if more else (without, with_it, 1 - it.share)
    kept = many[draws.rows(len(many), round(len(few) * (1 - share) / share), "rows")]
    rows = np.sort(np.concatenate([np.flatnonzero(~later), few, kept]))
    return frame[rows].with_columns(pl.Series(STRUCK, rows >= start))


def _encoding_damage(frame: pl.DataFrame, it: kinds.EncodingDamage, draws: Draws) -> pl.DataFrame:
    words = frame[it.column].unique().drop_nulls()
    damaged = [_misread(word) for word in words]
    values = pl.col(it.column).replace_strict(words, damaged, default=None, return_dtype=pl.String)
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), values)


def _misread(word: str) -> str:
    for plain, accented in zip("aeiou", "äéïöü", strict=True):
        if word.isascii():
            word = word.replace(plain, accented, 1)
    word = f"{word}é" if word.isascii() else word
    return word.encode("utf-8").decode("latin-1")


def _spelling(frame: pl.DataFrame, it: kinds.Spelling, draws: Draws) -> pl.DataFrame:
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), _respelt(it.column))


def _respelt(column: str) -> pl.Expr:
    text = pl.col(column)
    upper = text.str.to_uppercase()
    return pl.when(text == upper).then(text.str.to_lowercase()).otherwise(upper) + " "


def _duplicated_batch(frame: pl.DataFrame, it: kinds.DuplicatedBatch, draws: Draws) -> pl.DataFrame:  # noqa: ARG001
    start = first_row(frame.height, it.since)
    stop = min(frame.height, start + max(1, round(frame.height * it.share)))
    rows = np.concatenate([np.arange(stop), np.arange(start, frame.height)])
    struck = (np.arange(len(rows)) >= stop) & (np.arange(len(rows)) < stop + stop - start)
    return frame[rows].with_columns(pl.Series(STRUCK, struck))


def _near_duplicates(frame: pl.DataFrame, it: kinds.NearDuplicates, draws: Draws) -> pl.DataFrame:
    start = first_row(frame.height, it.since)
    rows = start + draws.rows(frame.height - start, it.rows, "rows")
    again = frame[rows]
    texts = [name for name, kind in frame.schema.items() if kind == pl.String and name not in it.keys]
    again = again.with_columns(_respelt(name).alias(name) for name in texts)
    for key in it.keys:
        fresh: Any = pl.int_range(1, len(rows) + 1, eager=True)
        kind = frame.schema[key]
        value = "again-" + fresh.cast(pl.String) if kind == pl.String else frame[key].max() + fresh
        again = again.with_columns(value.cast(kind).alias(key))
    flagged = [
        frame.with_columns(pl.lit(value=False).alias(STRUCK)),
        again.with_columns(pl.lit(value=True).alias(STRUCK)),
    ]
    return pl.concat(flagged)


def _late_rows(frame: pl.DataFrame, it: kinds.LateRows, draws: Draws) -> pl.DataFrame:
    if not frame.schema[it.column].is_temporal():
        raise ConfigError(
            f"late rows need a column of times; {it.column!r} is {physical_type(frame.schema[it.column])}"
        )
    struck = struck_rows(frame, it.since, it.share, draws)
    most = duration(it.by).total_seconds()
    delay = np.where(struck.to_numpy(), np.ceil(draws.uniforms(frame.height, "delay") * most), 0.0).astype(np.int64)
    arrived = pl.col(it.column).cast(pl.Datetime("us", getattr(frame.schema[it.column], "time_zone", None)))
    into = it.into or "__arrived"
    moved = frame.with_columns(struck, (arrived + pl.duration(seconds=pl.lit(pl.Series(delay)))).alias(into))
    moved = moved.sort(into, maintain_order=True, nulls_last=True)
    return moved if it.into else moved.drop(into)


def _gap(frame: pl.DataFrame, it: kinds.Gap, draws: Draws) -> pl.DataFrame:  # noqa: ARG001
    start = first_row(frame.height, it.since)
    stop = min(frame.height, start + max(1, round(frame.height * it.share)))
    rows = np.concatenate([np.arange(start), np.arange(stop, frame.height)])
    return frame[rows].with_columns(pl.lit(value=False).alias(STRUCK))


def _schema_change(frame: pl.DataFrame, it: kinds.SchemaChange, draws: Draws) -> pl.DataFrame:  # noqa: ARG001
    if it.change != "drop" and it.to is None:
        raise ConfigError(f"a schema change of kind {it.change!r} needs the new name or type", hint="Give it as to=….")
    if it.change == "drop":
        changed = frame.drop(it.column)
    elif it.change == "rename":
        changed = frame.rename({it.column: str(it.to)})
    else:
        changed = frame.with_columns(pl.col(it.column).cast(polars_type(str(it.to)), strict=False))
    return changed.with_columns(pl.lit(value=True).alias(STRUCK))


DAMAGES: dict[str, Callable[[pl.DataFrame, Any, Draws], pl.DataFrame]] = {
    "shift": _shift,
    "scale": _scale,
    "new_category": _valued,
    "prevalence": _prevalence,
    "label_noise": _label_noise,
    "nulls": _nulls,
    "null_tokens": _valued,
    "unit_change": _unit_change,
    "outliers": _outliers,
    "mixed_types": _valued,
    "encoding_damage": _encoding_damage,
    "spelling": _spelling,
    "orphans": _valued,
    "duplicated_batch": _duplicated_batch,
    "near_duplicates": _near_duplicates,
    "late_rows": _late_rows,
    "gap": _gap,
    "schema_change": _schema_change,
    **MISREADINGS,
}
