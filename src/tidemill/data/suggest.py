"""A cleaning plan from what explore found: what to do to which column, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tidemill.core.errors import UsageError, shorten
from tidemill.data.expected import TEXT, require_set
from tidemill.data.explore import Exploration
from tidemill.data.findings.finding import number_of
from tidemill.data.operations import (
    CleaningPlan,
    ClipLearned,
    DropColumns,
    FillLearned,
    MergeRare,
    Operation,
    ParseTime,
    operation_from_dict,
)
from tidemill.data.profile import ColumnProfile
from tidemill.engine.step import step

#: Repairs of single values come before those that look at other values, and both before rows and columns go.
_ORDER = (
    "repair_encoding", "null_values", "merge_categories", "cast", "parse_time", "convert_unit", "null_outside",
    "deduplicate", "filter_rows", "drop_columns", "clip_learned", "fill_learned", "merge_rare",
)  # fmt: skip
_EMPTY = 0.95
_TELLING_GAPS = 0.02
_MANY_CATEGORIES = 30
_RARE = 0.005
_TAIL = 20.0


@step(stage="suggest")
def suggest_cleaning(exploration: Exploration, *, target: str | None = None) -> CleaningPlan:
    """Propose a plan, with one reason for each operation; to be read and edited before it is used.

    The stateless part (`CleaningPlan.stateless`) is for ``clean``, the learned part (`CleaningPlan.learned`) for
    ``train(…, cleaning=…)``. What somebody has to decide (columns that tell too much, orphan keys, clock times
    without a date, gaps in time) is not in the plan.

    Parameters
    ----------
    exploration
        What `explore` found.
    target
        The column to predict: it is never filled, clipped, merged or dropped.

    Examples
    --------
    >>> import polars as pl
    >>> from tidemill.data.explore import explore
    >>> table = pl.DataFrame({"wind": [float(speed) for speed in range(30)] + [1048.0], "year": 2013})
    >>> plan = suggest_cleaning(explore(table))
    >>> for operation, reason in zip(plan.operations, plan.reasons):
    ...     print(operation.kind, "-", reason)
    null_outside - wind = 1,048 lies 74 times as far from the median (15) as the next value (29), with nothing between.
    drop_columns - year has the same value in every row that has one.
    """
    if not isinstance(exploration, Exploration):
        raise UsageError(
            "not an exploration", value=type(exploration).__name__, hint="Give what tm.explore(table) returns."
        )
    require_set("suggest_cleaning", target=(target, TEXT))
    found = [*_from_findings(exploration, target), *_times(exploration)]
    dropped = {name for operation, _ in found if isinstance(operation, DropColumns) for name in operation.columns}
    found += [item for profile in exploration.columns for item in _learned(profile, exploration, target)]
    kept = [
        item for item in found if isinstance(item[0], DropColumns) or getattr(item[0], "column", None) not in dropped
    ]
    kept.sort(key=lambda item: _ORDER.index(item[0].kind))
    return CleaningPlan(tuple(operation for operation, _ in kept), tuple(reason for _, reason in kept))


def _from_findings(exploration: Exploration, target: str | None) -> Iterator[tuple[Operation, str]]:
    for finding in exploration.findings:
        if finding.kind == "mostly_missing" and finding.share >= _EMPTY and finding.column != target:
            yield DropColumns((finding.column,)), finding.explanation
        elif finding.remedy and not (finding.kind == "constant" and finding.column == target):
            yield operation_from_dict(finding.remedy), finding.explanation


def _times(exploration: Exploration) -> Iterator[tuple[Operation, str]]:
    for profile in exploration.columns:
        words = [value for value, _ in profile.top]
        if profile.type in ("string", "categorical") and len(words) > 1 and all(_is_time(word) for word in words):
            yield ParseTime(profile.name), f"{profile.name} is text that holds times, such as {shorten(words[0])}."


def _is_time(word: Any) -> bool:
    try:
        datetime.fromisoformat(word)
    except (TypeError, ValueError):
        return False
    return "-" in word


def _learned(profile: ColumnProfile, exploration: Exploration, target: str | None) -> Iterator[tuple[Operation, str]]:
    """Repairs that a model needs, for columns that it can learn from."""
    key = any(profile.name in names for names in exploration.keys if len(names) == 1)
    if profile.name == target or key or profile.distinct < 2 or not profile.rows:
        return
    number = profile.type.startswith(("int", "uint", "float", "decimal"))
    text = profile.type in ("string", "categorical") and not _is_time(profile.top[0][0])
    missing = profile.nulls / profile.rows
    if 0 < missing < _EMPTY and (number or text):
        yield (
            FillLearned(profile.name, "median" if number else "most_frequent", indicator=missing >= _TELLING_GAPS),
            f"{profile.name} is missing in {number_of(profile.nulls, 'row')} ({missing:.1%})"
            + ("; whether it is may tell something." if missing >= _TELLING_GAPS else "."),
        )
    limited = any(
        finding.kind == "impossible_value" and finding.column == profile.name for finding in exploration.findings
    )
    if number and not limited and (reason := _tail(profile)):
        yield ClipLearned(profile.name), reason
    if text and profile.distinct > _MANY_CATEGORIES and profile.distinct < profile.rows / 2:
        yield (
            MergeRare(profile.name, _RARE),
            f"{profile.name} has {profile.distinct:,} categories: the rare ones teach a model nothing.",
        )


def _tail(profile: ColumnProfile) -> str | None:
    """Why a column's ends should be limited, or None."""
    quantiles = profile.quantiles
    low, high = (quantiles.get(probability) for probability in ("0.25", "0.75"))
    ends = profile.minimum, profile.maximum
    if not all(isinstance(value, int | float) for value in (low, high, *ends)) or high == low:
        return None
    middle = quantiles["0.5"]
    farthest = max(abs(end - middle) for end in ends) / (high - low)  # type: ignore[operator]
    if farthest < _TAIL:
        return None
    return f"{profile.name} has values {farthest:.0f} times the width of its middle half away from the median."
