"""A study in the store: each trial a child run, written when it begins and when it ends, found again after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.clock import now_us
from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Context, Run, RunStatus
from tidemill.engine import current, parameters
from tidemill.engine.lease import owner_state, owner_text
from tidemill.engine.notebook import surrounding_run
from tidemill.engine.resume import recover
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, contexts, leases, runs, studies
from tidemill.store.database import Transaction
from tidemill.training.tuning.outcomes import Outcome

_STATUS: Mapping[str, RunStatus] = {
    "complete": "succeeded",
    "pruned": "cancelled",
    "failed": "failed",
    "stopped": "cancelled",
}
#: Measured beside the metrics of the study.
_SECONDS, _ITERATIONS = "seconds", "iterations"
_LOGGER = logging.getLogger("tidemill.tuning")


@dataclass(frozen=True, slots=True)
class Known:
    """A trial that ended before this process took the study on."""

    params: Mapping[str, Any]
    outcome: Outcome
    run_id: str


@dataclass(eq=False)
class Kept:
    """A study that is being carried out, and its place in the store.

    Parameters
    ----------
    store, run_id, context
        Where it is kept, the run that it belongs to, and its context.
    known
        The trials that have ended already, by number.
    """

    store: Store
    run_id: str
    context: Context
    known: Mapping[int, Known] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Which of the studies of its name it is."""
        return int(self.context.name)

    def begun(self, number: int, params: Mapping[str, Any]) -> str:
        """A trial begins; returns its run."""
        name = str(self.context.attributes["name"])
        run = Run(
            id=new_id(),
            project=str(self.context.attributes["project"]),
            pipeline=studies.TRIAL,
            status="running",
            started_at=now_us(),
            parent_id=self.run_id,
            arguments=parameters.write(params),
            environment={"study": name, "number": self.number, "trial": number},
        )
        tags = {"study": name, "trial": str(number)}
        with self.store.metadata.transaction() as tx:
            studies.begin_trial(tx, run, self.context.id, tags)
        return run.id

    def ended(self, run_id: str, outcome: Outcome) -> None:
        """A trial has ended."""
        measured = {**outcome.values, _SECONDS: outcome.seconds}
        if outcome.iterations is not None:
            measured[_ITERATIONS] = outcome.iterations
        with self.store.metadata.transaction() as tx:
            studies.end_trial(
                tx,
                run_id,
                _STATUS[outcome.state],
                now_us(),
                state=outcome.state,
                metrics=measured,
                reported=outcome.reported,
                error=outcome.error,
            )

    def close(self, status: str, **found: Any) -> None:
        """The study ends here: ``finished``, or ``stopped`` and to be gone on with."""
        attributes = {**self.context.attributes, **found, "status": status, "owner": "", "ended_at": now_us()}
        with self.store.metadata.transaction() as tx:
            studies.leave_trials(tx, self.context.id, now_us(), "the study was stopped")
            _put(tx, self.context, attributes)


def keep(
    name: str | None,
    title: str,
    parts_of: Callable[[], Mapping[str, str]],
    about: Mapping[str, Any],
    *,
    resume: bool | None,
) -> Kept | None:
    """The place of a study in the store; None where it belongs to no run and has no name.

    Parameters
    ----------
    name, title
        The name that the caller gave, if any, and the one that it has.
    parts_of
        Gives digests of all that decides what a trial finds: only a study with the same can be gone on with. It reads
        every row, so it is called only for a study that is kept.
    about
        What else to keep with the study: its metrics, space, seed, ….
    resume
        As for `tune`.

    Raises
    ------
    NotFoundError
        When it shall go on and there is none of this name.
    UsageError
        When it shall go on, and asked something else; the message says what differs.
    ConflictError
        When a living process carries it out.
    """
    place = _place(name, resume=resume)
    if place is None:
        return None
    store, project, run_id = place
    parts = parts_of()
    with store.metadata.transaction() as tx:
        recover(tx)
        root = contexts.put(tx, Context(new_id(), "project", project, now_us()))
        named = contexts.put(tx, Context(new_id(), "study", title, now_us(), root.id))
        lock = leases.acquire(tx, f"study:{named.id}", new_id(), 60.0)
        before = contexts.list_contexts(tx, "study", named.id)
        found = _to_go_on(tx, before, title, parts, resume=resume)
        attributes = {"name": title, "project": project, **about, "parts": dict(parts), "began_at": now_us()}
        attributes |= {"status": "running", "owner": owner_text(), "run": run_id}
        if found is None:
            number = 1 + max((int(one.name) for one in before), default=0)
            context = contexts.put(tx, Context(new_id(), "study", f"{number:06}", now_us(), named.id, attributes))
        else:
            attributes["began_at"] = found.attributes.get("began_at", attributes["began_at"])
            studies.leave_trials(tx, found.id, now_us(), "the process of the study is gone")
            context = _put(tx, found, attributes)
        known = _known(tx, context, about["measured"])
        leases.release(tx, lock)
    return Kept(store, run_id, context, known)


