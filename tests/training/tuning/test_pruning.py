"""If these fail, hopeless trials are fitted to their end, good ones are cut off, or what was seen of them is lost."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import optuna
import pytest
import xgboost
from pruned import check_pruned

import tidemill as tm
from tidemill.core.errors import ModelError, UsageError
from tidemill.training import integers, tune, uniform
from tidemill.training.tuning.reading import read_study

SPACE = {"cut": uniform(0, 2500)}


def search(build, data, **options):
    return tune(build, SPACE, data, **{"metric": "accuracy", "trials": 14, "pruner": "median", **options})


@pytest.mark.parametrize(
    "pruner",
    [
        "median",
        "halving",
        "hyperband",
        lambda: optuna.pruners.PercentilePruner(30.0, n_startup_trials=3),
    ],
    ids=["median", "halving", "hyperband", "given"],
)
def test_hopeless_trials_are_ended_and_recorded_as_such(builds, project, store, cancer, pruner):
    study = search(builds.learning, cancer, pruner=pruner, trials=24, name="pruned", sampler="random")
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.value is None and len(trial.reported) <= 10 for trial in pruned)
    assert pruned[0].error.startswith(f"it did worse than others at step {pruned[0].reported[-1][0]}: ")
    whole = [trial for trial in study.trials if trial.state == "complete"]
    assert all([step for step, _ in trial.reported] == list(range(10)) for trial in whole)
    assert study.value == max(trial.value for trial in whole)
    run = tm.run(pruned[0].run_id)
    assert (run.status, run.tags["state"]) == ("cancelled", "pruned")
    assert [(metric.step, metric.value) for metric in run.history("reported")] == list(pruned[0].reported)
    assert read_study(store, project.name, "pruned") == study


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruned_study_goes_on_as_if_it_had_not_been_interrupted(builds, project, cancer, pruner):
    whole = search(builds.learning, cancer, pruner=pruner)
    search(builds.learning, cancer, pruner=pruner, trials=9, name="kept")
    assert search(builds.learning, cancer, pruner=pruner, name="kept", resume=True).trials == whole.trials


def test_lightgbm_reports_each_round_turned_to_the_way_of_the_metric(cancer):
    def boosted(params):
        return lightgbm.LGBMClassifier(n_estimators=15, learning_rate=10.0 ** -params["slow"], verbose=-1)

    study = tune(boosted, {"slow": integers(0, 5)}, cancer, pruner="median", trials=12, early_stopping=0)
    assert "pruned" in {trial.state for trial in study.trials}
    first = study.trials[0]
    assert [step for step, _ in first.reported] == list(range(15))
    assert all(value < 0 for _, value in first.reported)  # a loss, in a study for which more is better
    unwatched = tune(boosted, {"slow": integers(0, 5)}, cancer, trials=2, early_stopping=0)
    assert unwatched.trials[0].reported == ()


def test_xgboost_reports_each_round_what_its_early_stopping_watches(cancer):
    def boosted(params):
        return xgboost.XGBClassifier(n_estimators=15, learning_rate=10.0 ** -params["slow"], **watched)

    watched = {}
    options = {"pruner": "median", "trials": 12, "early_stopping": 0}
    study = tune(boosted, {"slow": integers(0, 5)}, cancer, **options)
    check_pruned(study, rounds=15)
    assert all(value < 0 for _, value in study.trials[0].reported)  # a loss, in a study for which more is better
    watched = {"eval_metric": ["logloss", "auc"]}
    assert all(value > 0 for _, value in tune(boosted, {"slow": integers(0, 5)}, cancer, **options).trials[0].reported)
    assert tune(boosted, {"slow": integers(0, 5)}, cancer, trials=2).trials[0].reported == ()


def test_xgboost_keeps_the_callbacks_of_build_and_none_of_ours(cancer):
    class Counting(xgboost.callback.TrainingCallback):
        rounds = 0

        def after_iteration(self, model, epoch, evals_log):
            self.rounds += 1
            return False

    counting, made = Counting(), []

    def boosted(params):
        made.append(xgboost.XGBClassifier(n_estimators=5, callbacks=[counting], **params))
        return made[-1]

    tune(boosted, {"max_depth": integers(2, 3)}, cancer, pruner="median", trials=2)
    assert counting.rounds == 10
    assert [estimator.get_params()["callbacks"] for estimator in made] == [[counting], [counting]]


def test_of_several_levels_the_first_reports(cancer):
    def boosted(params):
        level = params.pop("quantile")
        return lightgbm.LGBMRegressor(
            objective="quantile", alpha=level, n_estimators=30 if level > 0.5 else 10, verbose=-1, **params
        )

    study = tune(
        boosted, {"num_leaves": integers(3, 9)}, areas(cancer), task="quantile", levels=(0.25, 0.75), pruner="median",
        trials=1, early_stopping=0,
    )  # fmt: skip
    assert [step for step, _ in study.trials[0].reported] == list(range(10))


def areas(data):
    return replace(data, spec=replace(data.spec, target="mean_area", features=("mean_radius", "mean_texture")))


def test_patience_ends_a_trial_that_does_not_get_better(cancer):
    class Worsening:
        def fit(self, matrix, truth, report=None):
            for step in range(50):
                report(0.5 - step / 100, step)
            return self

        def predict(self, matrix):
            return matrix[:, 0] > 0

    with pytest.raises(ModelError, match="none of 3 trials completed; the first said: it did worse"):
        tune(lambda _: Worsening(), SPACE, cancer, trials=3, pruner="patience")


def test_what_is_reported_is_kept_without_a_pruner(builds, cancer):
    study = search(builds.learning, cancer, pruner=None, trials=3)
    assert [len(trial.reported) for trial in study.trials] == [10, 10, 10]


def test_a_loss_that_becomes_nan_fails_its_trial_with_the_step(cancer):
    class Exploding:
        def fit(self, matrix, truth, report=None):
            report(0.4, 0)
            report(float("nan"), 1)

        def predict(self, matrix):
            return matrix[:, 0] > 0

    with pytest.raises(ModelError, match=r"the value reported at step 1 is NaN.*Lower the learning rate"):
        tune(lambda _: Exploding(), SPACE, cancer, trials=2)


def test_several_metrics_are_not_pruned(builds, cancer):
    with pytest.raises(UsageError, match="trials of several metrics cannot be pruned: 'median'"):
        search(builds.learning, cancer, metric=["accuracy", "f1"])
