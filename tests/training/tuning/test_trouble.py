"""If these fail, a search that went wrong says nothing that helps, or takes the good trials with it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import ModelError, UsageError
from tidemill.data.split import by_share, split
from tidemill.training import choice, tune, uniform


class Constant:
    def __init__(self, answer):
        self.answer = answer

    def fit(self, matrix, truth):
        return self

    def predict(self, matrix):
        return np.full(len(matrix), self.answer)


def constant(params):
    return Constant(**params)


def test_a_trial_that_predicts_nan_fails_and_the_others_count(cancer):
    space = {"answer": choice([0.0, 1.0, float("nan")])}
    found = tune(constant, space, cancer, metric="accuracy", sampler="grid", trials=3)
    assert [trial.state for trial in found.trials] == ["complete", "complete", "failed"]
    assert "predicted NaN" in found.trials[2].error or "NaN for" in found.trials[2].error
    assert found.best["answer"] in (0.0, 1.0)


def test_an_undefined_metric_fails_its_trial_with_the_reason(cancer):
    found = tune(constant, {"answer": choice([0.0, 1.0])}, cancer, metric="precision", sampler="grid", trials=2)
    assert [trial.state for trial in found.trials] == ["failed", "complete"]
    assert found.trials[0].error.startswith("ModelError: precision is not defined")
    rows = pl.DataFrame({"x": range(40), "y": [v < 20 for v in range(40)]})
    one_class = split(rows, by_share(0.5, 0.3, seed=3), "y")
    blind = type(one_class)(one_class.train, one_class.validation.filter("y"), one_class.test, one_class.spec)
    with pytest.raises(ModelError, match=r"all 2 trials failed.*roc_auc is not defined.*Widen the validation part"):
        tune(constant, {"answer": choice([0.0, 1.0])}, blind, sampler="grid", trials=2)


def test_time_that_is_used_up_before_the_first_trial_is_said(cancer):
    with pytest.raises(ModelError, match=r"no trial began in time\. Give it more seconds"):
        tune(constant, {"answer": uniform(0, 1)}, cancer, timeout=1e-9, metric="accuracy")


def test_no_trial_begins_after_the_time(project, cancer, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr("tidemill.training.tuning.searching.elapsed", lambda: float(next(ticks)))
    found = tune(constant, {"answer": uniform(0, 1)}, cancer, timeout=5, metric="accuracy", trials=100)
    assert found.ended == "timeout"
    assert 1 <= len(found.trials) <= 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"space": {}}, "the search space has no ranges"),
        ({"space": {"answer": 0.5}}, "the search space has no ranges"),
        ({"space": [("answer", 1)]}, "a search space is a dict"),
        ({"build": Constant}, "takes a function that makes the estimator"),
        ({"data": pl.DataFrame({"x": [1]})}, "tune takes a split.*'DataFrame'"),
        ({"metric": 3}, "a metric is a name, or a list of names: 3"),
        ({"metric": [3]}, "a metric is a name, or a list of names"),
        ({"name": ""}, "text without #: ''"),
        ({"name": "late#2"}, "text without #: 'late#2'"),
        ({"timeout": "3"}, "some seconds: '3'"),
        ({"repeats": 3}, "only folds can be drawn again: 3"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_before_the_first_trial(cancer, wrong, words):
    asked = {"build": constant, "space": {"answer": uniform(0, 1)}, "data": cancer, **wrong}
    with pytest.raises(UsageError, match=words):
        tune(**asked)


def test_a_hint_is_given_once(cancer):
    with pytest.raises(ModelError) as failed:
        tune(lambda _: object(), {"answer": uniform(0, 1)}, cancer, trials=2)
    assert str(failed.value).count("Return an unfitted estimator") == 1


def test_a_cached_study_is_not_searched_again_and_its_log_tells_the_trials(project, cancer):
    @tm.step
    def search() -> float:
        return tune(constant, {"answer": choice([0.0, 1.0])}, cancer, metric="accuracy", trials=2).value

    @tm.pipeline
    def train() -> float:
        return search()

    found = train.run()
    view = tm.run(found.id)
    assert "malignant: trial 2 of 2: accuracy" in view.executions[0].log_text
    assert view.metrics["tuning/accuracy"] in (trial.metrics["accuracy"] for trial in tm.runs(pipeline="trial"))
    assert {trial.record.parent_id for trial in tm.runs(pipeline="trial")} == {found.id}
    assert train.run().steps[0].status == "cached"
    assert len(tm.runs(pipeline="trial")) == 2
