"""The trials of a tuning study: runs in the study's context, read together, however many there are.

A study is a context of the kind ``study``: one of the name under the project, and below it one for each time that a
study of this name was begun. What trials were given and measured is kept as for any run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.records import Context, Metric, Run, RunStatus
from tidemill.store import contexts, runs, values
from tidemill.store.database import Transaction
from tidemill.store.rows import clean, qualified
from tidemill.store.statement import Statement

#: What a trial has in the place of its pipeline's name.
TRIAL = "trial"
#: The name under which intermediate values are kept.
REPORTED = "reported"

_RUN = "id, status, started_at, ended_at, arguments, environment, error"
_RUNS = Statement(f"""
    SELECT {qualified(_RUN, "runs")} FROM run_contexts JOIN runs ON runs.id = run_contexts.run_id
    WHERE run_contexts.context_id = :context_id
""")
_TAGS = Statement("""
    SELECT tags.run_id, tags.value FROM run_contexts JOIN tags ON tags.run_id = run_contexts.run_id
    WHERE run_contexts.context_id = :context_id AND tags.name = 'state'
""")
_METRICS = Statement("""
    SELECT metrics.seq, metrics.run_id, metrics.name, metrics.value, metrics.step
    FROM run_contexts JOIN metrics ON metrics.run_id = run_contexts.run_id
    WHERE run_contexts.context_id = :context_id
""")
_LEAVE = Statement("""
    UPDATE runs SET status = 'interrupted', ended_at = :ended_at, error = :error
    WHERE status = 'running' AND id IN (SELECT run_id FROM run_contexts WHERE context_id = :context_id)
""")


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as it is in the store.

    Parameters
    ----------
    run_id, number, status
        Its run, its place in the study, and how the run ended or ``"running"``.
    state
        How the trial ended: ``complete``, ``pruned``, ``failed`` or ``stopped``; empty while it runs or if its process
        is gone.
    params, metrics, reported, error
        What it was given, measured and said on the way, and why it did not end well.
    started_at, ended_at
        Microseconds.
    """

    run_id: str
    number: int
    status: RunStatus
    state: str
    params: Mapping[str, Any]
    started_at: int
    ended_at: int | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reported: tuple[tuple[int, float], ...] = ()
    error: str = ""


def begin_trial(tx: Transaction, run: Run, context_id: str, tags: Mapping[str, str]) -> None:
    """Store a trial that begins: a run in the context of its study."""
    runs.insert(tx, run)
    contexts.attach(tx, run.id, context_id)
    values.put_tags(tx, run.id, tags)


def end_trial(
    tx: Transaction,
    run_id: str,
    status: RunStatus,
    ended_at: int,
    *,
    state: str,
    metrics: Mapping[str, float],
    reported: tuple[tuple[int, float], ...] = (),
    error: str = "",
) -> None:
    """Record how a trial ended, with all that it measured, in one transaction."""
    runs.finish(tx, run_id, status, ended_at, error or None)
    values.put_tags(tx, run_id, {"state": state})
    measured = [Metric(run_id, name, value, 0, ended_at) for name, value in metrics.items()]
    said = [Metric(run_id, REPORTED, value, step, ended_at) for step, value in reported]
    values.put_metrics(tx, [*measured, *said])


def trials(tx: Transaction, context_id: str) -> list[StoredTrial]:
    """The trials of a study, by number; of one that was tried again after a crash every try."""
    states: dict[str, str] = dict(tx.all(_TAGS, context_id=context_id))
    measured: dict[str, dict[str, float]] = {}
    reported: dict[str, list[tuple[int, float]]] = {}
    for _, run_id, name, value, step in sorted(tx.all(_METRICS, context_id=context_id), key=lambda row: row[0]):
        number = math.nan if value is None else value
        if name == REPORTED:
            reported.setdefault(run_id, []).append((step, number))
        else:
            measured.setdefault(run_id, {})[name] = number
    found = [
        StoredTrial(
            run_id=run_id,
            number=int(json.loads(environment)["trial"]),
            status=status,
            state=states.get(run_id, ""),
            params=json.loads(arguments),
            started_at=started_at,
            ended_at=ended_at,
            metrics=measured.get(run_id, {}),
            reported=tuple(reported.get(run_id, ())),
            error=error or "",
        )
        for run_id, status, started_at, ended_at, arguments, environment, error in tx.all(_RUNS, context_id=context_id)
    ]
    return sorted(found, key=lambda trial: (trial.number, trial.started_at, trial.run_id))


def leave_trials(tx: Transaction, context_id: str, ended_at: int, error: str) -> int:
    """Mark the trials that are still running as interrupted: whoever ran them is gone."""
    return tx.run(_LEAVE, context_id=context_id, ended_at=ended_at, error=clean(error))


def generations(tx: Transaction, project_id: str, name: str | None = None) -> dict[str, list[Context]]:
    """The studies of a project by name, each oldest first; of one name only, if it is given."""
    names = contexts.list_contexts(tx, "study", project_id)
    return {
        found.name: contexts.list_contexts(tx, "study", found.id)
        for found in names
        if name is None or found.name == name
    }
