"""If these fail, a team that asked for a good and fast model is given a model that another one beats in both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import UsageError
from tidemill.project import load_project, use_project
from tidemill.training import tune, uniform
from tidemill.training.tuning.carrying import pareto_front
from tidemill.training.tuning.reading import read_study
from tidemill.training.tuning.records import Trial

SPACE = {"cut": uniform(0, 2500)}
COSTS = {"false_positive": 1, "false_negative": 20}


def search(builds, data, **options):
    return tune(builds.cut, SPACE, data, **{"metric": ["precision", "recall"], "trials": 20, **options})


def a_trial(number, values):
    return Trial(number, {}, values["a"], "complete", 0.0, values=values)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_the_front_is_what_nothing_beats(points):
    trials = [a_trial(number, {"a": float(a), "b": float(b)}) for number, (a, b) in enumerate(points)]
    front = pareto_front(trials, {"a": True, "b": False})
    for number, (a, b) in enumerate(points):
        beaten = any(x >= a and y <= b and (x, y) != (a, b) for x, y in points)
        assert (number in front) != beaten


def test_a_study_of_several_metrics_has_a_front_and_the_user_chooses(builds, project, store, cancer):
    study = search(builds, cancer, name="both")
    assert study.metrics == {"precision": True, "recall": True}
    assert len(study.front) > 1
    assert study.front == pareto_front([t for t in study.trials if t.state == "complete"], study.metrics)
    chosen = study.choose(lambda trial: trial.values["recall"])
    assert chosen == max((study.trial(number) for number in study.front), key=lambda t: t.values["recall"]).params
    assert study.value == max(study.trial(number).value for number in study.front)
    assert read_study(store, project.name, "both") == study
    assert search(builds, cancer).trials == study.trials


def test_costs_choose_from_the_front(builds, cancer):
    study = search(builds, cancer, costs=COSTS)
    on_the_front = [study.trial(number) for number in study.front]
    assert study.best == min(on_the_front, key=lambda trial: trial.values["cost_per_1000"]).params
    assert study.value == next(trial for trial in on_the_front if trial.params == study.best).values["precision"]


def test_the_cost_of_decisions_can_be_what_is_looked_for(builds, cancer):
    study = search(builds, cancer, metric="cost_per_1000", costs=COSTS)
    assert not study.greater_is_better
    assert study.value == min(trial.value for trial in study.trials)
    cut = study.best["cut"]
    called = cancer.validation["mean_area"] > cut
    wrong = (called & ~cancer.validation["malignant"]).sum() + 20 * (~called & cancer.validation["malignant"]).sum()
    assert study.value <= 1000 * wrong / len(called)


def test_the_canvas_says_what_errors_cost(builds, project, cancer, tmp_path):
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "tumours"\n[canvas]\nprediction = { task = "binary classification", target = "malignant" }\n'
        "costs = { false_positive = 1, false_negative = 20 }\n"
    )
    with use_project(load_project(tmp_path)):
        study = search(builds, cancer)
        assert all("cost_per_1000" in trial.values for trial in study.trials if trial.state == "complete")
        alone = search(builds, cancer, metric="precision", trials=2)
        assert "cost_per_1000" not in alone.trials[0].values


def test_latency_is_measured_on_single_rows(builds, cancer):
    study = search(builds, cancer, metric=["accuracy", "latency_p99_ms", "fit_seconds"], trials=3)
    assert study.metrics == {"accuracy": True, "latency_p99_ms": False, "fit_seconds": False}
    assert all(0 < trial.values["latency_p99_ms"] < 1000 for trial in study.trials)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": ["recall", "recall"]}, "a metric is named twice: 'recall'"),
        ({"metric": ["recall", "speed"]}, "no metric of a binary model is called 'speed'"),
        ({"metric": ["recall", "cost_per_1000"]}, "cost_per_1000 needs to know what errors cost"),
        ({"costs": {"false_positive": 1}}, "costs are incomplete"),
        ({"metric": []}, "no metric"),
    ],
)
def test_metrics_that_make_no_sense_are_refused(builds, cancer, options, words):
    with pytest.raises(UsageError, match=words):
        search(builds, cancer, **options)
