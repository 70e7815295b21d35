"""From a kind of column to its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation import shapes
from tidemill.data.generation.people import patterned, personal
from tidemill.data.generation.randomness import Floats, normal_cdf, normals, uniforms

_LARGEST_POISSON = 500


def normal_scores(spec: shapes.TableSpec, rows: int, seed: int) -> dict[str, Floats]:
    """For each column that is drawn from a distribution, its normal scores, correlated as the table says.

    Source: the Gaussian copula (R. B. Nelsen, An Introduction to Copulas, 2006): correlated normal scores, each
    turned into a share of the normal population and then into a value of its own distribution.
    """
    names = [column.name for column in spec.columns if isinstance(column.shape, shapes.DRAWN)]
    scores = {name: normals(rows, seed, spec.name, name) for name in names}
    linked = list(dict.fromkeys(name for link in spec.correlations for name in (link.left, link.right)))
    unknown = [name for name in linked if name not in scores]
    if unknown:
        raise ConfigError(
            "a correlation names columns that are not drawn from a distribution",
            value=unknown,
            hint=f"It may name: {', '.join(names) or 'none'}.",
        )
    if linked:
        mixed = _factor(spec, linked) @ np.vstack([scores[name] for name in linked])
        scores |= dict(zip(linked, mixed, strict=True))
    return scores


def _factor(spec: shapes.TableSpec, linked: Sequence[str]) -> Floats:
    matrix = np.eye(len(linked))
    for link in spec.correlations:
        left, right = linked.index(link.left), linked.index(link.right)
        if left == right or not -1 < link.value < 1:
            raise ConfigError(
                "a correlation is between two columns and lies between -1 and 1",
                value=(link.left, link.right, link.value),
            )
        matrix[left, right] = matrix[right, left] = link.value
    try:
        factor: Floats = np.linalg.cholesky(matrix).astype(np.float64)
    except np.linalg.LinAlgError:
        raise ConfigError(
            "the correlations contradict each other",
            value=[(link.left, link.right, link.value) for link in spec.correlations],
            hint="Bring them nearer to zero, or give the missing pairs values.",
        ) from None
    return factor


def drawn(column: shapes.ColumnSpec, z: Floats) -> pl.Series:
    """Values of a distribution at normal scores.

    >>> drawn(shapes.ColumnSpec("late", shapes.Flag(0.5)), np.array([-1.0, 1.0])).to_list()
    [False, True]
    """
    shape, name = column.shape, column.name
    if isinstance(shape, shapes.Normal):
        return pl.Series(name, (shape.mean + shape.std * z).round(column.decimals))
    if isinstance(shape, shapes.LogNormal):
        return pl.Series(name, (shape.median * np.exp(shape.sigma * z)).round(column.decimals))
    u = normal_cdf(z)
    if isinstance(shape, shapes.Flag):
        return pl.Series(name, u > 1 - shape.share)
    if isinstance(shape, shapes.Category):
        steps = np.cumsum(np.asarray(list(shape.weights.values()), dtype=np.float64))
        codes = np.searchsorted(steps[:-1] / steps[-1], u, side="right")
        return pl.Series(name, list(shape.weights), dtype=pl.String).gather(codes)
    if isinstance(shape, shapes.Whole):
        return pl.Series(name, (shape.low + np.floor(u * (shape.high - shape.low + 1))).astype(np.int64))
    if isinstance(shape, shapes.Poisson):
        return pl.Series(name, np.searchsorted(_poisson_steps(shape.mean), u, side="left").astype(np.int64))
    return pl.Series(name, _fractional(shape, u).round(column.decimals))


def _fractional(shape: shapes.Shape, u: Floats) -> Floats:
    if isinstance(shape, shapes.Uniform):
        return shape.low + (shape.high - shape.low) * u
    if isinstance(shape, shapes.Exponential):
        waiting: Floats = -shape.mean * np.log1p(-u)
        return waiting
    if isinstance(shape, shapes.Quantiles):
        if len(shape.values) < 2:
            raise ConfigError("quantiles need at least two values", value=shape.values)
        return np.interp(u, np.linspace(0, 1, len(shape.values)), shape.values)
    raise ConfigError("not a kind of column that is drawn from a distribution", value=shape.kind)


def _poisson_steps(mean: float) -> Floats:
    if not 0 < mean <= _LARGEST_POISSON:
        raise ConfigError("the mean of a Poisson column must be above 0 and at most 500", value=mean)
    most = int(mean + 12 * math.sqrt(mean) + 20)
    logs = np.arange(most + 1) * math.log(mean) - mean - np.array([math.lgamma(k + 1) for k in range(most + 1)])
    steps: Floats = np.minimum(np.cumsum(np.exp(logs)), 1.0)
    steps[-1] = 1.0
    return steps


def independent(spec: shapes.TableSpec, column: shapes.ColumnSpec, rows: int, seed: int) -> pl.Series:
    """Values of a column that is not drawn from a distribution, nor depends on others."""
    shape, stream = column.shape, (seed, spec.name, column.name)
    if isinstance(shape, shapes.Serial):
        numbers = pl.int_range(shape.start, shape.start + rows, eager=True)
        if shape.prefix is None:
            return numbers.alias(column.name)
        width = len(str(shape.start + rows - 1))
        return (shape.prefix + numbers.cast(pl.String).str.zfill(width)).alias(column.name)
    if isinstance(shape, shapes.Pattern):
        return patterned(shape.pattern, rows, *stream).alias(column.name)
    if isinstance(shape, shapes.Person):
        return personal(shape.part, rows, seed, spec.name).alias(column.name)
    if isinstance(shape, shapes.Times):
        return times(shape, uniforms(rows, *stream)).alias(column.name)
    raise ConfigError("not a kind of column that stands alone", value=shape.kind)


def times(shape: shapes.Times, u: Floats) -> pl.Series:
    """Moments at shares of the whole, where an hour weighs what its hour of day, day of week and month weigh together.

    >>> when = shapes.Times("2024-01-01", "2024-01-03", daily=(0.0,) * 12 + (1.0,) * 12)
    >>> times(when, np.array([0.0, 0.75])).dt.to_string("%F %R").to_list()
    ['2024-01-01 12:00', '2024-01-02 18:00']
    """
    for name, size in (("daily", 24), ("weekly", 7), ("yearly", 12)):
        given = getattr(shape, name)
        if given and (len(given) != size or min(given) < 0 or sum(given) <= 0):
            raise ConfigError(f"{name} needs {size} weights, none negative and not all zero", value=given)
    first, last = datetime.fromisoformat(shape.start), datetime.fromisoformat(shape.end)
    if not first < last:
        raise ConfigError("a span of time must end after it starts", value=(shape.start, shape.end))
    ends = (
        pl.Series([first, last], dtype=pl.Datetime("us")).dt.replace_time_zone(shape.zone).dt.convert_time_zone("UTC")
    )
    hours = pl.datetime_range(ends[0], ends[1] - timedelta(microseconds=1), "1h", eager=True, time_zone="UTC")
    local = hours.dt.convert_time_zone(shape.zone)
    weights = np.ones(len(hours))
    for given, place in (
        (shape.daily, local.dt.hour()),
        (shape.weekly, local.dt.weekday() - 1),
        (shape.yearly, local.dt.month() - 1),
    ):
        if given:
            weights = weights * np.asarray(given, dtype=np.float64)[place.to_numpy()]
    return _placed(hours, weights, ends[1] - ends[0], np.sort(u) if shape.ordered else u)


def _placed(hours: pl.Series, weights: Floats, length: timedelta, u: Floats) -> pl.Series:
    # The last hour may be a part of one.
    weights[-1] *= (length.total_seconds() - 3600 * (len(hours) - 1)) / 3600
    steps = np.concatenate([[0.0], np.cumsum(weights)])
    if steps[-1] <= 0:
        raise ConfigError("every hour of the span has the weight zero", hint="Give some hour of it a weight.")
    kept = np.concatenate([[True], np.diff(steps) > 0])
    edges = np.concatenate([[0.0], np.cumsum(np.where(weights > 0, 1.0, 0.0))])[kept]
    position = np.interp(u * steps[-1], steps[kept], edges)
    open_hours = np.flatnonzero(weights > 0)
    cell = np.minimum(position.astype(np.int64), len(open_hours) - 1)
    seconds = (
        open_hours[cell] * 3600 + np.floor((position - cell) * _last_length(cell, open_hours, hours, length))
    ).astype(np.int64)
    start: Any = hours[0]
    return pl.select(pl.lit(start) + pl.duration(seconds=pl.lit(pl.Series(seconds)))).to_series()


def _last_length(cell: Any, open_hours: Any, hours: pl.Series, length: timedelta) -> Floats:
    """Seconds in the hour of each row: fewer in a last hour that the end cuts."""
    rest = length.total_seconds() - 3600 * (len(hours) - 1)
    out: Floats = np.where(open_hours[cell] == len(hours) - 1, rest, 3600.0)
    return out
