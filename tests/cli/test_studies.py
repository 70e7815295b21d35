"""If these fail, a study cannot be found again, or a script that reads it breaks."""

from __future__ import annotations

import pytest

PROJECT = """
import polars as pl
import tidemill as tm


class Above:
    def __init__(self, cut, **_):
        if cut > 150:
            raise ValueError("too far")
        self.cut = cut

    def fit(self, X, y, report=None):
        return self

    def predict(self, X):
        return X[:, 0] > self.cut


def build(params):
    return Above(**params)


@tm.step
def search(trials: int) -> tm.Study:
    data = tm.split(pl.DataFrame({"x": range(200), "late": [v > 60 for v in range(200)]}), tm.by_share(), "late")
    space = {"cut": tm.uniform(0, 200), "idle": tm.integers(1, 9)}
    return tm.tune(build, space, data, metric="accuracy", trials=trials)


@tm.pipeline
def train(trials: int = 12) -> tm.Study:
    return search(trials)
"""


@pytest.fixture
def tuned(tidemill):
    (tidemill.folder / "tidemill.toml").write_text('[project]\nname = "cuts"\n')
    (tidemill.folder / "pipeline.py").write_text(PROJECT)
    tidemill("run", "train")
    return tidemill


def test_a_study_of_a_run_is_listed_and_shown_with_every_trial(tuned):
    listed = tuned("studies", "list", "--json")
    (entry,) = [line["study"] for line in listed.lines[:-1]]
    assert (entry["name"], entry["number"], entry["status"], entry["trials"], entry["budget"]) == (
        "late", 1, "finished", 12, 12,
    )  # fmt: skip
    shown = tuned("studies", "show", "late", "--json", "--html", "out/study.html")
    trials = [line["trial"] for line in shown.lines[:-1]]
    assert [trial["number"] for trial in trials] == list(range(12))
    assert (
        shown.summary["study"]["value"] == entry["value"] == max(t["value"] for t in trials if t["value"] is not None)
    )
    page = (tuned.folder / "out" / "study.html").read_text()
    assert "Study late#1" in page
    assert page.count("<svg") >= 4
    assert "too far" in page


def test_people_read_the_best_first_and_why_others_failed(tuned):
    said = tuned("studies", "show", "late#1", "--limit", "3").out
    assert said.startswith("late#1: best accuracy ")
    assert "0 to 200" in said
    assert "and 9 more: --limit 12, or --html study.html" in said
    everything = tuned("studies", "show", "late").out
    assert "ValueError: too far" in everything
    assert "late#1" in tuned("studies", "list").out


def test_the_list_of_runs_is_of_runs_and_shows_trials_when_asked(tuned):
    assert tuned("runs", "--json").summary["runs"] == 1
    trials = tuned("runs", "--pipeline", "trial", "--json")
    assert trials.summary["runs"] == 12
    assert tuned("runs", "--trials", "--json").summary["runs"] == 13
    assert {line["run"]["parent_id"] for line in trials.lines[:-1]} == {tuned("runs", "--json").lines[0]["run"]["id"]}


def test_what_is_not_there_is_said_with_what_is(tuned):
    done = tuned("studies", "show", "night", expect=None)
    assert done.code != 0
    assert "there is no such study: 'night'\n  Studies: late." in done.err
    assert "no study of this name: 'night'\n  Studies: late." in tuned("studies", "list", "night", expect=None).err
    assert "a page ends in .html" in tuned("studies", "show", "late", "--html", "page.txt", expect=None).err
