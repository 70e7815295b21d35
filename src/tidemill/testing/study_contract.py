"""What the metadata store must do for tuning studies; part of `metadata_contract`."""

from __future__ import annotations

from collections.abc import Callable

from tidemill.core.ids import new_id
from tidemill.core.records import Context, Run
from tidemill.store import contexts, leases, runs, studies
from tidemill.store.database import Database
from tidemill.testing.building import a_run


def a_trial(number: int, parent: Run) -> Run:
    """A trial that begins, as a child of a run."""
    return Run(
        new_id(), parent.project, studies.TRIAL, "running", 10 - number, parent_id=parent.id,
        arguments={"rate": 0.1 * number}, environment={"trial": number},
    )  # fmt: skip


def check_trials_come_back_by_number_with_all_that_they_measured(database: Database) -> None:
    """Whatever order they began and ended in; trials that nobody ends are left, and told from those that ended."""
    parent = a_run(database)
    with database.transaction() as tx:
        project = contexts.put(tx, Context(new_id(), "project", "p", 1))
        named = contexts.put(tx, Context(new_id(), "study", "late", 1, project.id))
        study = contexts.put(tx, Context(new_id(), "study", "000001", 1, named.id, {"metrics": {"auc": True}}))
        one, two, three = (a_trial(number, parent) for number in range(3))
        for trial in (three, one, two):
            studies.begin_trial(tx, trial, study.id, {"study": "late"})
        measured = {"auc": 0.1 + 0.2, "seconds": 1e-9}
        studies.end_trial(
            tx, two.id, "succeeded", 20, state="complete", metrics=measured, reported=((0, 0.5), (7, -1.5))
        )
        studies.end_trial(tx, one.id, "failed", 21, state="failed", metrics={}, error="ValueError: a\0b")
    with database.transaction() as tx:
        assert studies.leave_trials(tx, study.id, 30, "gone") == 1
        assert studies.leave_trials(tx, study.id, 31, "gone") == 0
    with database.reading() as tx:
        found = studies.trials(tx, study.id)
        assert [(trial.number, trial.state, trial.status) for trial in found] == [
            (0, "failed", "failed"), (1, "complete", "succeeded"), (2, "", "interrupted"),
        ]  # fmt: skip
        assert found[0].error == "ValueError: a␀b"
        assert (found[1].metrics, found[1].reported) == (measured, ((0, 0.5), (7, -1.5)))
        assert found[1].params == {"rate": 0.1}
        assert studies.generations(tx, project.id) == {"late": [study]}
        assert studies.generations(tx, project.id, "other") == {}


def check_trials_are_left_out_of_lists_and_end_with_their_run(database: Database) -> None:
    """A list of runs is not flooded with trials; a run whose process is gone takes its trials with it."""
    parent = a_run(database)
    with database.transaction() as tx:
        study = contexts.put(tx, Context(new_id(), "study", "late", 1))
        trial = a_trial(0, parent)
        studies.begin_trial(tx, trial, study.id, {})
        leases.acquire(tx, leases.RUN + parent.id, "me", -1.0)
    with database.reading() as tx:
        assert [run.id for run in runs.list_runs(tx, trials=False)] == [parent.id]
        assert {run.id for run in runs.list_runs(tx)} == {parent.id, trial.id}
    with database.transaction() as tx:
        assert leases.mark_interrupted(tx, 1e12) == [parent.id]
        assert runs.get(tx, trial.id).status == "interrupted"


#: Every check, for `metadata_contract`.
CHECKS: tuple[Callable[[Database], None], ...] = (
    check_trials_come_back_by_number_with_all_that_they_measured,
    check_trials_are_left_out_of_lists_and_end_with_their_run,
)
