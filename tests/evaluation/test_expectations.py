"""If these fail, a model that everybody in the trade knows to be wrong passes its examination."""

from __future__ import annotations

import numpy as np
import pytest

from tidemill.core.errors import SchemaError, UsageError
from tidemill.evaluation.expectations import case, check_expectations, monotone
from tidemill.evaluation.scoring import score
from tidemill.training.fitting import train


class Straight:
    """Later with more wind, whatever the hour."""

    def fit(self, matrix, truth):
        return self

    def predict_proba(self, matrix):
        chance = 1 / (1 + np.exp(-(np.nan_to_num(matrix[:, 1]) - 15) / 5))
        return np.stack([1 - chance, chance], axis=1)


@pytest.fixture(scope="module")
def straight(flights):
    return score(train(lambda params: Straight(), {}, flights), flights.test)


def test_a_model_that_rises_with_the_wind_is_told_from_one_that_falls(straight):
    up, down = check_expectations(straight, [monotone("wind", "up"), monotone("wind", "down")])
    assert (up.passed, up.failed, up.rows) == (True, 0, 500)
    assert (down.passed, down.failed, down.measured) == (False, 500, 1.0)
    assert len(down.examples) == 5
    assert set(down.examples[0]) == {"carrier", "wind", "hour", "answer"}
    assert " to " in down.examples[0]["wind"]


def test_what_does_not_move_is_monotone_and_some_rows_may_be_allowed(straight):
    assert check_expectations(straight, [monotone("hour", "up")])[0].passed
    assert check_expectations(straight, [monotone("wind", "down", tolerance=1.0)])[0].passed
    assert not check_expectations(straight, [monotone("wind", "down", allow=0.9)])[0].passed


def test_known_rows_have_known_answers(straight):
    storm = {"wind": 60.0, "carrier": "UA", "hour": 9}
    cases = [
        case(storm, at_least=0.9, name="storm"),
        case({**storm, "wind": 0.0}, at_least=0.9),
        case(storm, is_=True),
        case(storm, is_="false"),
    ]
    told = check_expectations(straight, cases)
    assert [entry.passed for entry in told] == [True, False, True, False]
    assert (told[0].name, told[1].name) == ("storm", "case_2")
    assert told[1].detail.startswith("answered 0.0")
    assert told[3].detail == "answered true"
    assert told[1].examples[0]["wind"] == "0.0"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: monotone("wind", "sideways"), UsageError, "'up' or 'down'"),
        (lambda: monotone("wind", "up", allow=2), UsageError, "a share lies from 0"),
        (lambda: monotone("winds", "up"), SchemaError, "winds"),
        (lambda: monotone("carrier", "up"), UsageError, "needs a number"),
        (lambda: case({"wind": 1.0}), UsageError, "says no answer"),
        (lambda: case({"winds": 1.0}, at_least=0.5), UsageError, "no inputs: .*winds"),
        (lambda: "wind up", UsageError, "no expectation"),
    ],
)
def test_what_cannot_be_expected_is_refused(straight, make, error, words):
    with pytest.raises(error, match=words):
        check_expectations(straight, [make()])
