"""If these fail, folds leak (the future, or another visit of the same patient), or an estimate flatters its search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tidemill.core.errors import DataError, UsageError
from tidemill.data.split import by_group, by_share, by_time, split
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.training import tune, uniform
from tidemill.training.tuning.folds import folds_of, outer_estimate, student

START = datetime(2026, 1, 1, tzinfo=UTC)


def table(rows=300, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=rows)
    return pl.DataFrame(
        {
            "row": range(rows),
            "at": [START + timedelta(hours=int(hour)) for hour in np.sort(draw.integers(0, rows // 2, rows))],
            "patient": draw.integers(0, 20, rows),
            "x": x,
            "ill": (x + draw.normal(size=rows)) > 1,
        }
    )


def test_every_row_is_held_once_with_its_share_of_each_class():
    data = split(table(), by_share(0.6, 0.2), "ill")
    folds = folds_of(data, 5, stratify=True)
    held = pl.concat([fold.validation for fold in folds])
    pool = pl.concat([data.train, data.validation])
    assert sorted(held["row"]) == sorted(pool["row"])
    shares = [fold.validation["ill"].mean() for fold in folds]
    assert max(shares) - min(shares) < 0.02
    assert all(not set(fold.train["row"]) & set(fold.validation["row"]) for fold in folds)
    assert all(fold.test.equals(data.test) for fold in folds)
    again = folds_of(data, 5, repeats=2, stratify=True)
    assert len(again) == 10
    assert again[0].validation.equals(folds[0].validation)
    assert not again[5].validation.equals(folds[0].validation)


def test_groups_stay_together():
    data = split(table(), by_group("patient", 0.6, 0.2), "ill")
    for fold in folds_of(data, 4):
        assert not set(fold.train["patient"]) & set(fold.validation["patient"])
    with pytest.raises(DataError, match=r"groups of \['patient'\] are too few for 30 folds"):
        folds_of(data, 30)


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(0, 5), st.sampled_from([None, "3h"]))
def test_rows_in_time_are_never_known_before_they_happened(count, seed, embargo):
    method = by_time("2026-01-04", "2026-01-06", time="at", embargo=embargo)
    data = split(table(seed=seed), method, "ill")
    folds = folds_of(data, count)
    gap = timedelta(hours=3) if embargo else timedelta(0)
    for fold in folds:
        assert fold.train["at"].max() < fold.validation["at"].min() - gap or not embargo
        assert fold.train["at"].max() < fold.validation["at"].min()
        assert fold.validation["at"].max() < data.test["at"].min()
    held = pl.concat([fold.validation for fold in folds])["row"]
    assert held.n_unique() == len(held)


def test_an_entity_that_was_known_is_not_asked_about_in_a_disjoint_split():
    rows = table().with_columns(patient=pl.col("row") // 12)
    data = split(rows, by_time("2026-01-04", "2026-01-06", time="at", disjoint=["patient"]), "ill")
    for fold in folds_of(data, 3):
        assert not set(fold.train["patient"]) & set(fold.validation["patient"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 1}, "at least two folds: 1"),
        ({"folds": True}, "at least two folds: True"),
        ({"folds": 3, "repeats": 0}, "drawn at least once: 0"),
        ({"outer": 1}, "at least two folds: 1"),
    ],
)
def test_folds_that_make_no_sense_are_refused(builds, cancer, options, words):
    with pytest.raises(UsageError, match=words):
        tune(builds.cut, {"cut": uniform(0, 2500)}, cancer, trials=2, metric="accuracy", **options)


def test_rows_in_time_are_not_drawn_again():
    data = split(table(), by_time("2026-01-04", "2026-01-06", time="at"), "ill")
    with pytest.raises(UsageError, match="rows in time have one order"):
        folds_of(data, 3, repeats=2)
    with pytest.raises(DataError, match="rows are too few for 200 folds"):
        folds_of(data, 200)


def test_a_trial_is_worth_the_mean_of_its_folds(builds, cancer):
    found = tune(builds.cut, {"cut": uniform(0, 2500)}, cancer, metric="accuracy", trials=5, folds=4, repeats=2)
    folds = folds_of(cancer, 4, repeats=2, stratify=True)
    best = found.best["cut"]
    expected = [((fold.validation["mean_area"] > best) == fold.validation["malignant"]).mean() for fold in folds]
    assert found.value == pytest.approx(np.mean(expected))
    assert [step for step, _ in found.trials[0].reported] == list(range(8))


def test_the_outer_estimate_does_not_believe_in_luck():
    """Of noise the best of many trials looks better than it is; the outer estimate says that it is worth nothing."""
    draw = np.random.default_rng(3)
    noise = pl.DataFrame({**{f"x{i}": draw.normal(size=120) for i in range(6)}, "y": draw.random(120) > 0.5})
    data = split(noise, by_share(0.7, 0.2), "y")

    class Column:
        def __init__(self, column, sign):
            self.column, self.sign = column, sign

        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return self.sign * matrix[:, int(self.column)]

    space = {"column": uniform(0, 5.99), "sign": uniform(-1, 1)}
    found = tune(lambda params: Column(**params), space, data, trials=25, folds=3, outer=4)
    assert found.value > 0.53
    assert found.outer.value < found.value
    assert found.outer.low < 0.5 < found.outer.high
    assert decode(encode(found)) == found


@given(st.integers(1, 60), st.sampled_from([0.9, 0.975, 0.995]))
def test_the_quantiles_are_those_of_student(freedom, share):
    assert student(freedom, share) == pytest.approx(stats.t.ppf(share, freedom), rel=0.03)


def test_the_interval_is_wider_than_one_of_independent_folds():
    values = [0.80, 0.82, 0.84]
    found = outer_estimate(values, held=100, trained=200)
    naive = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
    assert (found.high - found.low) / 2 > 1.4 * naive
