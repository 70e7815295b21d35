"""Make tables: from a specification, or from a real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError, NotFoundError, UsageError
from tidemill.data.expected import COUNT, NUMBER, TABLES, require, require_set
from tidemill.data.generation import shapes
from tidemill.data.generation.drawing import drawn, independent, normal_scores
from tidemill.data.generation.randomness import normals, uniforms
from tidemill.data.generation.shapes import ColumnSpec, TableSpec
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.engine.step import step

_FEW = 20
_NORMAL_QUARTILES = 1.349


@step(stage="generate")
def generate(
    spec: TableSpec | Mapping[str, Any],
    rows: int | None = None,
    *,
    seed: int = 0,
    parents: Mapping[str, Tabular] | None = None,
) -> pl.DataFrame:
    """Make a table, the same on every machine for the same seed.

    Every column has a stream of random numbers of its own, named by seed, table and column: a column that is added or
    removed leaves the others as they are.

    Parameters
    ----------
    spec
        Columns, how they go together, and how many rows; or its mapping, as TOML has it (`TableSpec.from_dict`).
    rows
        How many rows instead.
    seed
        Another one makes another table.
    parents
        The tables that `Reference` columns point into, by name.

    Raises
    ------
    ConfigError
        If the specification contradicts itself.
    NotFoundError
        If a table that a column points into was not given.

    Examples
    --------
    >>> planes = TableSpec("planes", 3, (ColumnSpec("tail", shapes.Serial(prefix="N")),))
    >>> flights = TableSpec(
    ...     "flights",
    ...     1000,
    ...     (
    ...         ColumnSpec("tail", shapes.Reference("planes", "tail")),
    ...         ColumnSpec("miles", shapes.LogNormal(median=870, sigma=0.6)),
    ...         ColumnSpec("late", shapes.Outcome("0.002 * miles - 3")),
    ...     ),
    ... )
    >>> table = generate(flights, parents={"planes": generate(planes)})
    >>> table.shape, sorted(table["tail"].unique())
    ((1000, 3), ['N1', 'N2', 'N3'])
    """
    spec = TableSpec.from_dict(spec) if isinstance(spec, Mapping) else spec
    if not isinstance(spec, TableSpec):
        raise UsageError("not the specification of a table", value=spec, hint="Write TableSpec(…), or its mapping.")
    require_set("generate", rows=(rows, COUNT), parents=(parents, TABLES))
    count = spec.rows if rows is None else rows
    if count < 0:
        raise ConfigError("a table has no fewer than zero rows", value=count)
    names = [column.name for column in spec.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"table {spec.name!r} has two columns of one name", value=repeated)
    scores = normal_scores(spec, count, seed)
    table = pl.DataFrame({"": pl.int_range(count, eager=True)})
    later = []
    for column in spec.columns:
        if column.name in scores:
            table = table.with_columns(drawn(column, scores[column.name]))
        elif isinstance(column.shape, shapes.Reference):
            table = table.with_columns(_referenced(spec, column, column.shape, count, seed, parents or {}))
        elif isinstance(column.shape, shapes.Derived | shapes.Outcome):
            later.append(column)
        else:
            table = table.with_columns(independent(spec, column, count, seed))
    for column in later:
        table = table.with_columns(_derived(table, spec, column, seed))
    return table.select(_with_gaps(table[column.name], column, spec, seed) for column in spec.columns)


def _referenced(
    spec: TableSpec,
    column: ColumnSpec,
    shape: shapes.Reference,
    rows: int,
    seed: int,
    parents: Mapping[str, Tabular],
) -> pl.Series:
    if shape.table not in parents:
        raise NotFoundError(
            f"column {column.name!r} points into a table that was not given",
            value=shape.table,
            hint=f"Pass parents={{{shape.table!r}: table}}.",
        )
    parent = collected(parents[shape.table])
    require_columns(parent, [shape.column], purpose=f"the column {column.name!r}")
    known = parent[shape.column].drop_nulls()
    if known.is_empty():
        raise UsageError(f"column {column.name!r} points into an empty column", value=f"{shape.table}.{shape.column}")
    u = uniforms(rows, seed, spec.name, column.name) ** (1.0 + shape.skew)
    return known.gather((u * len(known)).astype(np.int64)).alias(column.name)


def _derived(table: pl.DataFrame, spec: TableSpec, column: ColumnSpec, seed: int) -> pl.Series:
    shape = column.shape
    text = shape.expression if isinstance(shape, shapes.Derived) else getattr(shape, "log_odds", "")
    try:
        values = table.select(pl.sql_expr(text).alias(column.name))[column.name]
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"the expression of column {column.name!r} does not fit the table: {str(error).splitlines()[0]}", value=text
        ) from error
    if isinstance(shape, shapes.Derived):
        return values.round(column.decimals) if values.dtype.is_float() else values
    odds = values.cast(pl.Float64).fill_null(0.0).to_numpy()
    with np.errstate(over="ignore"):
        probability = 1 / (1 + np.exp(-odds))
    return pl.Series(column.name, uniforms(table.height, seed, spec.name, column.name) < probability)


def _with_gaps(values: pl.Series, column: ColumnSpec, spec: TableSpec, seed: int) -> pl.Series:
    if not column.missing:
        return values
    gone = uniforms(len(values), seed, spec.name, column.name, "missing") < column.missing
    return values.to_frame().select(pl.when(pl.Series(~gone)).then(pl.col(column.name)))[column.name]


@step(stage="generate")
def resample(
    table: Tabular,
    rows: int | None = None,
    *,
    seed: int = 0,
    jitter: float = 0.0,
    keys: Sequence[str] = (),
) -> pl.DataFrame:
    """Make a table like a real one: its rows drawn with replacement, its numbers moved a little.

    Parameters
    ----------
    table
        The real table; missing values stay where they are in a row.
    rows
        How many rows; by default as many as there are.
    seed
        Another one makes another table.
    jitter
        How far numbers are moved, as a share of their own spread (the middle half's). Results stay within the range
        that was seen and keep its decimals; columns with 20 distinct values or fewer stay as they are, and so do text,
        flags and times.
    keys
        Columns that name a row: replaced by new numbers, or by text that begins with the column's name.

    Raises
    ------
    UsageError
        If the table has no row to draw.

    Examples
    --------
    >>> real = pl.DataFrame({"id": [7, 9], "kind": ["a", "b"]})
    >>> made = resample(real, 1000, keys=["id"])
    >>> made["id"].n_unique(), abs(made["kind"].eq("a").mean() - 0.5) < 0.05
    (1000, True)
    """
    frame = collected(table)
    if frame.is_empty():
        raise UsageError("a table without rows cannot be resampled", hint="Give one with at least one row.")
    require_columns(frame, keys, purpose="resample")
    require("resample", jitter=(jitter, NUMBER))
    require_set("resample", rows=(rows, COUNT))
    count = frame.height if rows is None else rows
    if count < 0:
        raise UsageError("a table has no fewer than zero rows", value=count, hint="Leave rows out for as many.")
    chosen = (uniforms(count, seed, "resample", "rows") * frame.height).astype(np.int64)
    out = frame[chosen]
    for name in frame.columns:
        if name in keys:
            out = out.with_columns(_new_key(out[name]))
        elif jitter and frame.schema[name].is_numeric() and not frame.schema[name].is_decimal():
            out = out.with_columns(_moved(frame[name], out[name], jitter, seed))
    return out


def _new_key(column: pl.Series) -> pl.Series:
    numbers = pl.int_range(1, column.len() + 1, eager=True)
    if column.dtype == pl.String:
        return (f"{column.name}-" + numbers.cast(pl.String).str.zfill(len(str(column.len())))).alias(column.name)
    return numbers.cast(column.dtype).alias(column.name)


def _moved(seen: pl.Series, values: pl.Series, jitter: float, seed: int) -> pl.Series:
    known = seen.cast(pl.Float64).to_numpy()
    known = known[np.isfinite(known)]
    if len(np.unique(known)) <= _FEW:
        return values
    low, high = np.quantile(known, [0.25, 0.75])
    spread = float(high - low) / _NORMAL_QUARTILES or float(known.std())
    moved = values.cast(pl.Float64).to_numpy() + jitter * spread * normals(values.len(), seed, "resample", seen.name)
    moved = np.clip(moved, known.min(), known.max()).round(_decimals(known))
    whole = values.dtype.is_integer()
    made = pl.DataFrame({"moved": moved, "was": values}).select(
        pl.when(pl.col("was").is_not_null()).then(pl.col("moved").round() if whole else pl.col("moved"))
    )
    return made.to_series().cast(values.dtype).alias(values.name)


def _decimals(known: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> int:
    """The fewest decimals, up to 6, that write a sample of the values exactly."""
    sample = known[:1000]
    return next((places for places in range(6) if np.array_equal(sample.round(places), sample)), 6)
