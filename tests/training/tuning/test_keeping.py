"""If these fail, a crash costs every trial before it, or a study goes on with another question's answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import ConflictError, ModelError, NotFoundError, OutOfSpaceError, UsageError
from tidemill.project import load_project, open_project_store, use_project
from tidemill.store import runs
from tidemill.training import integers, tune, uniform
from tidemill.training.tuning import keeping
from tidemill.training.tuning.reading import list_studies, read_study

SPACE = {"cut": uniform(0, 2500), "idle": integers(1, 9)}


class Cut:
    """Calls everything above the cut malignant."""

    def __init__(self, cut, idle=0):
        self.cut = cut

    def fit(self, matrix, truth):
        return self

    def predict(self, matrix):
        return matrix[:, 3] > self.cut


def build(params):
    return Cut(**params)


def cut(data, **options):
    return tune(build, SPACE, data, **{"metric": "accuracy", "trials": 12, "name": "cuts", **options})


@pytest.fixture
def small(cancer):
    return cancer


def fragile(params):
    """Ends the study in the middle of a trial, as Ctrl-C does in a step, when the environment says that it is time."""
    made = Path(os.environ["MADE"])
    made.write_text(made.read_text() + "." if made.exists() else ".")
    if len(made.read_text()) == int(os.environ["STOP_AT"]):
        raise SystemExit
    return Cut(**params)


def test_every_trial_is_a_child_run(project, store, small):
    study = cut(small, trials=3)
    views = [tm.run(trial.run_id) for trial in study.trials]
    notebook = tm.run("latest")
    assert notebook.pipeline == "notebook"
    for trial, view in zip(study.trials, views, strict=True):
        assert (view.pipeline, view.status, view.record.parent_id) == ("trial", "succeeded", notebook.id)
        assert view.record.arguments == trial.params
        assert view.metrics["accuracy"] == trial.value
        assert view.tags == {"study": "cuts", "trial": str(trial.number), "state": "complete"}
        assert view.seconds >= 0
    assert tm.compare(views[0], views[1]).params
    assert [view.id for view in tm.runs()] == [notebook.id]
    assert {view.id for view in tm.runs("tags.study = 'cuts'", pipeline="trial")} == {view.id for view in views}


def test_a_study_reads_back_as_it_was_returned(project, store, small):
    study = cut(small)
    assert read_study(store, project.name, "cuts") == study
    entry = list_studies(store, project.name)[0]
    assert (entry.name, entry.number, entry.status, entry.trials, entry.value) == (
        "cuts",
        1,
        "finished",
        12,
        study.value,
    )
    with pytest.raises(NotFoundError, match=r"no such study: 'nuts'\. Studies: cuts"):
        read_study(store, project.name, "nuts")


def test_without_a_run_and_without_a_name_nothing_is_kept(project, store, small):
    cut(small, name=None, trials=2)
    assert list_studies(store, project.name) == []


def test_a_study_that_was_stopped_goes_on_and_finds_the_same(project, store, small, tmp_path, monkeypatch):
    whole = cut(small, name="whole")
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    monkeypatch.setenv("STOP_AT", "6")
    asked = {"metric": "accuracy", "trials": 12, "name": "cuts"}
    with pytest.raises(SystemExit):
        tune(fragile, SPACE, small, **asked)
    assert list_studies(store, project.name, "cuts")[0].status == "stopped"
    with store.metadata.reading() as tx:
        found = runs.list_runs(tx, pipeline="trial", limit=6)
    assert [run.status for run in found] == ["cancelled", *["succeeded"] * 5]
    resumed = tune(fragile, SPACE, small, **asked)
    assert len((tmp_path / "made").read_text()) == 6 + 7
    assert resumed.trials == whole.trials
    assert resumed.number == 1
    assert resumed.notes == ("5 trials were taken from before this study was interrupted",)
    assert tune(fragile, SPACE, small, **asked).number == 2


def test_another_question_under_the_same_name_begins_anew(project, store, small):
    first = cut(small, trials=2)
    second = cut(small, trials=2, seed=5)
    assert (first.number, second.number) == (1, 2)
    assert read_study(store, project.name, "cuts#1") == first
    with pytest.raises(UsageError, match="'cuts' cannot go on: its metric and rows and seed changed"):
        cut(small, trials=2, metric="f1", rows=100, resume=True)


def test_more_trials_are_added_to_a_finished_study_when_asked(project, store, small):
    first = cut(small, trials=4)
    more = cut(small, trials=9, resume=True)
    assert more.number == first.number
    assert more.trials[:4] == first.trials
    assert [trial.run_id for trial in more.trials[:4]] == [trial.run_id for trial in first.trials]
    assert more.trials == cut(small, trials=9, name="at once").trials
    assert "4 trials were taken" in more.notes[0]


def test_there_must_be_something_to_go_on_with(project, small):
    with pytest.raises(NotFoundError, match=r"no study of this name to go on with: 'cuts'\. Leave resume out"):
        cut(small, resume=True)


def test_a_study_that_somebody_carries_out_is_left_to_them(project, store, small, monkeypatch):
    cut(small, trials=1)
    monkeypatch.setattr(keeping.Kept, "close", lambda *_, **__: None)
    cut(small, trials=1, resume=False)
    with pytest.raises(ConflictError, match="'cuts' is being carried out in run"):
        cut(small, trials=2, resume=True)
    assert cut(small, trials=1).number == 3


def test_a_failed_trial_is_not_tried_again(project, small):
    def fragile(params):
        if params["cut"] > 1000:
            raise ValueError("too far")
        return Cut(**params)

    first = tune(fragile, SPACE, small, metric="accuracy", trials=8, name="fragile")
    assert "failed" in {trial.state for trial in first.trials}
    again = tune(fragile, SPACE, small, metric="accuracy", trials=8, name="fragile", resume=True)
    assert again == first


def test_a_full_disk_says_so_and_loses_no_ended_trial(project, store, small, monkeypatch):
    ended, real = [], keeping.studies.end_trial

    def full(tx, run_id, *rest, **named):
        ended.append(run_id)
        if len(ended) > 3:
            raise OutOfSpaceError("the disk is full", hint="Make room.")
        real(tx, run_id, *rest, **named)

    monkeypatch.setattr(keeping.studies, "end_trial", full)
    with pytest.raises(OutOfSpaceError, match="disk is full"):
        cut(small)
    monkeypatch.setattr(keeping.studies, "end_trial", real)
    assert list_studies(store, project.name)[0].trials == 3


def test_when_every_trial_fails_the_study_is_not_gone_on_with(project, store, small):
    def broken(params):
        raise RuntimeError("no licence")

    for _ in range(2):
        with pytest.raises(ModelError, match="all 2 trials failed; the first said: RuntimeError: no licence"):
            tune(broken, SPACE, small, trials=2, name="broken")
    assert [entry.status for entry in list_studies(store, project.name)] == ["failed", "failed"]


SCRIPT = """
import json, os, signal, sys
import polars as pl
import tidemill as tm

