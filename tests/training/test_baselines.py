"""If these fail, a model is praised for beating a straw man."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tidemill.training.baselines import baseline_scores, fit_baselines


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(4000, 4)).astype(np.float32)
    matrix[:, 3] = generator.integers(0, 3, 4000)
    signal = matrix[:, 0] - 0.5 * matrix[:, 1] + (matrix[:, 3] == 1)
    truth = (generator.random(4000) < 1 / (1 + np.exp(-signal))).astype(float)
    encoding = [{"name": f"x{i}", "column": f"x{i}", "kind": "number"} for i in range(3)]
    encoding.append({"name": "c", "column": "c", "kind": "category", "categories": ["p", "q", "r"]})
    return matrix, truth, encoding, signal


def fitted(matrix, truth, encoding, task):
    found = fit_baselines(matrix, truth, encoding, task)
    return {entry["name"]: json.loads(json.dumps(entry, allow_nan=False)) for entry in found}


def test_the_linear_baseline_equals_scikit_learn(rows):
    matrix, truth, encoding, _ = rows
    ours = baseline_scores(fitted(matrix, truth, encoding, "binary")["linear"], matrix)
    exact = matrix.astype(np.float64)
    numbers = (exact[:, :3] - exact[:, :3].mean(axis=0)) / exact[:, :3].std(axis=0)
    design = np.hstack([numbers, exact[:, 3:] == np.arange(3)])
    theirs = LogisticRegression(C=1.0, max_iter=1000, tol=1e-10).fit(design, truth).predict_proba(design)[:, 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_linear_baseline_of_numbers_equals_ridge(rows):
    matrix, _, encoding, signal = rows
    ours = baseline_scores(fitted(matrix, signal, encoding, "regression")["linear"], matrix)
    exact = matrix.astype(np.float64)
    numbers = (exact[:, :3] - exact[:, :3].mean(axis=0)) / exact[:, :3].std(axis=0)
    design = np.hstack([numbers, exact[:, 3:] == np.arange(3)])
    np.testing.assert_allclose(ours, Ridge(alpha=1.0).fit(design, signal).predict(design), atol=1e-3)


def test_the_tree_is_nearly_as_good_as_an_exact_one(rows):
    matrix, _, encoding, signal = rows
    tree = fitted(matrix, signal, encoding, "regression")["tree"]
    assert sum("left" not in node for node in tree["nodes"]) == 8
    ours = np.mean((signal - baseline_scores(tree, matrix)) ** 2)
    exact = DecisionTreeRegressor(max_depth=3, min_samples_leaf=20).fit(matrix, signal).predict(matrix)
    assert ours <= 1.05 * np.mean((signal - exact) ** 2)


def test_missing_and_infinite_values_have_an_answer(rows):
    matrix, truth, encoding, _ = rows
    holes = matrix.copy()
    holes[::3] = np.nan
    holes[1::3, 0] = np.inf
    for task, target in (("binary", truth), ("regression", truth * 3)):
        for baseline in fitted(holes, target, encoding, task).values():
            assert np.isfinite(baseline_scores(baseline, holes)).all()
            assert np.isfinite(baseline_scores(baseline, np.full((2, 4), np.nan, dtype=np.float32))).all()


def test_columns_that_say_nothing_do_no_harm():
    matrix = np.full((50, 2), np.nan, dtype=np.float32)
    matrix[:, 1] = 7
    encoding = [{"name": n, "column": n, "kind": "number"} for n in "ab"]
    for baseline in fitted(matrix, np.arange(50) % 2.0, encoding, "binary").values():
        np.testing.assert_allclose(baseline_scores(baseline, matrix), 0.5)


def test_many_classes_have_their_shares():
    constant = fit_baselines(np.zeros((4, 1), dtype=np.float32), np.array([0.0, 1, 2, 2]), [], "multiclass", 3)[0]
    np.testing.assert_array_equal(
        baseline_scores(constant, np.zeros((2, 1), dtype=np.float32)), [[0.25, 0.25, 0.5]] * 2
    )


def test_many_classes_have_a_linear_model_and_a_tree(rows):
    matrix, _, encoding, signal = rows
    truth = np.digitize(signal, [-0.5, 0.8]).astype(float)
    found = {entry["name"]: entry for entry in fit_baselines(matrix, truth, encoding, "multiclass", 3)}
    assert set(found) == {"constant", "linear", "tree"}
    exact = matrix.astype(np.float64)
    numbers = (exact[:, :3] - exact[:, :3].mean(axis=0)) / exact[:, :3].std(axis=0)
    design = np.hstack([numbers, exact[:, 3:] == np.arange(3)])
    theirs = OneVsRestClassifier(LogisticRegression(C=1.0, max_iter=1000, tol=1e-10)).fit(design, truth)
    np.testing.assert_allclose(baseline_scores(found["linear"], matrix), theirs.predict_proba(design), atol=1e-4)
    tree = baseline_scores(found["tree"], matrix)
    np.testing.assert_allclose(tree.sum(axis=1), 1)
    exact_tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=20).fit(matrix, truth)
    assert (tree.argmax(axis=1) == truth).mean() > exact_tree.score(matrix, truth) - 0.05


def test_labels_have_their_shares_and_a_model_each(rows):
    matrix, truth, encoding, signal = rows
    both = np.column_stack([truth, signal > 1])
    found = {entry["name"]: entry for entry in fit_baselines(matrix, both, encoding, "multilabel", 2)}
    np.testing.assert_allclose(found["constant"]["value"], both.mean(axis=0))
    alone = {entry["name"]: entry for entry in fit_baselines(matrix, both[:, 1], encoding, "binary", 2)}
    np.testing.assert_allclose(
        baseline_scores(found["linear"], matrix)[:, 1], baseline_scores(alone["linear"], matrix), rtol=1e-9
    )
    assert baseline_scores(found["tree"], matrix).shape == (4000, 2)


def test_quantiles_hold_as_many_rows_as_they_say(rows):
    matrix, _, encoding, signal = rows
    levels = (0.1, 0.5, 0.9)
    for entry in fit_baselines(matrix, signal, encoding, "quantile", 3, levels=levels):
        scores = baseline_scores(json.loads(json.dumps(entry)), matrix)
        assert scores.shape == (4000, 3)
        np.testing.assert_allclose((signal[:, None] <= scores).mean(axis=0), levels, atol=0.01)


def test_a_forecast_is_compared_with_repeating_what_was_known():
    names = ("sold__last", "sold__season", "price")
    encoding = [{"name": name, "column": name, "kind": "number"} for name in names]
    matrix = np.arange(90, dtype=np.float32).reshape(30, 3)
    matrix[3, 0] = np.nan
    found = {entry["name"]: entry for entry in fit_baselines(matrix, matrix[:, 2] * 1.0, encoding, "forecasting")}
    assert list(found) == ["constant", "last_value", "seasonal_naive", "linear", "tree"]
    last = baseline_scores(found["last_value"], matrix)
    np.testing.assert_array_equal(last[[0, 1]], matrix[[0, 1], 0])
    assert last[3] == np.nanmedian(matrix[:, 0])
    np.testing.assert_array_equal(baseline_scores(found["seasonal_naive"], matrix), matrix[:, 1])


def test_a_ranking_is_compared_with_popularity():
    encoding = [{"name": "item", "column": "item", "kind": "category", "categories": ["a", "b"]}]
    matrix = np.array([[0], [0], [1], [1], [np.nan]] * 20, dtype=np.float32)
    truth = np.array([3.0, 3, 0, 0, 1] * 20)
    found = {entry["name"]: entry for entry in fit_baselines(matrix, truth, encoding, "ranking")}
    a, b, missing, unseen = baseline_scores(found["popularity"], np.array([[0], [1], [np.nan], [7]], dtype=np.float32))
    assert b < missing == unseen == truth.mean() < a < 3


def test_anomalies_are_compared_with_the_distance_from_the_middle():
    encoding = [{"name": name, "column": name, "kind": "number"} for name in "xy"]
    matrix = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    found = {entry["name"]: entry for entry in fit_baselines(matrix, np.full(200, np.nan), encoding, "anomaly")}
    near, far, unknown = baseline_scores(found["distance"], np.array([[0, 0], [9, 0], [np.nan, 0]], dtype=np.float32))
    assert unknown <= near < 1 < far
