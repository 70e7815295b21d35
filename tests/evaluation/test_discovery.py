"""If these fail, a team chases weak spots that are not there, or ships one that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tidemill.evaluation.discovery import weak_slices
from tidemill.evaluation.scoring import Scored, score


@pytest.fixture(scope="module")
def scored(model, flights):
    return score(model, flights.test)


def drawn(scored, seed, rows=4000, flip=None):
    """Rows with labels drawn from the model's own probabilities: nowhere is it worse than it says."""
    generator = np.random.default_rng(seed)
    places = generator.integers(0, len(scored.truth), rows)
    frame, scores = scored.frame[places], scored.scores[places]
    chances = scores if flip is None else np.where(flip(frame), 1 - scores, scores)
    truth = (generator.random(rows) < chances).astype(float)
    return Scored(scored.model, frame, scored.matrix[places], truth, scores, 0)


def test_a_model_that_is_as_good_as_it_says_has_no_weak_slice(scored):
    alarms = [found.name for seed in range(30) for found in weak_slices(drawn(scored, seed), resamples=0)]
    assert len(alarms) <= 4, alarms


def test_classes_of_other_rates_are_no_weakness(scored):
    frame = pl.DataFrame({"carrier": ["A", "B"] * 3000, "wind": np.arange(6000.0), "hour": [1, 2, 3] * 2000})
    chances = np.where(frame["carrier"] == "A", 0.5, 0.03)
    truth = (np.random.default_rng(0).random(6000) < chances).astype(float)
    assert weak_slices(Scored(scored.model, frame, scored.matrix, truth, chances, 0), resamples=0) == ()


def test_an_injected_weakness_is_found_and_told(scored):
    hidden = drawn(scored, 1, flip=lambda frame: (frame["carrier"] == "EV").to_numpy())
    first = weak_slices(hidden, resamples=30)[0]
    assert first.where == {"carrier": "EV"}
    assert first.kind in ("biased", "overconfident")
    assert first.rows == (hidden.frame["carrier"] == "EV").sum()
    assert first.p_value < 0.001
    assert first.observed > first.expected
    assert first.inside.high < first.outside.low
    others = [found.where for found in weak_slices(hidden, resamples=0) if found.where.get("carrier") != "EV"]
    assert others == []


def test_a_weakness_of_a_pair_is_found_as_a_pair(scored):
    where = lambda frame: ((frame["carrier"] == "B6") & (frame["hour"] > 17)).to_numpy()  # noqa: E731
    found = weak_slices(drawn(scored, 2, rows=12_000, flip=where), resamples=0)[0]
    assert found.where["carrier"] == "B6"
    assert set(found.where) == {"carrier", "hour"}


def test_a_model_that_knows_that_it_knows_nothing_about_a_carrier_is_told(scored):
    flat = drawn(scored, 3, rows=12_000)
    blind = (flat.frame["carrier"] == "EV").to_numpy()
    rate = float(flat.scores[blind].mean())
    scores = np.where(blind, rate + np.random.default_rng(0).normal(0, 1e-3, len(blind)), flat.scores)
    found = weak_slices(replace(flat, scores=scores), resamples=0)
    assert {"carrier": "EV"} in [entry.where for entry in found if entry.kind == "blind"]


def test_a_model_that_is_wrong_everywhere_alike_has_no_weak_slice(scored):
    off = drawn(scored, 4, rows=8000)
    logits = 2 * np.log(off.scores / (1 - off.scores)) + 0.7
    assert weak_slices(replace(off, scores=1 / (1 + np.exp(-logits))), resamples=0) == ()


def test_numbers_are_searched_by_their_errors(scored):
    generator = np.random.default_rng(0)
    signature = replace(scored.model.signature, task="regression", classes=())
    model = replace(scored.model, signature=signature)
    places = generator.integers(0, len(scored.truth), 3000)
    truth = generator.normal(size=3000)
    noise = generator.normal(size=3000)
    frame = scored.frame[places]
    even = Scored(model, frame, scored.matrix[places], truth, truth + noise, 0)
    assert weak_slices(even, resamples=0) == ()
    worse = replace(even, scores=truth + noise * np.where(frame["carrier"] == "B6", 2, 1))
    first = weak_slices(worse, resamples=20)[0]
    assert (first.kind, first.where, first.metric) == ("inaccurate", {"carrier": "B6"}, "rmse")
    assert first.effect == pytest.approx(1.0, abs=0.25)


def test_too_few_rows_or_one_class_are_not_searched(scored):
    few = drawn(scored, 5, rows=60)
    assert weak_slices(few) == ()
    assert weak_slices(replace(drawn(scored, 5), truth=np.ones(4000))) == ()
