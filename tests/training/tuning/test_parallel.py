"""If these fail, trials in parallel find other things each time, take each other down, or outlive their study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import tidemill as tm
from tidemill.core.errors import CancelledError, UsageError
from tidemill.training import tune, uniform
from tidemill.training.tuning.reading import list_studies, read_study

SPACE = {"cut": uniform(0, 2500)}


def search(build, data, **options):
    return tune(build, SPACE, data, **{"metric": "accuracy", "trials": 10, "parallel": 2, **options})


def test_trials_in_parallel_make_one_study_whichever_ends_first(builds, project, store, cancer, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    study = search(builds.alone, cancer, name="two")
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert len({pid for pid, _ in notes}) == 2
    assert {threads for _, threads in notes} == {"1"}
    assert str(os.getpid()) not in {pid for pid, _ in notes}
    assert [trial.number for trial in study.trials] == list(range(10))
    assert search(builds.cut, cancer).trials == study.trials
    assert read_study(store, project.name, "two") == study


def test_a_trial_whose_process_is_killed_fails_alone_and_what_it_raises_is_told(builds, cancer):
    study = search(builds.dying, cancer)
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert failed
    assert {trial.params["cut"] > 1500 for trial in failed} == {True}
    assert failed[0].error.startswith("WorkerDiedError: the worker process was killed by SIGKILL")
    assert all(trial.state == "complete" for trial in study.trials if trial.params["cut"] <= 1500)
    raised = next(trial for trial in search(builds.failing, cancer).trials if trial.state == "failed")
    assert raised.error == "ValueError: too far"


def test_a_study_in_parallel_goes_on_where_it_was(builds, project, cancer):
    whole = search(builds.cut, cancer)
    search(builds.cut, cancer, trials=4, name="kept")
    assert search(builds.cut, cancer, name="kept", resume=True).trials == whole.trials


def test_pruning_is_the_same_study_each_time(builds, cancer):
    assert {"pruned", "complete"} == {
        trial.state for trial in search(builds.learning, cancer, pruner="median", trials=14).trials
    }
    alone = search(builds.learning, cancer, pruner="median", trials=14, parallel=1)
    assert search(builds.learning, cancer, pruner="median", trials=14, parallel=1) == alone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_signal_ends_a_study_with_what_there_is(
    builds, project, store, cancer, tmp_path, monkeypatch, number, parallel
):
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("STUDY", str(os.getpid()))
    monkeypatch.setenv("SIGNAL", str(int(number)))
    study = search(builds.stopping, cancer, name="stopped", parallel=parallel)
    assert study.ended == "interrupted"
    assert 1 <= len(study.trials) <= 2
    assert study.value == max(trial.value for trial in study.trials)
    assert list_studies(store, project.name)[0].status == "stopped"
    assert "running" not in {view.status for view in tm.runs(pipeline="trial")}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_before_anything_completed_is_an_error(builds, cancer, tmp_path, monkeypatch):
    (tmp_path / "notes").write_text("\n\n")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("STUDY", str(os.getpid()))
    monkeypatch.setenv("SIGNAL", str(int(signal.SIGTERM)))
    with pytest.raises(CancelledError, match="stopped by SIGTERM before a trial had completed"):
        search(builds.stopping, cancer, parallel=1)
    monkeypatch.setenv("SIGNAL", str(int(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        search(builds.stopping, cancer, parallel=1)


def test_what_a_worker_cannot_find_is_refused_before_the_first_trial(builds, cancer):
    with pytest.raises(UsageError, match=r"lambda.*Move it to the top level of a module, or leave parallel out"):
        search(lambda params: builds.Cut(**params), cancer)
    with pytest.raises(UsageError, match="at least one trial runs at a time: 0"):
        search(builds.cut, cancer, parallel=0)


SCRIPT = """
import multiprocessing  # it renames the main module when it is imported

import polars as pl
import tidemill as tm


class Above:
    def __init__(self, cut):
        self.cut = cut

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X[:, 0] > self.cut


def build(params):
    return Above(**params)


if __name__ == "__main__":
    data = tm.split(pl.DataFrame({"x": range(100), "late": [v > 60 for v in range(100)]}), tm.by_share(), "late")
    found = tm.tune(build, {"cut": tm.uniform(0, 100)}, data, metric="accuracy", trials=6, parallel=2)
    print([trial.state for trial in found.trials])
"""


def test_a_script_tunes_in_parallel_what_it_defines(tmp_path):
    (tmp_path / "hunt.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "hunt.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(["complete"] * 6), done.stderr
