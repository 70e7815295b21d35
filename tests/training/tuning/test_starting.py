"""If these fail, a team pays again for what it knew last month, or believes that it was taken over when it was not."""

from __future__ import annotations

import pytest

import tidemill as tm
from tidemill.core.errors import NotFoundError, UsageError
from tidemill.training import choice, integers, tune, uniform

SPACE = {"cut": uniform(0, 2500)}


def search(builds, data, **options):
    return tune(builds.cut, options.pop("space", SPACE), data, **{"metric": "accuracy", "trials": 6, **options})


def test_the_best_of_an_earlier_study_and_known_points_are_tried_first(builds, cancer):
    earlier = search(builds, cancer, trials=12, seed=9)
    found = search(builds, cancer, start=[{"cut": 700.0}, earlier])
    assert found.trials[0].params == {"cut": 700.0}
    assert found.trials[1].params == earlier.best
    assert found.value >= earlier.value
    assert found.notes == ("5 of the best trials of study 'malignant' were tried first",)
    assert search(builds, cancer, start=earlier).trials[0].params == earlier.best


def test_a_study_is_found_by_its_name_before_the_key_of_a_step_is_made(builds, project, cancer):
    earlier = search(builds, cancer, name="january")
    found = search(builds, cancer, start=["january"], name="february")
    assert found.trials[0].params == earlier.best
    with pytest.raises(NotFoundError, match=r"no such study: 'march'\. Studies: february, january"):
        search(builds, cancer, start="march")


def test_what_does_not_fit_the_space_is_left_to_the_sampler_and_said(builds, cancer):
    start = {"cut": 5000.0, "old": 3, "kind": "plain"}
    space = {**SPACE, "kind": choice(["plain", "odd"]), "depth": integers(1, 3)}
    found = search(builds, cancer, space=space, start=start)
    assert found.trials[0].params["kind"] == "plain"
    assert 0 <= found.trials[0].params["cut"] <= 2500
    assert found.notes == (
        "'old' is not in the space any more",
        "'depth' is new in the space: the sampler chose it",
        "'cut' was 5000.0 before, and is 0 to 2500 now: the sampler chose it",
    )


def test_another_metric_is_said(builds, cancer):
    found = search(builds, cancer, start=search(builds, cancer, metric="f1"), trials=2)
    assert found.notes[0].endswith("; it looked for f1")


def test_a_start_changes_what_a_study_asks(builds, project, cancer):
    search(builds, cancer, name="kept")
    with pytest.raises(UsageError, match="cannot go on: its start changed"):
        search(builds, cancer, name="kept", start={"cut": 3.0}, resume=True)
    with pytest.raises(UsageError, match="starts from studies and parameters: 3"):
        search(builds, cancer, start=[3])


def test_inside_a_step_a_name_is_refused(builds, project, cancer):
    @tm.step
    def fit() -> float:
        return search(builds, cancer, start="january").value

    @tm.pipeline
    def train() -> float:
        return fit()

    found = train.run()
    assert found.status == "failed"
    assert "cannot be found by its name inside a step" in str(found.steps[0].error)
