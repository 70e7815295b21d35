"""An ONNX model that branches otherwise than the native one answers some rows wrongly, and nobody notices."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from tidemill.core.errors import ModelError
from tidemill.packaging.engines import onnx_engine
from tidemill.packaging.formats import sklearn_skops
from tidemill.packaging.formats.sklearn_onnx import to_onnx
from tidemill.packaging.onnx_forests import forest_to_onnx, histogram_boosting_to_onnx
from tidemill.packaging.onnx_lightgbm import lightgbm_to_onnx
from tidemill.packaging.onnx_trees import float32_at_most

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def training(holes: float, rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    matrix = draw.normal(size=(rows, 4)).astype(np.float32)
    matrix[:, 2] = draw.integers(0, 50, rows)
    matrix[:, 3] = matrix[:, 3].round(1)
    matrix[draw.random(rows) < holes, 0] = np.nan
    matrix[draw.random(rows) < holes, 2] = np.nan
    return matrix, (matrix[:, 2] % 3 == 0).astype(int) + (np.nan_to_num(matrix[:, 0]) > 0.5)


def hard(thresholds: list[tuple[int, float]], rows: int = 4000) -> np.ndarray:
    """Rows on the thresholds and one float32 step beside them, with missing values, zeros and unseen codes."""
    draw = np.random.default_rng(5)
    matrix = draw.normal(size=(rows, 4)).astype(np.float32)
    matrix[:, 2] = draw.integers(-2, 60, rows)
    for row in range(rows):
        feature, threshold = thresholds[draw.integers(len(thresholds))]
        value = np.float32(threshold)
        step = np.float32(draw.choice([-np.inf, np.inf]))
        matrix[row, feature] = draw.choice([value, np.nextafter(value, step), np.float32(0), np.float32(1e-40)])
    matrix[np.isinf(matrix)] = 0  # a split that only sets missing values apart has an infinite threshold
    matrix[draw.random(matrix.shape) < 0.1] = np.nan
    return matrix


def thresholds_of(booster: Any) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    pending = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while pending:
        node = pending.pop()
        if "split_feature" in node:
            if node["decision_type"] == "<=":
                found.append((node["split_feature"], float(node["threshold"])))
            pending += [node["left_child"], node["right_child"]]
    return found


@given(FINITE, st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_rounded_threshold_decides_every_float32_as_the_exact_one(threshold: float, value: float) -> None:
    rounded = float32_at_most(np.array([threshold]))[0]
    assert (value <= threshold) == (np.float32(value) <= rounded)


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression", "poisson"])
def test_lightgbm_answers_alike_on_thresholds_missing_values_and_category_sets(objective: str, holes: float) -> None:
    matrix, labels = training(holes)
    if objective == "binary":
        labels = labels > 0
    classes = 3 if objective == "multiclass" else 1
    params = {"objective": objective, "num_class": classes, "num_threads": 1, "verbose": -1, "num_leaves": 31}
    booster = lightgbm.train(params, lightgbm.Dataset(matrix, labels, categorical_feature=[2]), 40)
    rows = hard(thresholds_of(booster))
    engine = onnx_engine(lightgbm_to_onnx(booster.model_to_string()), "multiclass" if classes > 1 else "regression")
    expected = booster.predict(rows, num_threads=1)
    assert np.abs(engine(rows) - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize(
    "option", [{"zero_as_missing": True}, {"linear_tree": True}, {"objective": "regression", "reg_sqrt": True}]
)
def test_what_onnx_cannot_say_exactly_is_refused_with_the_reason(option: dict[str, Any]) -> None:
    matrix, labels = training(0.0)
    params = {"objective": "regression", "num_threads": 1, "verbose": -1, **option}
    booster = lightgbm.train(params, lightgbm.Dataset(matrix, labels, params=params), 3)
    with pytest.raises(ModelError, match="no ONNX form"):
        lightgbm_to_onnx(booster.model_to_string())


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(20, max_depth=7, random_state=0),
        RandomForestRegressor(10, max_depth=7, random_state=0),
        ExtraTreesClassifier(10, max_depth=7, random_state=0),
        DecisionTreeClassifier(max_depth=7, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_forests_send_missing_values_where_scikit_learn_does(estimator: Any, holes: float) -> None:
    matrix, labels = training(holes)
    estimator.fit(matrix, labels)
    trees = getattr(estimator, "estimators_", [estimator])
    pairs = [pair for tree in trees for pair in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)]
    found = [(int(feature), float(threshold)) for feature, threshold in pairs if feature >= 0]
    rows = hard(found)
    is_classifier = hasattr(estimator, "classes_")
    expected = estimator.predict_proba(rows) if is_classifier else estimator.predict(rows)
    engine = onnx_engine(forest_to_onnx(estimator), "multiclass" if is_classifier else "regression")
    assert np.abs(engine(rows) - expected).max() < 1e-5


def splits_of(trees: Any) -> list[tuple[int, float]]:
    """Features and thresholds of every node that branches."""
    pairs = [pair for tree in trees for pair in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)]
    return [(int(feature), float(threshold)) for feature, threshold in pairs if feature >= 0]


def labels_of(matrix: np.ndarray) -> np.ndarray:
    """Three labels, the last of which no row has."""
    first = np.nan_to_num(matrix[:, 0]) > 0.5
    return np.stack([first, matrix[:, 1] * matrix[:, 3] > 0, np.zeros(len(matrix), dtype=bool)], axis=1).astype(float)


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 2, 3000])
@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=1, random_state=0),
        IsolationForest(n_estimators=30, random_state=0),
        IsolationForest(n_estimators=20, max_features=0.5, contamination=0.1, bootstrap=True, random_state=0),
        IsolationForest(n_estimators=5, max_samples=1, random_state=0),
    ],
    ids=["one tree", "all columns", "half of the columns", "one row a tree"],
)
def test_isolation_forests_find_the_same_rows_strange(estimator: Any, rows: int, holes: float) -> None:
    matrix, _ = training(holes, rows)
    estimator.fit(matrix)
    found = splits_of(estimator.estimators_) or [(0, 0.0)]
    asked = hard([(column, threshold) for _, threshold in found[:500] for column in range(4)])
    native = sklearn_skops.load(sklearn_skops.save(estimator))
    expected = sklearn_skops.predict(native, asked, "anomaly")
    np.testing.assert_allclose(expected, -estimator.score_samples(asked) + estimator.offset_, atol=1e-12)
    engine = onnx_engine(to_onnx(estimator, 4), "anomaly")
    assert np.abs(engine(asked) - expected).max() < 1e-6
    assert len(engine(asked[:1])) == 1


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(20, max_depth=7, random_state=0),
        ExtraTreesClassifier(10, max_depth=7, random_state=0),
        DecisionTreeClassifier(max_depth=7, random_state=0),
        ExtraTreeClassifier(max_depth=7, random_state=0),
        MultiOutputClassifier(RandomForestClassifier(5, max_depth=7, random_state=0)),
        MultiOutputClassifier(HistGradientBoostingClassifier(max_iter=5, random_state=0)),
    ],
    ids=lambda estimator: f"{type(estimator).__name__} {getattr(estimator, 'estimator', '')}".partition("(")[0],
)
def test_of_several_labels_each_is_found_as_likely(estimator: Any, holes: float) -> None:
    matrix, _ = training(holes)
    labels = labels_of(matrix)
    if isinstance(getattr(estimator, "estimator", None), HistGradientBoostingClassifier):
        labels = labels[:, :2]  # it refuses what no row has
    estimator.fit(matrix, labels)
    trees = getattr(estimator, "estimators_", [estimator])
    found = splits_of(tree for tree in trees if hasattr(tree, "tree_")) or [(0, 0.5), (1, 0.0), (3, 0.1)]
    rows = hard(found)
    native = sklearn_skops.load(sklearn_skops.save(estimator))
    expected = sklearn_skops.predict(native, rows, "multilabel")
    engine = onnx_engine(to_onnx(estimator, 4), "multilabel")
    assert expected.shape == (len(rows), labels.shape[1])
    assert np.abs(engine(rows) - expected).max() < 1e-5
    assert (expected.min(axis=0) < expected.max(axis=0))[:2].all()


def test_a_network_of_scikit_learn_has_its_form_for_labels_and_for_classes() -> None:
    matrix, classes = training(0.0)
    for truth, task in ((labels_of(matrix), "multilabel"), (classes, "multiclass")):
        network = MLPClassifier((8,), max_iter=20, random_state=0)
        with pytest.warns(Warning, match="Maximum iterations"):
            network.fit(matrix, truth)
        answer = onnx_engine(to_onnx(network, 4), task)(matrix)
        assert np.abs(answer - network.predict_proba(matrix)).max() < 1e-5


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_histogram_boosting_answers_alike(kind: Any) -> None:
    matrix, labels = training(0.1)
    estimator = kind(max_iter=20, random_state=0).fit(matrix, labels)
    rows = hard([(0, 0.0), (1, 0.5)])
    is_classifier = hasattr(estimator, "classes_")
    expected = estimator.predict_proba(rows) if is_classifier else estimator.predict(rows)
    engine = onnx_engine(histogram_boosting_to_onnx(estimator), "multiclass" if is_classifier else "regression")
    assert np.abs(engine(rows) - expected).max() < 1e-5
