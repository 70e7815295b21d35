"""A model that was trained elsewhere must answer here as it did there, or be refused with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import tidemill as tm
from tidemill.core.errors import TidemillError, UsageError
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import load_package, promote, resolve
from tidemill.serving.loading import load

DRAW = np.random.default_rng(3)
FRAME = pl.DataFrame(
    {
        "queue": DRAW.integers(0, 12, 300),
        "temp": DRAW.normal(15, 8, 300).round(1),
        "weekend": DRAW.random(300) < 0.3,
        "price": DRAW.gamma(2, 10, 300),
    }
)
LATE = (FRAME["queue"] + FRAME["temp"] / 10 + DRAW.normal(0, 1, 300) > 7.5).rename("late")
GATE = pl.Series("gate", np.array(["A", "B", "C"])[np.digitize(FRAME["queue"].to_numpy(), [4, 8])])
MATRIX = FRAME.cast(pl.Float64).to_numpy()


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "elsewhere"\n')
    with use_project(load_project(tmp_path)) as found:
        yield found


CASES: dict[str, tuple[Any, Any, Any]] = {
    "logistic regression": (LogisticRegression(max_iter=500), LATE, "binary"),
    "forest": (RandomForestClassifier(5, random_state=0), LATE, "binary"),
    "pipeline": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), LATE, "binary"),
    "three classes": (RandomForestClassifier(5, random_state=0), GATE, "multiclass"),
    "quantities": (LinearRegression(), (FRAME["price"] * 2).rename("bill"), "regression"),
    "LightGBM": (LGBMClassifier(n_estimators=5, verbose=-1), LATE, "binary"),
    "LightGBM, quantities": (LGBMRegressor(n_estimators=5, verbose=-1), FRAME["price"].rename("bill"), "regression"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names, but LGBM")
def test_it_answers_here_as_it_did_there(name: str, project: Project) -> None:
    estimator, truth, task = CASES[name]
    estimator.fit(MATRIX, truth.to_numpy())
    version = tm.register(estimator, example=FRAME, target=truth, name="late", owner="ann")
    package = load_package(open_project_store(project), version)
    assert package.signature.task == task
    assert package.signature.target == truth.name
    assert (version.owner, package.manifest["metrics"], package.manifest["params"]) == ("ann", {}, {})
    assert package.manifest["profile"]["target"]
    promote(version)
    (answer,) = load("late").predict([FRAME.row(7, named=True)])
    if task == "regression":
        assert answer[truth.name] == pytest.approx(estimator.predict(MATRIX[7:8])[0], rel=1e-4)
    else:
        assert max(answer.get("probabilities", {"": 0}).values()) <= 1
        shown = answer["probability"]
        wanted = estimator.predict_proba(MATRIX[7:8])[0]
        assert shown == pytest.approx(wanted[1] if task == "binary" else wanted.max(), abs=1e-4)


def test_nothing_is_measured_that_was_not(project: Project) -> None:
    fitted = LogisticRegression(max_iter=500).fit(MATRIX, LATE.to_numpy())
    version = tm.register(fitted, example=FRAME, name="late")
    assert {name.partition(".")[0] for name in version.metrics} == {"package"}
    package = load_package(open_project_store(project), version)
    assert "target" not in package.manifest["profile"]
    assert package.signature.target == "prediction"
    assert "trained elsewhere" in tm.model_card("late@1", store=open_project_store(project)).markdown


def test_the_target_may_be_a_column_of_the_example(project: Project) -> None:
    table = FRAME.with_columns(LATE)
    fitted = RandomForestClassifier(3, random_state=0).fit(MATRIX, LATE.to_numpy())
    version = tm.register(fitted, example=table, target="late", name="late")
    package = load_package(open_project_store(project), version)
    assert package.signature.inputs.names == tuple(FRAME.columns)
    assert package.signature.classes == ("false", "true")


def test_matrices_and_pandas_tables_are_examples_too(project: Project) -> None:
    fitted = LinearRegression().fit(MATRIX, MATRIX[:, 0] * 2)
    tm.register(fitted, example=MATRIX, name="a")
    store = open_project_store(project)
    assert load_package(store, resolve(store, "a@1")).signature.inputs.names == ("x0", "x1", "x2", "x3")
    table = pd.DataFrame(MATRIX, columns=FRAME.columns)
    fitted = LinearRegression().fit(table, table["queue"] * 2)
    tm.register(fitted, example=table, target="double", name="b")
    assert load_package(store, resolve(store, "b@1")).signature.inputs.names == tuple(FRAME.columns)


def test_text_of_two_classes_is_what_it_answers(project: Project) -> None:
    words = np.where(LATE.to_numpy(), "yes", "no")
    fitted = LogisticRegression(max_iter=500).fit(MATRIX, words)
    promote(tm.register(fitted, example=FRAME, target=pl.Series("late", words), name="late"))
    (answer,) = load("late").predict([FRAME.row(0, named=True)])
    assert answer["late"] == fitted.predict(MATRIX[:1])[0]


TEXT = FRAME.with_columns(GATE)


def by_name() -> Any:
    encoder = ColumnTransformer([("gate", OneHotEncoder(), ["gate"])], remainder="passthrough")
    return make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(TEXT.to_pandas(), LATE.to_numpy())


def by_name_of_numbers() -> Any:
    scaler = ColumnTransformer([("scale", StandardScaler(), ["queue"])])
    return make_pipeline(scaler, LogisticRegression()).fit(FRAME.to_pandas(), LATE.to_numpy())


def linear() -> Any:
    return LinearRegression().fit(MATRIX, MATRIX[:, 0])


def narrow() -> Any:
    return LinearRegression().fit(MATRIX[:, :2], MATRIX[:, 0])


def logistic() -> Any:
    return LogisticRegression(max_iter=500).fit(MATRIX, LATE.to_numpy())


def several() -> Any:
    return MultiOutputClassifier(logistic()).fit(MATRIX, np.stack([LATE.to_numpy(), ~LATE.to_numpy()], 1))


def with_a_function() -> Any:
    return make_pipeline(FunctionTransformer(lambda x: x), logistic()).fit(MATRIX, LATE.to_numpy())


def bare() -> Any:
    return LGBMRegressor(n_estimators=2, verbose=-1).fit(MATRIX, MATRIX[:, 0]).booster_


class Odd:
    """Answers, and comes from nowhere."""

    def predict(self, matrix: Any) -> Any:
        return np.zeros(len(matrix))


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        (by_name, {"example": TEXT.to_pandas()}, "'gate' is string, and a matrix holds numbers.*tm.train"),
        (by_name_of_numbers, {"example": FRAME.to_pandas()}, "cannot be asked about a matrix.*tm.train"),
        (LogisticRegression, {"example": FRAME}, "not fitted"),
        (LinearRegression, {"example": FRAME}, "NotFittedError"),
        (narrow, {"example": FRAME}, "fitted on 2 columns, .* has 4"),
        (Odd, {"example": FRAME}, "no safe format"),
        (linear, {"example": MATRIX[0]}, "rows and columns"),
        (linear, {"example": [1, 2]}, "a table or a matrix"),
        (linear, {"example": FRAME.head(0)}, "no rows"),
        (linear, {"example": FRAME, "target": [1, 2]}, "300 rows and the target 2"),
        (logistic, {"example": FRAME, "target": GATE}, "does not know"),
        (several,
         {"example": FRAME}, "several answers"),
        (with_a_function,
         {"example": FRAME}, "allow-list|not supported"),
        (bare, {"example": FRAME},
         "does not say"),
        (linear, {}, "estimators with an example"),
    ],
)  # fmt: skip
def test_what_would_answer_otherwise_is_refused_with_the_way_out(
    estimator: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TidemillError, match=message):
        tm.register(estimator(), name="late", **options)


def test_numbers_finer_than_float32_are_noticed() -> None:
    big = pl.DataFrame({"at": 1_700_000_000.0 + np.arange(200.0)})
    fitted = LinearRegression().fit(big.to_numpy(), np.arange(200.0))
    with pytest.raises(TidemillError, match=r"answers otherwise about the matrix .* finer numbers than float32"):
        tm.register(fitted, example=big, name="late")


def test_a_tree_that_decides_right_at_its_rows_is_noticed_and_the_way_out_works() -> None:
    fitted = HistGradientBoostingRegressor(max_iter=5).fit(MATRIX, MATRIX[:, 3])
    with pytest.raises(TidemillError, match=r"in \d+ of 300 rows, by up to .* X\.astype\('float32'\)"):
        tm.register(fitted, example=FRAME, name="late")
    fitted = HistGradientBoostingRegressor(max_iter=5).fit(MATRIX.astype("float32"), MATRIX[:, 3])
    tm.register(fitted, example=MATRIX.astype("float32"), name="late")


def test_an_estimator_needs_a_name_and_a_model_no_example(model: tm.Model) -> None:
    with pytest.raises(UsageError, match="no name of its own"):
        tm.register(SGDClassifier().fit(MATRIX, LATE.to_numpy()), example=FRAME)
    with pytest.raises(UsageError, match="has its signature already"):
        tm.register(model, example=FRAME)
