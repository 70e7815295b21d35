"""If these fail, an interval that was made quickly is not the interval of the metric that is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.measures import METRICS, resampling
from tidemill.measures.registry import metric
from tidemill.measures.resampling import OfRanking, OfSums, difference_of, draw

BINARY = (*METRICS["binary"], "recall_at_20pct", "precision_at_20pct", "lift_at_20pct")


def scored(rows, seed=0, levels=None):  # as a calibrated model would
    generator = np.random.default_rng(seed)
    scores = np.sort(np.clip(generator.normal(0.4, 0.2, rows), 0, 1))
    labels = (generator.random(rows) < scores).astype(float)
    return labels, scores if levels is None else np.floor(scores * levels) / levels


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_weight_is_so_many_equal_rows(rows):
    rows.sort(key=lambda row: row[1])
    labels, scores, counts = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    scores /= 10
    repeated = np.repeat(np.arange(len(rows)), counts.astype(int))
    for name in BINARY:
        weighed = metric(name).prepare(labels, scores, 0.5)(counts)
        plain = metric(name).prepare(labels[repeated], scores[repeated], 0.5)(None)
        assert weighed == pytest.approx(plain, nan_ok=True), name
    for name in METRICS["regression"]:
        weighed = metric(name, "regression").prepare(labels, scores, 0.5)(counts)
        plain = metric(name, "regression").prepare(labels[repeated], scores[repeated], 0.5)(None)
        assert weighed == pytest.approx(plain, nan_ok=True), name


@pytest.mark.parametrize("rows", [700, 21_000])
def test_many_resamples_together_are_those_of_each_alone(rows):
    labels, scores = scored(rows, levels=50)
    weights = [
        weights
        for start in (0, 50)
        for weights in np.concatenate(
            [found for _, found in resampling._weights(_generator(start, rows), rows, 50 if start == 0 else 10)], axis=1
        )
    ]
    for name in ("roc_auc", "average_precision", "brier", "f1", "ece", "recall_at_20pct"):
        prepared = metric(name).prepare(labels, scores, 0.5)
        together = draw([prepared], rows, 60, seed=3)[0]
        assert together == pytest.approx([prepared(found) for found in weights]), name


def _generator(start, rows):
    generator = np.random.default_rng(3)
    if start:
        list(resampling._weights(generator, rows, start))
    return generator


@pytest.mark.parametrize("levels", [None, 40, 9000])
def test_a_ranking_in_groups_has_the_draws_of_the_whole(monkeypatch, levels):
    labels, scores = scored(30_000, seed=1, levels=levels)
    for name in ("roc_auc", "average_precision", "recall_at_20pct"):
        prepared = metric(name).prepare(labels, scores, 0.5)
        exact = draw([prepared], len(labels), 40, seed=0)[0]
        with monkeypatch.context() as patch:
            patch.setattr(resampling, "GROUPS", 2500)
            grouped = draw([prepared], len(labels), 40, seed=0)[0]
        assert np.abs(grouped - exact).max() < 0.1 * exact.std(), name
        assert (grouped == exact).all() == (levels == 40)


def test_the_error_of_groups_is_below_the_bound_that_is_stated(monkeypatch):
    labels, scores = scored(30_000, seed=2)
    prepared = metric("roc_auc").prepare(labels, scores, 0.5)
    monkeypatch.setattr(resampling, "GROUPS", 100)
    grouping = resampling._Grouping.of(prepared)
    assert 90 <= len(grouping.starts) <= 101
    positives = np.add.reduceat(labels, grouping.starts)
    negatives = np.add.reduceat(1 - labels, grouping.starts)
    bound = (positives * negatives).sum() / (2 * positives.sum() * negatives.sum())
    assert 0 < abs(grouping.value(prepared) - prepared(None)) < bound < 0.01


def test_groups_never_part_equal_scores(monkeypatch):
    monkeypatch.setattr(resampling, "GROUPS", 10)
    scores = np.sort(np.concatenate([np.arange(300) / 300, np.full(200, 0.5), np.full(35, 0.7), np.full(3, 0.9)]))
    labels = (np.arange(len(scores)) % 2).astype(float)
    grouping = resampling._Grouping.of(metric("roc_auc").prepare(labels, scores, 0.5))
    assert 5 < len(grouping.starts) < 30
    assert (scores[grouping.starts[1:]] != scores[grouping.starts[1:] - 1]).all()
    assert np.flatnonzero(scores == 0.5)[0] in grouping.starts
    assert np.flatnonzero(scores == 0.5)[-1] + 1 in grouping.starts


def test_differences_are_drawn_on_the_same_rows():
    labels, scores = scored(500)
    brier = metric("brier").prepare
    same = difference_of(brier(labels, scores, 0.5), brier(labels, scores, 0.5))
    assert isinstance(same, OfSums)
    assert (draw([same], 500, 20, seed=0) == 0).all()
    off = np.clip(scores + 0.05, 0, 1)
    worse = draw([difference_of(brier(labels, scores, 0.5), brier(labels, off, 0.5))], 500, 100, seed=0)[0]
    assert worse.min() < worse.max() < 0.01


def test_a_ranking_that_came_unsorted_is_drawn_all_the_same():
    labels, scores = scored(300)
    prepared = metric("roc_auc").prepare(labels[::-1], scores[::-1], 0.5)
    assert not isinstance(prepared, OfRanking)
    draws = draw([prepared, metric("brier").prepare(labels, scores, 0.5)], 300, 200, seed=0)
    assert draws.shape == (2, 200)
    assert draws[0].mean() == pytest.approx(prepared(None), abs=0.01)