data = tm.split(pl.DataFrame({"x": range(200), "late": [v > 60 for v in range(200)]}), tm.by_share(seed=1), "late")


class Above:
    def __init__(self, cut):
        self.cut = cut

    def fit(self, X, y):
        with open("made.txt", "a") as made:
            made.write(f"{self.cut}\\n")
        with open("made.txt") as made:
            if len(made.readlines()) == int(os.environ["STOP_AT"]):
                os.kill(os.getpid(), signal.SIGKILL)
        return self

    def predict(self, X):
        return X[:, 0] > self.cut


def build(params):
    return Above(**params)


@tm.step
def search(seed: int) -> dict:
    return tm.tune(build, {"cut": tm.uniform(0, 200)}, data, metric="accuracy", trials=15, seed=seed).to_dict()


@tm.pipeline
def train(seed: int = 3) -> dict:
    return search(seed)


if __name__ == "__main__":
    if sys.argv[1] == "script":
        found = tm.tune(build, {"cut": tm.uniform(0, 200)}, data, metric="accuracy", trials=15, seed=3, name="cut")
        trials = [[t.number, t.params["cut"], t.value] for t in found.trials]
    else:
        trials = [[t["number"], t["params"]["cut"], t["value"]] for t in train()["trials"]]
    print(json.dumps(trials))
"""


@pytest.mark.parametrize("how", ["script", "pipeline"])
def test_kill_9_loses_no_ended_trial_and_repeats_none(tmp_path, how):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "cuts"\n')
    (tmp_path / "flow.py").write_text(SCRIPT)

    def go(stop_at):
        command, environment = [sys.executable, "flow.py", how], {**os.environ, "STOP_AT": str(stop_at)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    def made():
        lines = (tmp_path / "made.txt").read_text().splitlines()
        (tmp_path / "made.txt").unlink()
        return lines

    whole = go(0)
    assert whole.returncode == 0, whole.stderr
    expected, all_made = json.loads(whole.stdout), made()
    (tmp_path / ".tidemill" / "store.db").rename(tmp_path / "kept.db")
    assert go(7).returncode == -signal.SIGKILL
    first = made()
    done = go(0)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert first[:-1] + made() == all_made
    with use_project(load_project(tmp_path)) as project, open_project_store(project) as store:
        with store.metadata.reading() as tx:
            statuses = [run.status for run in runs.list_runs(tx, pipeline="trial", limit=100)]
        assert (statuses.count("succeeded"), statuses.count("interrupted"), len(statuses)) == (15, 1, 16)
        assert list_studies(store, project.name)[0].status == "finished"
