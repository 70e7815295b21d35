"""If these fail, the page or the box of a study does not open, shows wrong numbers, or runs what a study was named."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.data.split import by_share, split
from tidemill.measures.intervals import Estimate
from tidemill.server.report import study_charts
from tidemill.server.report.studies import study_page
from tidemill.training import Study, Trial, choice, integers, tune, uniform


class Above:
    def __init__(self, cut, kind="plain", depth=1):
        self.cut = cut

    def fit(self, matrix, truth, report=None):
        if report is not None:
            for step in range(3):
                report(((matrix[:, 0] > self.cut) == truth).mean() * (step + 1), step)
        return self

    def predict(self, matrix):
        return matrix[:, 0] > self.cut


SPACE = {"cut": uniform(1, 200, log=True), "kind": choice(["plain", "odd"]), "depth": integers(1, 4)}


@pytest.fixture(scope="module")
def data():
    return split(pl.DataFrame({"x": range(200), "late": [v > 60 for v in range(200)]}), by_share(), "late")


@pytest.fixture(scope="module")
def study(data):
    return tune(lambda p: Above(**p), SPACE, data, metric="accuracy", trials=15, pruner="median", name=None)


def test_the_history_holds_the_best_so_far(study):
    rows = study_charts.history(study)["data"]["values"]
    best = [row["best"] for row in rows]
    assert best == sorted(best)
    assert best[-1] == study.value
    assert len(rows) == sum(trial.state == "complete" for trial in study.trials)


def test_a_line_runs_through_every_axis_to_the_value(study):
    spec = study_charts.parallel(study)
    rows = spec["data"]["values"]
    assert {row["axis"] for row in rows} == {"cut", "kind", "depth", "accuracy"}
    assert all(0 <= row["place"] <= 1 for row in rows)
    best = {row["trial"] for row in rows if row["is_best"]}
    assert [study.trial(number).value for number in best] == [study.value]


def test_slices_follow_the_scale_of_the_space(study):
    slices = dict(study_charts.slices(study))
    assert slices["cut"]["encoding"]["x"]["scale"]["type"] == "log"
    assert slices["depth"]["encoding"]["x"]["scale"]["type"] == "linear"
    assert slices["kind"]["encoding"]["x"]["type"] == "nominal"


def test_the_page_has_all_of_it_and_no_script(study):
    page = study_page(study)
    for title in ("The best", "Importance", "Together", "One by one", "On the way", "Trials"):
        assert f"<h2>{title}</h2>" in page
    assert "<script" not in page
    assert page.count("<svg") >= 7
    assert "Tidemill" not in study._repr_html_()
    assert "<svg" in study._repr_html_()


def test_the_front_of_several_metrics_is_drawn(data):
    both = tune(lambda p: Above(**p), SPACE, data, metric=["precision", "recall"], trials=15)
    rows = study_charts.front(both)["data"]["values"]
    assert sum(row["on"] for row in rows) == len(both.front)
    assert ("<h2>The front</h2>" in study_page(both)) == (len(both.front) > 1)


def test_an_outer_estimate_stands_beside_the_best_and_names_are_harmless():
    trials = (Trial(0, {"<b>": 1}, 0.9, "complete", 0.1, values={"roc_auc": 0.9}),)
    found = Study(
        "<i>x", "roc_auc", True, trials[0].params, 0.9, trials, outer=Estimate(0.8, 0.7, 0.9), notes=("<script>",)
    )
    page = study_page(found) + found._repr_html_()
    assert "reached 0.8 [0.7, 0.9] on rows that it never saw" in page
    assert "<script>" not in page
    assert "<i>x" not in page
    assert "<b>" not in page
