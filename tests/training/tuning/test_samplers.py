"""If these fail, a sampler looks outside of the space, or a study that is repeated or resumed finds other things."""

from __future__ import annotations

import sys

import optuna
import pytest

from tidemill.core.errors import MissingExtraError, UsageError
from tidemill.training import choice, conditional, integers, tune, uniform

SPACE = {"cut": uniform(0, 2500), "power": uniform(0.1, 10, log=True)}
GRID = {"cut": uniform(500, 900, step=100), "kind": choice(["plain", "odd"])}
EVERY = ["tpe", "cmaes", "random", lambda seed: optuna.samplers.QMCSampler(seed=seed)]


class Cut:
    def __init__(self, cut, **_):
        self.cut = cut

    def fit(self, matrix, truth):
        return self

    def predict(self, matrix):
        return matrix[:, 3] > self.cut


def build(params):
    return Cut(**params)


def of_the_kind(chosen):
    return {"slope": uniform(0, 1)} if chosen["kind"] == "odd" else {"depth": integers(1, 5)}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", EVERY, ids=["tpe", "cmaes", "random", "given"])
def test_a_seed_makes_a_study_and_going_on_does_not_change_it(project, cancer, sampler):
    asked = {"metric": "accuracy", "sampler": sampler, "seed": 4}
    whole = tune(build, SPACE, cancer, trials=14, **asked)
    assert tune(build, SPACE, cancer, trials=14, **asked) == whole
    assert tune(build, SPACE, cancer, trials=14, **{**asked, "seed": 5}).trials != whole.trials
    tune(build, SPACE, cancer, trials=6, name="kept", **asked)
    assert tune(build, SPACE, cancer, trials=14, name="kept", resume=True, **asked).trials == whole.trials
    assert all(0 <= trial.params["cut"] <= 2500 and 0.1 <= trial.params["power"] <= 10 for trial in whole.trials)


def test_a_grid_is_walked_to_its_end_and_no_further(cancer):
    found = tune(build, GRID, cancer, metric="accuracy", sampler="grid", trials=100)
    assert found.ended == "grid"
    assert [(trial.params["cut"], trial.params["kind"]) for trial in found.trials] == [
        (cut, kind) for cut in (500, 600, 700, 800, 900) for kind in ("plain", "odd")
    ]
    part = tune(build, GRID, cancer, metric="accuracy", sampler="grid", trials=3)
    assert (part.ended, part.trials) == ("trials", found.trials[:3])


def test_conditional_parts_are_searched_and_each_trial_has_only_its_own(cancer):
    space = {"kind": choice(["plain", "odd"]), "cut": uniform(0, 2500), "of the kind": conditional(of_the_kind)}
    found = tune(build, space, cancer, metric="accuracy", trials=16)
    own = {"plain": {"kind", "cut", "depth"}, "odd": {"kind", "cut", "slope"}}
    assert all(set(trial.params) == own[trial.params["kind"]] for trial in found.trials)
    assert {trial.params["kind"] for trial in found.trials} == set(own)
    assert found.space["of the kind"] == "what of_the_kind says of the parameters before it"


def test_one_name_means_one_kind_of_range(cancer):
    space = {
        "kind": choice(["plain", "odd"]),
        "rest": conditional(lambda chosen: {"x": uniform(0, 1) if chosen["kind"] == "odd" else integers(1, 5)}),
    }
    with pytest.raises(UsageError, match="'x' has ranges of different kinds in the conditional parts"):
        tune(lambda _: Cut(700), space, cancer, metric="accuracy", trials=16)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "bayes"}, r"no such sampler: 'bayes'\. Use tpe, cmaes, random, grid"),
        ({"sampler": 3}, "this is no sampler: 3"),
        ({"sampler": "grid"}, "a grid needs to know the points of 'cut'"),
        ({"pruner": "soon"}, "no such pruner: 'soon'"),
        ({"pruner": 3}, "this is no pruner: 3"),
        ({"trials": 0}, "at least one trial: 0"),
        ({"trials": True}, "at least one trial: True"),
        ({"timeout": 0}, "some seconds: 0"),
    ],
)
def test_what_cannot_be_searched_with_is_refused_before_the_first_trial(cancer, options, words):
    def never(params):
        pytest.fail("a trial began")

    with pytest.raises(UsageError, match=words):
        tune(never, SPACE, cancer, **options)


def test_without_cmaes_the_extra_is_named(cancer, monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match=r"CMA-ES sampler needs the package .cmaes.*tidemill\[cmaes\]"):
        tune(build, SPACE, cancer, sampler="cmaes")
