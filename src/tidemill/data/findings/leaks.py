"""Findings against the clock: columns that are known only after the prediction is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.data.availability import Declared, leaks
from tidemill.data.findings.finding import Finding
from tidemill.data.moments import moment
from tidemill.data.types import require_columns


def find_leaks(
    frame: pl.DataFrame,
    available_at: Mapping[str, str] | Declared | None,
    prediction_time: str | None,
    target: str | None,
) -> Iterator[Finding]:
    """Columns that are known too late, by the times in the rows; and those for which that cannot be told.

    What a caller writes must fit the table. What a project declares speaks of all its tables: columns that this one
    does not have are passed over.
    """
    if available_at is None and prediction_time is None:
        return
    if available_at is None or prediction_time is None:
        raise UsageError(
            "a leak is a column that is known after the prediction: explore needs both times",
            value={"available_at": available_at, "prediction_time": prediction_time},
            hint='Write available_at={"dep_delay": "departed_at"}, prediction_time="sched_dep - 2h", or declare them: '
            "available_at in the source, prediction.at in the canvas.",
        )
    declared = isinstance(available_at, Declared)
    given = dict(available_at.moments if isinstance(available_at, Declared) else available_at)
    rest = given.pop("*", None)
    if not declared:
        require_columns(frame, given, purpose="available_at")
        require_columns(
            frame, [column for column in [moment(prediction_time).column] if column], purpose="prediction_time"
        )
    known = {name: given.get(name, rest) for name in frame.columns if name != target}
    timed = {name: when for name, when in known.items() if when is not None}
    here = {name: when for name, when in timed.items() if moment(when).column in (None, *frame.columns)}
    if moment(prediction_time).column not in frame.columns:
        here = {}
    for name in timed.keys() - here.keys():
        yield Finding(
            "leak_unchecked", name, "warning", frame.height, 1.0, (),
            f"{name} is declared to be known at {timed[name]}, and the prediction to be made at {prediction_time}; the "
            "table lacks one of these times, so whether it is known too late cannot be told.",
            "Keep the time columns in the table until it is checked.",
        )  # fmt: skip
    for leak in leaks(frame, here, prediction_time, target=target, columns=list(here)) if here else ():
        rows = round(leak.late * frame.height)
        yield Finding(
            "leak", leak.column, "error", rows, leak.late, (),
            f"{leak}, and the prediction is made at {prediction_time}.",
            "Leave it out of the features, or use an older value of it (a feature view does).",
            {"kind": "drop_columns", "columns": [leak.column]},
        )  # fmt: skip