def _put(tx: Transaction, context: Context, attributes: Mapping[str, Any]) -> Context:
    return contexts.put(
        tx, Context(context.id, "study", context.name, context.created_at, context.parent_id, attributes)
    )


def _place(name: str | None, *, resume: bool | None) -> tuple[Store, str, str] | None:
    step = current()
    if step is None:
        if name is None and not resume:
            return None
        project = current_project()
        store = open_project_store(project)
        return store, project.name, surrounding_run(store, project.name, project.root)
    store = open_project_store(current_project())
    with store.metadata.reading() as tx:
        try:
            runs.get(tx, step.run_id)
        except NotFoundError:
            _LOGGER.warning("the run %s is in another store than the project's: its trials are not kept", step.run_id)
            return None
    return store, step.project, step.run_id


def _to_go_on(
    tx: Transaction, before: Sequence[Context], title: str, parts: Mapping[str, str], *, resume: bool | None
) -> Context | None:
    """The study to go on with, if any: by default the last one that asked the same, if it was interrupted."""
    if resume is False:
        return None
    if resume is None:
        same = [one for one in before if one.attributes.get("parts") == dict(parts)]
        return next((one for one in reversed(same[-1:]) if _is_interrupted(tx, one)), None)
    if not before:
        raise NotFoundError(
            "there is no study of this name to go on with", value=title, hint="Leave resume out to begin one."
        )
    last = before[-1]
    kept = last.attributes.get("parts", {})
    differ = sorted(part for part in {*kept, *parts} if kept.get(part) != parts.get(part))
    if differ:
        raise UsageError(
            f"study {title!r} cannot go on: its {' and '.join(differ)} changed",
            hint=f"Begin a new one with resume=False; start=[{title!r}] lets it learn from the old one.",
        )
    if last.attributes.get("status") == "running" and not _is_interrupted(tx, last):
        raise ConflictError(
            f"study {title!r} is being carried out in run {last.attributes['run']}",
            value=last.attributes.get("owner"),
            hint="Wait for it, or give this one another name.",
        )
    return last


def _is_interrupted(tx: Transaction, study: Context) -> bool:
    """Whether nobody carries it out any more, although it was not finished; of other hosts the run's lease decides."""
    if study.attributes.get("status") != "running":
        return study.attributes.get("status") == "stopped"
    state = owner_state(str(study.attributes["owner"]))
    return state == "gone" or (state == "unknown" and runs.get(tx, str(study.attributes["run"])).status != "running")


def _known(tx: Transaction, context: Context, metrics: Sequence[str]) -> dict[int, Known]:
    found: dict[int, Known] = {}
    for trial in studies.trials(tx, context.id):
        if trial.state not in ("complete", "pruned", "failed"):
            continue
        kept = trial.metrics.get(_ITERATIONS)
        outcome = Outcome(
            state=trial.state,  # type: ignore[arg-type]  # one of these three
            values={name: trial.metrics[name] for name in metrics if name in trial.metrics},
            seconds=trial.metrics.get(_SECONDS, 0.0),
            error=trial.error,
            iterations=None if kept is None else int(kept),
            reported=trial.reported,
        )
        found[trial.number] = Known(trial.params, outcome, trial.run_id)
    return found
