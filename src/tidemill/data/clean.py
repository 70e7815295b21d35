"""Carry out a cleaning plan: each repair is done in order, counted, and loses no row without a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from tidemill.core.errors import ConfigError, TidemillError, UsageError
from tidemill.data import repair_steps
from tidemill.data.contract import TableContract
from tidemill.data.faces import as_html, as_text
from tidemill.data.operations import LEARNED, CleaningPlan, Operation
from tidemill.data.profile import measure_column
from tidemill.data.repair_steps import Effect
from tidemill.data.types import Tabular, collected, physical_type
from tidemill.engine.step import step


@dataclass(frozen=True, slots=True)
class OperationReport:
    """What one operation did.

    Parameters
    ----------
    operation
        Its kind.
    columns
        The columns it worked on.
    changed
        Values it changed (or columns it dropped, renamed or made).
    nulls_before, nulls_after
        Missing values in these columns before and after.
    removed
        Rows it sent to quarantine.
    examples
        Some values before and after.
    """

    operation: str
    columns: tuple[str, ...]
    changed: int
    nulls_before: int
    nulls_after: int
    removed: int = 0
    examples: tuple[tuple[Any, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnEffect:
    """What cleaning did to one column: kept, added or dropped; its type and its missing values before and after."""

    column: str
    change: Literal["kept", "added", "dropped"]
    type_before: str | None
    type_after: str | None
    missing_before: int | None
    missing_after: int | None


@dataclass(frozen=True, slots=True, repr=False)
class CleaningReport:
    """Rows before and after, what each operation did, and what became of each column; shown as two tables."""

    rows_before: int
    rows_after: int
    operations: tuple[OperationReport, ...]
    columns: tuple[ColumnEffect, ...] = ()

    def __repr__(self) -> str:
        counts = f"rows_before={self.rows_before}, rows_after={self.rows_after}"
        return f"CleaningReport({counts}, operations={len(self.operations)})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cleaned:
    """The repaired rows, the rows set aside with a ``reasons`` column, and the report.

    `contract` is the one that the table was checked with, if it came from `validate`; `changed` are the columns whose
    values are no longer those that were checked.
    """

    table: pl.DataFrame
    quarantined: pl.DataFrame
    report: CleaningReport
    contract: TableContract | None = None
    changed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Cleaned(table={self.table.height}, quarantined={self.quarantined.height}, report={self.report!r})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@step(stage="clean")
def clean(table: Tabular, plan: CleaningPlan) -> Cleaned:
    """Carry out the stateless repairs of a plan.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one (`Validated`).
    plan
        Operations from `tidemill.data.operations`, in order.

    Raises
    ------
    UsageError
        If the plan holds an operation that learns from rows: before the split, it would learn from test rows too.
    ConfigError
        If an operation does not fit the table; the message names it.

    Examples
    --------
    >>> from tidemill.data.operations import CleaningPlan, NullOutside
    >>> weather = pl.DataFrame({"wind_speed": [10.4, 1048.4, 7.0]})
    >>> out = clean(weather, CleaningPlan((NullOutside("wind_speed", maximum=200),)))
    >>> out.table["wind_speed"].to_list(), out.report.operations[0].changed
    ([10.4, None, 7.0], 1)
    """
    if not isinstance(plan, CleaningPlan):
        raise UsageError("not a cleaning plan", value=plan, hint="Write CleaningPlan((…, …)) of operations.")
    learned = dict.fromkeys(operation.kind for operation in plan.operations if isinstance(operation, LEARNED))
    if learned:
        raise UsageError(
            "clean() takes repairs that do not learn from rows",
            value=list(learned),
            hint="Give them to train(…, cleaning=…): they are fitted on training rows and travel in the model.",
        )
    frame = given = collected(table)
    reports, aside = [], []
    rows = frame.height
    changed = dict.fromkeys(getattr(table, "changed", ()))
    for operation in plan.operations:
        effect = _done(frame, operation)
        reports.append(_report(frame, effect, operation.kind))
        if effect.removed is not None and effect.removed.height:
            reason = pl.lit([effect.reason], dtype=pl.List(pl.String))
            aside.append(effect.removed.with_columns(reasons=reason))
        changed.update(dict.fromkeys(_changed(frame, effect)))
        frame = effect.table
    empty = frame.clear().with_columns(reasons=pl.lit([], dtype=pl.List(pl.String)))
    quarantined = pl.concat(aside, how="diagonal_relaxed") if aside else empty
    report = CleaningReport(rows, frame.height, tuple(reports), tuple(_column_effects(given, frame)))
    return Cleaned(frame, quarantined, report, getattr(table, "contract", None), tuple(changed))


def _nulls(frame: pl.DataFrame, columns: tuple[str, ...]) -> int:
    """Missing values in those of the columns that the table has."""
    wanted = set(columns)
    return sum(column.null_count() for column in frame.iter_columns() if column.name in wanted)


def _column_effects(before: pl.DataFrame, after: pl.DataFrame) -> Iterator[ColumnEffect]:
    olds, news = ({column.name: column for column in frame.iter_columns()} for frame in (before, after))
    for name in olds | news:
        old, new = olds.get(name), news.get(name)
        yield ColumnEffect(
            name,
            "added" if old is None else "dropped" if new is None else "kept",
            None if old is None else physical_type(old.dtype),
            None if new is None else physical_type(new.dtype),
            None if old is None else old.null_count(),
            None if new is None else new.null_count(),
        )


def _changed(before: pl.DataFrame, effect: Effect) -> list[str]:
    """The columns that are not what they were."""
    was, after = before.schema, effect.table.schema
    return [
        name
        for name in effect.columns
        if effect.changed or name not in after or name not in was or was[name] != after[name]
    ]


def _done(frame: pl.DataFrame, operation: Operation) -> Effect:
    step: Callable[[pl.DataFrame, Any], Effect] = repair_steps.STEPS[operation.kind]
    try:
        return step(frame, operation)
    except TidemillError:
        raise
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the cleaning operation {operation.kind!r} does not fit the table: {str(error).splitlines()[0]}",
            value=operation,
            hint="Check its columns and their types.",
        ) from error


def _report(before: pl.DataFrame, effect: Effect, kind: str) -> OperationReport:
    return OperationReport(
        kind,
        effect.columns,
        effect.changed,
        _nulls(before, effect.columns),
        _nulls(effect.table, effect.columns),
        0 if effect.removed is None else effect.removed.height,
        effect.examples,
    )


def before_after(before: Tabular, after: Tabular) -> pl.DataFrame:
    """What cleaning did to each column, side by side.

    Returns
    -------
    polars.DataFrame
        One row per column of either table: ``column``; ``change`` (kept, added, dropped); and, before and after, its
        ``type``, its rows (``rows``), missing and distinct values, and its least and greatest value as text.

    Examples
    --------
    >>> table = pl.DataFrame({"wind": [10.4, 1048.4]})
    >>> from tidemill.data.operations import NullOutside
    >>> cleaned = clean(table, CleaningPlan((NullOutside("wind", maximum=200),)))
    >>> before_after(table, cleaned).select("change", "missing_before", "missing_after", "greatest_after").row(0)
    ('kept', 0, 1, '10.4')
    """
    old, new = collected(before), collected(after)
    names = dict.fromkeys([*old.columns, *new.columns])
    rows = []
    for name in names:
        change = (
            "kept" if name in old.columns and name in new.columns else "dropped" if name in old.columns else "added"
        )
        left = _summary(old[name]) if name in old.columns else {}
        right = _summary(new[name]) if name in new.columns else {}
        sides = {f"{key}_before": left.get(key) for key in _SUMMARY} | {
            f"{key}_after": right.get(key) for key in _SUMMARY
        }
        rows.append({"column": name, "change": change} | sides)
    schema = {"column": pl.String(), "change": pl.String()} | {
        f"{key}_{when}": kind for when in ("before", "after") for key, kind in _SUMMARY.items()
    }
    return pl.DataFrame(rows, schema=schema)


_SUMMARY: dict[str, pl.DataType] = {
    "type": pl.String(), "rows": pl.Int64(), "missing": pl.Int64(), "distinct": pl.Int64(),
    "least": pl.String(), "greatest": pl.String(),
}  # fmt: skip


def _summary(column: pl.Series) -> dict[str, Any]:
    profile = measure_column(column).profile
    least, greatest = (None if value is None else str(value) for value in (profile.minimum, profile.maximum))
    return {
        "type": profile.type, "rows": profile.rows, "missing": profile.nulls, "distinct": profile.distinct,
        "least": least, "greatest": greatest,
    }  # fmt: skip
