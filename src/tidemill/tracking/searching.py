"""Find runs: one by its id, many by a filter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill.core.errors import NotFoundError, UsageError
from tidemill.core.records import Run, RunStatus
from tidemill.project import current_project, open_project_store
from tidemill.store import Store
from tidemill.store import runs as stored
from tidemill.store.studies import TRIAL
from tidemill.tracking.filters import Clause, parse_filter
from tidemill.tracking.views import RunView

_PAGE = 200
#: Names for the newest run.
_NEWEST = ("latest", "last")


def run(id_or_prefix: str = "latest", *, store: Store | None = None) -> RunView:
    """One run.

    Parameters
    ----------
    id_or_prefix
        Its id, the beginning of it, or ``"latest"``: the newest of the current project.
    store
        Where to look; the current project's store by default.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If several ids start so.
    """
    where, project = place(store)
    with where.metadata.reading() as tx:
        if id_or_prefix not in _NEWEST:
            return RunView(stored.get(tx, id_or_prefix), where)
        newest = stored.list_runs(tx, project=project, limit=1, trials=False)
    if not newest:
        raise NotFoundError("there are no runs yet", hint="Start one with: tidemill run")
    return RunView(newest[0], where)


def runs(
    where: str = "",
    *,
    pipeline: str | None = None,
    status: RunStatus | None = None,
    order_by: str = "",
    limit: int = 50,
    before: str | None = None,
    project: str | None = None,
    store: Store | None = None,
) -> list[RunView]:
    """Runs that meet a filter, newest first.

    Parameters
    ----------
    where
        Conditions joined by ``and`` on ``metrics.NAME``, ``params.NAME``, ``tags.NAME`` and the run's ``status``,
        ``pipeline``, ``user``, ``commit``, …: ``"metrics.roc_auc >= 0.74 and tags.team = 'gates'"``. Metrics mean their
        last value.
    pipeline, status
        Only these. Trials of tuning studies are left out, unless the pipeline is ``"trial"``.
    order_by
        Another order: ``"metrics.roc_auc"`` with the smallest first, ``"metrics.roc_auc desc"`` with the largest; runs
        without it come last.
    limit
        At most so many.
    before
        Go on after this run of an earlier list (its id); not together with `order_by`.
    project
        Whose runs: by default the current project's; with a `store` of its own, all of it.
    store
        Where to look; the current project's store by default.

    Raises
    ------
    UsageError
        When the filter or the order cannot be read.
    """
    clauses = parse_filter(where)
    order = _order(order_by)
    if order is not None and before is not None:
        raise UsageError("a list in an order of its own cannot be continued", value=before, hint="Raise the limit.")
    place_, own = place(store)
    wanted = {"project": project or own, "pipeline": pipeline, "status": status}
    found: list[RunView] = []
    for view in _views(place_, wanted, before):
        if all(clause.holds(_values(view, clause)) for clause in sorted(clauses, key=_cost)):
            found.append(view)
        if order is None and len(found) >= limit:
            break
    if order is not None:
        name, sign = order
        found.sort(key=lambda view: _rank(view.metrics.get(name), sign))
    return found[:limit]


def place(store: Store | None) -> tuple[Store, str | None]:
    """The store to look in, and the project whose runs are meant if nobody says."""
    if store is not None:
        return store, None
    project = current_project()
    return open_project_store(project), project.name


def _views(store: Store, wanted: Mapping[str, Any], before: str | None) -> Iterator[RunView]:
    """All runs, page by page."""
    while True:
        with store.metadata.reading() as tx:
            page: Sequence[Run] = stored.list_runs(
                tx, limit=_PAGE, before=before, trials=wanted.get("pipeline") == TRIAL, **wanted
            )
        yield from (RunView(record, store) for record in page)
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _cost(clause: Clause) -> bool:
    """What is on the run itself is looked at first."""
    return clause.kind != "run"


def _values(view: RunView, clause: Clause) -> Mapping[str, Any]:
    if clause.kind == "run":
        return {clause.name: getattr(view.record, clause.name)}
    values: Mapping[str, Any] = getattr(view, clause.kind)
    return values


def _order(text: str) -> tuple[str, int] | None:
    if not text.strip():
        return None
    subject, _, direction = text.strip().partition(" ")
    kind, _, name = subject.partition(".")
    if kind not in ("metric", "metrics") or not name or direction.strip().lower() not in ("", "asc", "desc"):
        raise UsageError(
            "runs cannot be put in this order", value=text, hint="Write metrics.NAME or metrics.NAME desc."
        )
    return name, -1 if direction.strip().lower() == "desc" else 1


def _rank(value: float | None, sign: int) -> tuple[bool, float]:
    missing = value is None or math.isnan(value)
    return missing, 0.0 if value is None or missing else sign * value
