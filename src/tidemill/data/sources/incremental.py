"""Incremental reading: which rows a run reads, and how far its pipeline has come.

When a run reads a source with a cursor, the window that it reads is written on the run, before anything is read. The
place that the cursor stands at is where the newest window of the pipeline's *succeeded* runs ends: it moves in the
transaction that ends the run, and not for a run that failed or was killed. A run that goes on from another one reads
that one's window again, and all reads of a source in one run read one window.

A row that arrives late, with a value that the cursor has passed already, is not seen: the column must only grow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tidemill.core.errors import DataError, UsageError
from tidemill.core.records import Run
from tidemill.data.sources.source import CursorValue, Window
from tidemill.engine import context
from tidemill.engine.lease import owner_text, resource_of
from tidemill.store import Store, leases, runs, values
from tidemill.store.database import Transaction

_TAG = "tidemill.cursor."
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """A run that is going to read, and the window that it, or an earlier run that it goes on from, has read before."""

    run: Run
    repeated: Window | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where the cursor of a pipeline stands: at a value of a column, since a run that ended then."""

    pipeline: str
    column: str
    value: CursorValue
    run: str
    ended_at: int | None


def begin(store: Store, project: str, source: str) -> Reading | None:
    """The run of this process that reads here; None outside of runs and in a plan, where the cursor does not move.

    Raises
    ------
    UsageError
        If several runs of this process might be meant.
    """
    with store.metadata.reading() as tx:
        run = _run_here(tx, project)
        return None if run is None else Reading(run, _repeated(tx, run, source))


def position(store: Store, project: str, pipeline: str | None, source: str) -> CursorValue | None:
    """Where the cursor of a pipeline stands; None if it has not read the source yet, or no pipeline is meant."""
    if pipeline is None:
        return None
    with store.metadata.reading() as tx:
        for run in _succeeded(tx, project, pipeline):
            window = _window(values.tags(tx, run.id), source)
            if window is not None and window.upto is not None:
                return window.upto
    return None


def positions(store: Store, project: str, source: str) -> tuple[Position, ...]:
    """Where the cursor of each pipeline that has read the source stands, by the newest of its runs that succeeded."""
    found: dict[str, Position] = {}
    with store.metadata.reading() as tx:
        for run in _succeeded(tx, project, None):
            if run.pipeline not in found:
                window = _window(values.tags(tx, run.id), source)
                if window is not None and window.upto is not None:
                    found[run.pipeline] = Position(run.pipeline, window.column, window.upto, run.id, run.ended_at)
    return tuple(found.values())


def note(store: Store, reading: Reading, source: str, window: Window) -> None:
    """Write the window on the run that reads it."""
    kept = {"column": window.column, "after": _written(window.after), "upto": _written(window.upto)}
    with store.metadata.transaction() as tx:
        values.put_tags(tx, reading.run.id, {f"{_TAG}{source}": json.dumps(kept)})


def closed(column: str, source: str, after: CursorValue | None, find: Callable[[Window], CursorValue | None]) -> Window:
    """The window from `after` to the newest value there is.

    Raises
    ------
    DataError
        If the newest value is before `after`: the cursor went backwards.
    """
    newest = find(Window(column, after))
    if newest is None:
        return Window(column, after, after)
    if after is not None:
        _require_growth(column, source, after, newest)
    return Window(column, after, newest)


def _require_growth(column: str, source: str, after: CursorValue, newest: CursorValue) -> None:
    try:
        backwards = newest < after  # type: ignore[operator]  # of one type, or the error below
    except TypeError:
        raise DataError(
            f"the cursor {column!r} of source {source!r} was {after!r} and is of another type now",
            value=newest,
            hint="Restore the column's type, or declare the source under a new name to read it from the start.",
        ) from None
    if backwards:
        raise DataError(
            f"the cursor {column!r} of source {source!r} went backwards: the last run read up to {after}",
            value=newest,
            hint="If the source was rebuilt, declare it under a new name to read it from the start.",
        )


def _run_here(tx: Transaction, project: str) -> Run | None:
    step = context.current()
    if step is not None:
        return runs.get(tx, step.run_id)
    me = owner_text().rpartition(":")[0]
    found = []
    for run in runs.list_runs(tx, project=project, status="running", limit=_PAGE, trials=False):
        lease = leases.get(tx, resource_of(run.id))
        if lease is not None and lease.owner.rpartition(":")[0] == me and run.pipeline != "notebook":
            found.append(run)
    parents = {run.parent_id for run in found}
    innermost = [run for run in found if run.id not in parents]
    if len(innermost) > 1:
        raise UsageError(
            "several runs of this process are reading, and it cannot be told whose cursor is meant",
            value=[run.id for run in innermost],
            hint="Run pipelines with incremental sources one at a time, or each in its own process.",
        )
    return innermost[0] if innermost else None


def _repeated(tx: Transaction, run: Run, source: str) -> Window | None:
    while True:
        window = _window(values.tags(tx, run.id), source)
        if window is not None or run.resumed_from is None:
            return window
        run = runs.get(tx, run.resumed_from)


def _succeeded(tx: Transaction, project: str, pipeline: str | None) -> Iterator[Run]:
    before: str | None = None
    while True:
        page = runs.list_runs(tx, project=project, pipeline=pipeline, status="succeeded", limit=_PAGE, before=before)
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _window(tags: dict[str, str], source: str) -> Window | None:
    text = tags.get(f"{_TAG}{source}")
    if text is None:
        return None
    kept = json.loads(text)
    return Window(kept["column"], _read(kept["after"]), _read(kept["upto"]))


def _written(value: CursorValue | None) -> list[Any]:
    kind = type(value).__name__
    return [kind, value.isoformat() if isinstance(value, date) else value]


def _read(kept: list[Any]) -> CursorValue | None:
    kind, value = kept
    if kind == "datetime":
        return datetime.fromisoformat(value)
    result: CursorValue | None = date.fromisoformat(value) if kind == "date" else value
    return result
