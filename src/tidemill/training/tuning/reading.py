"""Studies read back from the store: all of a project, or one with every trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Context
from tidemill.engine import parameters
from tidemill.engine.lease import owner_state
from tidemill.measures.intervals import Estimate
from tidemill.store import Store, contexts, studies
from tidemill.store.database import Transaction
from tidemill.training.tuning.records import Study, Trial

#: How an artist's impression of a study that has not ended yet is marked in lists.
_RUNNING = "running"


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """A study in a list.

    Parameters
    ----------
    name, number
        ``late`` and 3 for the third study of that name: ``late#3``.
    status
        ``running``, ``finished``, ``stopped`` (by Ctrl-C or SIGTERM), ``interrupted`` (its process is gone) or
        ``failed``.
    metric, value
        What it looked for, and the best so far; None until a trial has completed.
    trials, budget
        How many trials have ended, and how many it may make.
    run_id
        The run that it belongs to.
    began_at, ended_at
        Microseconds.
    """

    name: str
    number: int
    status: str
    metric: str
    value: float | None
    trials: int
    budget: int
    run_id: str
    began_at: int
    ended_at: int | None


def list_studies(store: Store, project: str, name: str | None = None, *, limit: int | None = None) -> list[StudyEntry]:
    """The studies of a project, newest first; of one name only, if it is given, and at most `limit` of them."""
    with store.metadata.reading() as tx:
        several = [context for found in _studies(tx, project, name).values() for context in found]
        several.sort(key=lambda context: (context.attributes["began_at"], int(context.name)), reverse=True)
        return [_entry(tx, context) for context in several[:limit]]


def read_study(store: Store, project: str, reference: str) -> Study:
    """A study as it is in the store now: finished, stopped, or still going on.

    Parameters
    ----------
    store, project
        Where to look.
    reference
        Its name for the last of that name, or ``NAME#NUMBER``.

    Raises
    ------
    NotFoundError
        When there is none, or none of its trials has completed.
    """
    name, _, number = reference.rpartition("#") if "#" in reference else (reference, "", "")
    with store.metadata.reading() as tx:
        several = _studies(tx, project, None)
        found = [one for one in several.get(name, []) if not number or str(int(one.name)) == number.lstrip("0")]
        if not found:
            there_are = ", ".join(several) or "none yet"
            raise NotFoundError("there is no such study", value=reference, hint=f"Studies: {there_are}.")
        return _study(found[-1], _trials(tx, found[-1]))


def _studies(tx: Transaction, project: str, name: str | None) -> dict[str, list[Context]]:
    root = contexts.find(tx, "project", project)
    return {} if root is None else studies.generations(tx, root.id, name)


def _entry(tx: Transaction, context: Context) -> StudyEntry:
    about = context.attributes
    metric, greater = next(iter(about["metrics"].items()))
    ended = [trial for trial in studies.trials(tx, context.id) if trial.state and trial.state != "stopped"]
    values = [trial.metrics[metric] for trial in ended if trial.state == "complete"]
    return StudyEntry(
        name=about["name"],
        number=int(context.name),
        status=status_of(about),
        metric=metric,
        value=(max(values) if greater else min(values)) if values else None,
        trials=len(ended),
        budget=about["trials"],
        run_id=about["run"],
        began_at=about["began_at"],
        ended_at=about.get("ended_at"),
    )


def status_of(about: Mapping[str, Any]) -> str:
    """How a study stands; one whose process is gone was interrupted."""
    if about["status"] == _RUNNING and owner_state(str(about["owner"])) == "gone":
        return "interrupted"
    return str(about["status"])


def _trials(tx: Transaction, context: Context) -> tuple[Trial, ...]:
    metrics = context.attributes["measured"]
    found: dict[int, Trial] = {}
    for stored in studies.trials(tx, context.id):
        if stored.state not in ("complete", "pruned", "failed"):
            continue
        kept = stored.metrics.get("iterations")
        values = {name: stored.metrics[name] for name in metrics if name in stored.metrics}
        found[stored.number] = Trial(
            number=stored.number,
            params={name: _param(written) for name, written in stored.params.items()},
            value=values.get(metrics[0]),
            state=stored.state,  # type: ignore[arg-type]  # one of these three
            seconds=stored.metrics.get("seconds", 0.0),
            error=stored.error,
            iterations=None if kept is None else int(kept),
            values=values,
            reported=stored.reported,
            run_id=stored.run_id,
        )
    return tuple(found[number] for number in sorted(found))


def _param(written: Any) -> Any:
    """A parameter as it was given; one that could not be kept as what was said of it."""
    if isinstance(written, Mapping) and "lost" in written:
        return str(written["lost"])
    return parameters.read({"value": written}, {})["value"]


def _study(context: Context, trials: tuple[Trial, ...]) -> Study:
    about = context.attributes
    metric, greater = next(iter(about["metrics"].items()))
    complete = [trial for trial in trials if trial.value is not None]
    if not complete:
        raise NotFoundError(
            f"study {about['name']}#{int(context.name)} has no trial that completed",
            value=f"{len(trials)} trials",
            hint="Look at them with: tidemill runs --pipeline trial",
        )
    sign = 1.0 if greater else -1.0
    first = max(complete, key=lambda trial: sign * float(trial.value or 0.0))
    best = next((trial for trial in complete if trial.number == about.get("best")), first)
    return Study(
        name=about["name"],
        metric=metric,
        greater_is_better=greater,
        best=best.params,
        value=float(best.value or 0.0),
        trials=trials,
        importance=about.get("importance", {}),
        seed=about["seed"],
        rows=about.get("rows", 0),
        metrics=about["metrics"],
        front=tuple(about.get("front", ())),
        sampler=about["sampler"],
        pruner=about["pruner"],
        space=about["space"],
        question=about.get("question", {}),
        ended=about.get("ended", "interrupted"),
        notes=tuple(about.get("notes", ())),
        outer=Estimate(**about["outer"]) if about.get("outer") else None,
        number=int(context.name),
    )
