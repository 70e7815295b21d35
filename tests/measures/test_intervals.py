"""If these fail, a team takes luck for progress."""

from __future__ import annotations

import numpy as np
import pytest

from tidemill import measures
from tidemill.core.errors import DataError
from tidemill.measures import intervals, resampling
from tidemill.measures.resampling import resampled_counts


def scored(rows, seed=0, shift=0.15):
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.3).astype(float)
    return labels, np.clip(generator.normal(0.4 + shift * labels, 0.2), 0, 1)


@pytest.mark.parametrize("rows", [800, 30_000])
def test_the_bootstrap_agrees_with_delong(rows):
    labels, scores = scored(rows)
    ours = measures.estimate(labels, scores, ("roc_auc",), resamples=400)["roc_auc"]
    theirs = measures.delong(labels, scores)
    assert ours.value == pytest.approx(theirs.value)
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.12 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.12 * width)


def test_the_paired_difference_agrees_with_delong_and_is_narrower_than_two_intervals():
    labels, scores = scored(2000)
    others = np.clip(scores + np.random.default_rng(5).normal(0, 0.1, len(scores)), 0, 1)
    area = measures.metric("roc_auc").prepare
    apart = resampling.difference_of(area(labels, scores, 0.5), area(labels, others, 0.5))
    ours = measures.bootstrap({"difference": apart}, 2000, resamples=400)["difference"]
    theirs = measures.delong_difference(labels, scores, others)
    assert ours.value == pytest.approx(theirs.value)
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.15 * width)
    alone = measures.delong(labels, scores)
    assert width < alone.high - alone.low


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = 0
    for seed in range(200):
        heads = (np.random.default_rng(seed).random(200) < 0.4).astype(float)
        found = intervals.bootstrap(
            {"rate": lambda w, heads=heads: float(np.average(heads, weights=w))}, 200, resamples=200, seed=seed
        )["rate"]
        held += found.low <= 0.4 <= found.high
    assert 180 <= held <= 199


def test_equal_seeds_give_equal_intervals():
    labels, scores = scored(500)
    first, again = (measures.estimate(labels, scores, ("brier",), seed=7)["brier"] for _ in range(2))
    other = measures.estimate(labels, scores, ("brier",), seed=8)["brier"]
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


@pytest.mark.parametrize("rows", [1000, 50_000])
def test_resamples_draw_every_row_once_on_average(rows):
    counts = np.stack(list(resampled_counts(rows, 20, seed=0)))
    assert counts.mean() == pytest.approx(1, abs=0.005)
    assert counts.var(axis=0, ddof=1).mean() == pytest.approx(1, abs=0.03)
    if rows < resampling.POISSON_ROWS:
        assert (counts.sum(axis=1) == rows).all()


def test_values_do_not_depend_on_the_order_of_rows():
    labels, scores = scored(400)
    order = np.random.default_rng(3).permutation(400)
    names = tuple(measures.METRICS["binary"])
    ours, shuffled = (
        measures.estimate(labels[places], scores[places], names, resamples=0) for places in (np.arange(400), order)
    )
    for name in names:
        assert ours[name].value == pytest.approx(shuffled[name].value)
        assert ours[name].low is None


def test_too_little_spread_gives_a_value_without_an_interval():
    found = measures.estimate([1], [0.9], ("accuracy", "roc_auc"))
    assert (found["accuracy"].value, found["accuracy"].low, found["accuracy"].reason) == (
        1,
        None,
        "one row has no spread",
    )
    assert found["roc_auc"].reason == "only one class is present"


def test_delong_without_one_class_says_so():
    assert measures.delong([1, 1], [0.1, 0.2]).reason == "only one class is present"
    assert measures.delong_difference([0, 0], [0.1, 0.2], [0.1, 0.2]).value is None


@pytest.mark.parametrize("options", [{"resamples": -1}, {"level": 1.0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(DataError):
        intervals.bootstrap({}, 1, **options)


@pytest.mark.slow
def test_a_million_rows_have_all_metrics_with_intervals():
    labels, scores = scored(1_000_000)
    found = measures.estimate(labels, scores, tuple(measures.METRICS["binary"]), resamples=200)
    assert all(value.low < value.value < value.high for value in found.values())
