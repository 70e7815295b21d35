"""When each column is known, and which columns are not known yet at the moment of prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import SchemaError
from tidemill.data.expected import COLUMNS, PAIRS, TEXT, require, require_set
from tidemill.data.moments import moment
from tidemill.data.sources.source import Source, parse_source
from tidemill.data.types import Tabular, collected, listed, require_columns
from tidemill.engine.step import step
from tidemill.measures.ranking import roc_auc

_MANY_CATEGORIES = 1000


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that is not known at the moment of prediction.

    Parameters
    ----------
    column
        The column.
    available_at
        When it is known, as declared.
    late
        The share of rows in which it is known only after the prediction (or never).
    lateness
        The median time by which it is late in these rows, in seconds; None if it is never known.
    auc
        How well the column alone tells the two classes apart in these data: what a model would be fed that it cannot
        have. None where the target has not two classes.
    """

    column: str
    available_at: str
    late: float
    lateness: float | None
    auc: float | None

    def __str__(self) -> str:
        by = "" if self.lateness is None else f", {_shown(self.lateness)} late in the median"
        auc = "" if self.auc is None else f"; alone it would reach AUC {self.auc:.2f}"
        return f"{self.column!r} is known at {self.available_at} (late in {self.late:.1%} of rows{by}{auc})"


def _shown(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


@dataclass(frozen=True, slots=True)
class Declared:
    """When columns are known, as a project declares it for all its tables."""

    moments: Mapping[str, str]


def source_availability(source: Source, columns: Sequence[str]) -> dict[str, str]:
    """When each column of a source is known: as declared, by the entry ``"*"``, or at its event time.

    >>> flights = Source("flights", "f.csv", None, "sched_dep", {"dep_delay": "departed_at"})
    >>> source_availability(flights, ["carrier", "dep_delay"])
    {'carrier': 'sched_dep', 'dep_delay': 'departed_at'}
    """
    rest = source.available_at.get("*", source.event_time)
    known = {name: source.available_at.get(name, rest) for name in columns}
    return {name: when for name, when in known.items() if when is not None}


def declared_availability(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Every entry of ``available_at`` in the project's sources, by column.

    Raises
    ------
    SchemaError
        If two sources declare different moments for columns of the same name.
    """
    out: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name, raw in sources.items():
        for column, when in parse_source(name, raw).available_at.items():
            if column == "*":
                continue
            if out.setdefault(column, when) != when:
                raise SchemaError(
                    f"sources {owner[column]!r} and {name!r} declare different moments for column {column!r}",
                    value=(out[column], when),
                    hint="Rename one of the columns, or pass availability= for this table.",
                )
            owner.setdefault(column, name)
    return out


@step(stage="leaks")
def leaks(
    table: Tabular,
    availability: Mapping[str, str],
    prediction_time: str,
    *,
    target: str | None = None,
    columns: Sequence[str] | None = None,
) -> list[Leak]:
    """Columns that are not known at the moment of prediction, by the times in the data.

    A column leaks if in any row it has a value that becomes known after the prediction, or never. Its name plays no
    part. The columns that hold the declared moments are themselves known at these moments.

    Parameters
    ----------
    table
        The rows, with the time columns that the declarations name.
    availability
        For a column, when it is known: ``{"dep_delay": "departed_at"}``; ``"always"`` for what is known from the start.
    prediction_time
        A time column, as it is or shifted: ``"sched_dep - 2h"``.
    target
        The column to predict, for the evidence.
    columns
        The columns to judge; by default all that are declared and in the table.

    Returns
    -------
    list of Leak
        The column that tells most about the target first.

    Raises
    ------
    SchemaError
        If a declared moment is not in the table: what cannot be checked is not passed.

    Examples
    --------
    >>> trips = pl.DataFrame({"dep": [10, 12], "left": [11, 15], "delay": [60, 180], "late": [False, True]})
    >>> trips = trips.with_columns(pl.datetime(2013, 1, 1, pl.col("dep", "left")).name.keep())
    >>> for leak in leaks(trips, {"delay": "left"}, "dep - 2h", target="late", columns=["delay"]):
    ...     print(leak)
    'delay' is known at left (late in 100.0% of rows, 4.0 h late in the median; alone it would reach AUC 1.00)
    """
    require("leaks", availability=(availability, PAIRS))
    require_set("leaks", columns=(columns, COLUMNS), target=(target, TEXT))
    frame = collected(table)
    moments = {str(moment(when).column): when for when in availability.values() if moment(when).column is not None}
    known_at = {**{name: name for name in moments}, **availability}
    judged = [name for name in (frame.columns if columns is None else listed(columns)) if name in known_at]
    when = moment(prediction_time)
    require_columns(frame, [str(when.column)], purpose="the leak check")
    out = []
    for name in judged:
        leak = _leak(frame, name, known_at[name], when.expression(), target)
        if leak is not None:
            out.append(leak)
    return sorted(out, key=lambda leak: -(leak.auc or 0.0))


def _leak(frame: pl.DataFrame, column: str, known_at: str, prediction: pl.Expr, target: str | None) -> Leak | None:
    known = moment(known_at)
    if known.column is None:
        return None
    if known.column not in frame.columns:
        raise SchemaError(
            f"column {column!r} is declared to be known at {known_at!r}, which the table does not have",
            hint=f"Keep the time column {known.column!r} in the table, or drop {column!r}.",
        )
    lateness = frame.select(
        pl.col(column).is_not_null().alias("given"), (known.expression() - prediction).alias("by").dt.total_seconds()
    )
    given = pl.col("given") & (pl.col("by").is_null() | (pl.col("by") > 0))
    late = lateness.filter(given)
    if late.is_empty():
        return None
    median = late["by"].median()
    auc = None if target is None or target == column else single_column_auc(frame[column], frame[target])
    return Leak(column, known_at, late.height / frame.height, median if isinstance(median, float) else None, auc)


def single_column_auc(column: pl.Series, target: pl.Series) -> float | None:
    """How well a column alone separates the two classes of a target, from 0.5 (not at all) to 1.

    Numbers, flags and times are ranked as they are, in whichever direction is better; text by the mean target of each
    of its values in the same rows, which flatters it when its values are many. None when there are not two classes, or
    nothing to rank.

    >>> single_column_auc(pl.Series([1, 2, 3, 4]), pl.Series([True, True, False, False]))
    1.0
    """
    kind = column.dtype
    pairs = pl.DataFrame({"x": column, "y": target}).drop_nulls()
    if pairs.is_empty() or pairs["y"].n_unique() != 2 or not _is_binary(pairs["y"]):
        return None
    pairs = pairs.with_columns(y=pl.col("y").rank("dense") - 1)
    if kind == pl.String or kind.base_type() in (pl.Categorical, pl.Enum):
        if pairs["x"].n_unique() > _MANY_CATEGORIES:
            return None
        pairs = pairs.with_columns(x=pl.col("y").cast(pl.Float64).mean().over("x"))
    elif not (kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean):
        return None
    scores = pairs["x"].to_physical().cast(pl.Float64).to_numpy()
    if not np.isfinite(scores).all():
        return None
    truth = pairs["y"].to_numpy()
    auc = float(roc_auc(truth, scores))
    return max(auc, 1 - auc)


def _is_binary(target: pl.Series) -> bool:
    return target.dtype == pl.Boolean or target.dtype.is_integer() or target.dtype == pl.String
