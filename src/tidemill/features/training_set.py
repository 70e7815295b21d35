"""From a clean table and feature views to rows that a model may learn from, or a clear refusal."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from tidemill.core.errors import LeakError, UsageError
from tidemill.data.availability import Leak, declared_availability, leaks
from tidemill.data.declared import project_prediction, project_sources
from tidemill.data.moments import moment
from tidemill.data.read import read
from tidemill.data.split import SplitMethod, Splits, default_features, sealed, split_table
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.engine.step import Step, step
from tidemill.features.point_in_time import point_in_time
from tidemill.features.view import FeatureView, ViewDefinition

#: Name of the column that holds the moment of prediction, where it is not a column of the table.
PREDICTION_TIME = "prediction_time"


def training_set(
    table: Tabular,
    *,
    target: str,
    split: SplitMethod,
    features: Sequence[FeatureView] = (),
    at: str | None = None,
    entity: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    allow: Sequence[str] = (),
    frames: Mapping[str, Tabular] | None = None,
    availability: Mapping[str, str] | None = None,
    ttl: str | None = None,
) -> Splits:
    """Join the features as they were known at each row's moment of prediction, refuse leaks, and split.

    In a pipeline this schedules the steps that make the views' events, and one that builds the set.

    Parameters
    ----------
    table
        The rows to predict, with the time column of `at`.
    target
        The column to predict.
    split
        Made by ``by_time``, ``by_share`` or ``by_group``; by time means the moment of prediction.
    features
        Feature views. The events of a view come from `frames`, or from its source: the name of a source is read, a step
        is called with the sources that its parameters name.
    at
        The moment of prediction: a time column, as it is or shifted. By default ``prediction.at`` of the canvas.
    entity
        The columns that name what a row is about; never features. By default none.
    columns
        The columns of the table to use as features; by default every number, flag, text and category.
    drop
        Columns that are left out, of features and tables.
    allow
        Columns that are used although they are not known at the moment of prediction.
    frames
        The events of views by the view's name, where they do not come from its source.
    availability
        For a column, when it is known. By default what the project's sources declare (``available_at``).
    ttl
        The window of aggregations that have none.

    Returns
    -------
    Splits
        Tables with all columns but the dropped; `spec.features` are what a model learns from.

    Raises
    ------
    LeakError
        If a feature is not known at the moment of prediction; the message says since when it is, in how many rows it
        would be too late, and how much it would flatter the model.

    Examples
    --------
    >>> from tidemill.data.split import by_share
    >>> trips = pl.DataFrame({"miles": range(10), "delay": range(10), "late": [False, True] * 5})
    >>> trips = trips.with_columns(dep=pl.datetime(2013, 1, 1, 12), left=pl.datetime(2013, 1, 1, 13))
    >>> try:
    ...     training_set(trips, target="late", split=by_share(), at="dep - 2h", availability={"delay": "left"})
    ... except LeakError as error:
    ...     print(error.what)
    1 column is not known at the moment of prediction, dep - 2h: 'delay' is known at left (late in 100.0% of rows, \
3.0 h late in the median; alone it would reach AUC 0.60)
    """
    moment_text = at or project_prediction().get("at")
    if not moment_text:
        raise UsageError(
            "training_set() needs the moment of prediction",
            hint='Write at="sched_dep - 2h", or prediction = { at = "…" } in the canvas.',
        )
    declared = declared_availability(project_sources()[1]) if availability is None else dict(availability)
    return build_training_set(
        table,
        views=tuple(view.definition for view in features),
        frames=_frames(features, frames or {}),
        target=target,
        method=split,
        at=moment_text,
        entity=(entity,) if isinstance(entity, str) else tuple(entity or ()),
        columns=None if columns is None else tuple(columns),
        drop=tuple(drop),
        allow=tuple(allow),
        availability=declared,
        ttl=ttl,
    )


def _frames(views: Sequence[FeatureView], given: Mapping[str, Tabular]) -> dict[str, Tabular]:
    """The events of each view; a source that several views share is computed once."""
    computed: dict[int, Tabular] = {}
    out: dict[str, Tabular] = {}
    for view in views:
        if view.name in out:
            raise UsageError("two feature views have the same name", value=view.name, hint="Rename one.")
        if view.name in given:
            out[view.name] = given[view.name]
            continue
        if id(view.source) not in computed:
            computed[id(view.source)] = events_of(view)
        out[view.name] = computed[id(view.source)]
    return out


def events_of(view: FeatureView) -> Tabular:
    """The events of a view from its source: a name is read, a step is called with the sources its parameters name."""
    source = view.source
    if isinstance(source, str):
        return read(source)
    if isinstance(source, Step):
        needed = [
            name
            for name, parameter in source.signature.parameters.items()
            if parameter.default is inspect.Parameter.empty
        ]
        return source(**{name: read(name) for name in needed})
    return source


@step(stage="training set")
def build_training_set(
    table: Any,
    *,
    views: tuple[ViewDefinition, ...],
    frames: dict[str, Any],
    target: str,
    method: SplitMethod,
    at: str,
    entity: tuple[str, ...] = (),
    columns: tuple[str, ...] | None = None,
    drop: tuple[str, ...] = (),
    allow: tuple[str, ...] = (),
    availability: Mapping[str, str],
    ttl: str | None = None,
) -> Splits:
    """`training_set` with everything resolved."""
    frame = collected(table)
    require_columns(frame, [target, *drop, *entity], purpose="the training set")
    joined = point_in_time(frame, [(view, frames[view.name]) for view in views], at, ttl=ttl)
    joined, time = _with_prediction_time(joined, at)
    from_views = [f"{view.name}__{feature}" for view in views for feature in view.features]
    apart = {target, time, *entity, *drop}
    chosen = _chosen(joined, columns, apart, from_views)
    found = leaks(joined, availability, at, target=target, columns=[*chosen, *drop])
    _refuse(found, at, drop, allow)
    parts = split_table(joined.drop(drop), method, target, features=chosen, time=time, entity=entity, origin=table)
    known = {name: availability[name] for name in chosen if name in availability}
    late = {leak.column: f"known only at {leak.available_at}" for leak in found}
    spec = replace(
        parts.spec,
        availability=known | dict.fromkeys(from_views, at),
        undeclared=tuple(name for name in chosen if name not in availability and name not in from_views),
        dropped={name: late.get(name, "asked for") for name in drop},
    )
    return Splits(parts.train, parts.validation, parts.test, sealed(spec))


def _with_prediction_time(frame: pl.DataFrame, at: str) -> tuple[pl.DataFrame, str]:
    """The table with a column of the moments of prediction, and its name."""
    when = moment(at)
    if not when.shift and when.column is not None:
        return frame, when.column
    if PREDICTION_TIME in frame.columns:
        raise UsageError(
            "the table has a column of the name that the moment of prediction gets", value=PREDICTION_TIME,
            hint=f"Rename it, or use it as it is: at={PREDICTION_TIME!r}.",
        )  # fmt: skip
    return frame.with_columns(when.expression().alias(PREDICTION_TIME)), PREDICTION_TIME


def _chosen(
    frame: pl.DataFrame, columns: tuple[str, ...] | None, apart: set[str], from_views: Sequence[str]
) -> tuple[str, ...]:
    """The features: the columns of the table, then those of the views."""
    if columns is None:
        return default_features(frame, apart | set(from_views)) + tuple(from_views)
    require_columns(frame, columns, purpose="the training set")
    clash = sorted(set(columns) & apart)
    if clash:
        raise UsageError("columns to learn from are also target, time, entity or dropped", value=clash)
    return (*columns, *from_views)


def _refuse(found: Sequence[Leak], at: str, drop: Sequence[str], allow: Sequence[str]) -> None:
    open_leaks = [leak for leak in found if leak.column not in (*drop, *allow)]
    if open_leaks:
        names = [leak.column for leak in open_leaks]
        them, verb = ("it", "column is") if len(names) == 1 else ("them", "columns are")
        raise LeakError(
            f"{len(names)} {verb} not known at the moment of prediction, {at}: {'; '.join(map(str, open_leaks))}",
            hint=f"Leave {them} out with drop={names}, correct {'its' if them == 'it' else 'their'} available_at, "
            f"or use {them} knowingly with allow={names}.",
        )
