"""If these fail, tuning picks by luck, hides failures, or cannot be repeated."""

from __future__ import annotations

import json
import subprocess
import sys

import lightgbm
import pytest

from tidemill.core.errors import ModelError, UsageError
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.training import choice, integers, tune, uniform

SPACE = {
    "learning_rate": uniform(0.01, 0.3, log=True),
    "num_leaves": integers(3, 15),
    "boosting_type": choice(["gbdt", "dart"]),
    "n_estimators": 20,
}


def boosted(params):
    return lightgbm.LGBMClassifier(**params)


@pytest.fixture(scope="module")
def study(cancer):
    return tune(boosted, SPACE, cancer, trials=6, seed=3)


def test_a_study_keeps_every_trial_and_its_best(study):
    assert (study.metric, study.greater_is_better, study.name, study.rows) == ("roc_auc", True, "malignant", 341)
    assert [trial.number for trial in study.trials] == list(range(6))
    assert study.value == max(trial.value for trial in study.trials)
    assert study.best in [trial.params for trial in study.trials]
    assert set(study.best) == set(SPACE)
    assert study.best["n_estimators"] == 20
    assert all(3 <= trial.params["num_leaves"] <= 15 for trial in study.trials)
    assert all(trial.state == "complete" and trial.seconds > 0 for trial in study.trials)
    assert any(trial.iterations for trial in study.trials)


def test_the_same_seed_gives_the_same_study(study, cancer):
    assert tune(boosted, SPACE, cancer, trials=6, seed=3) == study
    assert tune(boosted, SPACE, cancer, trials=6, seed=4).trials != study.trials


def test_a_study_survives_the_store(study):
    assert decode(json.loads(json.dumps(encode(study)))) == study


def test_the_best_of_a_loss_is_the_smallest(cancer):
    found = tune(boosted, {**SPACE, "boosting_type": "gbdt"}, cancer, metric="log_loss", trials=3, rows=100)
    assert not found.greater_is_better
    assert found.value == min(trial.value for trial in found.trials)
    assert found.rows == 100


def test_a_failed_trial_is_kept_and_the_others_go_on(cancer):
    def fragile(params):
        if params["num_leaves"] > 8:
            raise ValueError("too many leaves")
        return lightgbm.LGBMClassifier(n_estimators=5, **params)

    found = tune(fragile, {"num_leaves": integers(2, 15)}, cancer, trials=8)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed
    assert (failed[0].value, failed[0].error) == (None, "ValueError: too many leaves")
    assert len(found.trials) == 8
    assert found.best["num_leaves"] <= 8


def test_when_every_trial_fails_the_first_reason_is_told(cancer):
    def broken(params):
        raise RuntimeError("no licence")

    with pytest.raises(ModelError, match="all 3 trials failed; the first said: RuntimeError: no licence"):
        tune(broken, {"x": uniform(0, 1)}, cancer, trials=3)


def test_importance_names_the_parameter_that_matters(cancer):
    class Cut:
        def __init__(self, radius, idle):
            self.radius = radius

        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return matrix[:, 3] > self.radius

    space = {"radius": uniform(0, 2500), "idle": uniform(0, 1)}
    found = tune(lambda params: Cut(**params), space, cancer, metric="accuracy", trials=25)
    assert found.importance["radius"] > 0.7
    assert sum(found.importance.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda data: tune(boosted, {}, data), "no ranges"),
        (lambda data: tune(boosted, SPACE, data, trials=0), "at least one trial: 0"),
        (lambda data: tune(boosted, SPACE, data, trials=2, rows=0), "two rows or more: 0"),
        (lambda data: tune(boosted, SPACE, data, trials=2, rows=0.5), "two rows or more: 0.5"),
        (lambda data: tune(boosted, SPACE, data, metric="rmse"), "no metric of a binary model is called 'rmse'"),
        (lambda _: uniform(2, 1), "from low to high"),
        (lambda _: integers(0, 5, log=True), "starts above zero: 0"),
        (lambda _: choice([]), "at least one option"),
        (lambda _: choice([object()]), "between plain values"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(cancer, call, words):
    with pytest.raises(UsageError, match=words):
        call(cancer)


def test_without_optuna_the_extra_is_named():
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from tidemill.training.libraries import require\n"
        "require('optuna', extra='ml', purpose='Tuning')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Tuning needs the package 'optuna', which is not installed. Run: pip install \"tidemill[ml]\"" in done.stderr


def test_training_modules_load_no_library_of_models():
    code = (
        "import sys, tidemill.training.fitting, tidemill.training.tuning, tidemill.evaluation.examination\n"
        "heavy = {'sklearn', 'lightgbm', 'optuna', 'pandas', 'scipy', 'altair'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
