"""An alarm that rings for nothing is switched off; one that stays silent costs months of wrong decisions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from task_cases import case

import tidemill as tm
from tidemill.core.errors import DataError, UsageError
from tidemill.core.model import Model
from tidemill.measures.population import profile_categories, profile_numbers
from tidemill.monitoring import DriftRule, drift, drift_between
from tidemill.packaging.package import Package
from tidemill.server.report import watch_sections
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.predictor import Predictor


def window(seed: int, rows: int = 1000, *, shift: float = 0.0, holes: float = 0.05) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    speed = np.where(draw.random(rows) < holes, np.nan, draw.normal(shift, 1, rows))
    return pl.DataFrame(
        {
            "speed": pl.Series(speed).fill_nan(None),
            "carrier": draw.choice(["UA", "AA", "B6"], rows, p=[0.5, 0.3, 0.2]),
            "heavy": draw.random(rows) < 0.3,
            "count": draw.poisson(3, rows),
        }
    )


def test_windows_of_the_same_world_raise_no_alarm() -> None:
    rule = DriftRule(psi=0.0, missing=0.0, strange=1.0)  # chance alone decides
    alarms = [drift_between(window(2 * n), window(2 * n + 1), rule=rule).drifted for n in range(200)]
    assert sum(map(bool, alarms)) <= 22  # a false discovery rate of 5 %, with room for chance


def test_a_moved_mean_is_found_and_said() -> None:
    report = drift_between(window(1), window(2, shift=0.8))
    assert report.drifted == ("speed",)
    column = report.column("speed")
    assert column.psi is not None
    assert column.psi > 0.25
    assert "the mean went from" in column.reasons[0]
    assert report.columns[0] is column
    assert report.share_drifted == 0.25


def test_with_many_rows_a_difference_too_small_to_matter_is_no_drift() -> None:
    report = drift_between(window(1, 100_000), window(2, 100_000, shift=0.05))
    assert report.column("speed").adjusted_p is not None
    assert report.column("speed").adjusted_p < 0.001
    assert not report.drifted


def test_missing_values_are_drift_of_their_own() -> None:
    report = drift_between(window(1), window(2, holes=0.2))
    assert report.drifted == ("speed",)
    assert "missing values went from" in report.column("speed").reasons[0]


def test_new_categories_are_named() -> None:
    current = window(2).with_columns(carrier=pl.when(pl.col("count") > 6).then(pl.lit("☃")).otherwise("carrier"))
    report = drift_between(window(1), current)
    assert report.column("carrier").new_categories == ("☃",)
    assert "☃" in report.column("carrier").reasons[-1]


def test_numbers_that_the_reference_never_saw_are_counted() -> None:
    current = window(2).with_columns(speed=pl.when(pl.col("count") > 6).then(1048.0).otherwise("speed"))
    column = drift_between(window(1), current).column("speed")
    assert column.out_of_range > 0.01
    assert "outside the reference's range" in column.reasons[-1]
    assert sum(column.current_counts) + current["speed"].null_count() == current.height


def test_too_few_rows_for_a_test_are_no_alarm() -> None:
    report = drift_between(window(1), window(2, 10, shift=3))
    assert report.column("speed").p_value is None
    assert "distribution" not in " ".join(report.column("speed").reasons)


def test_a_column_that_vanished_is_drift() -> None:
    report = drift_between(window(1), window(2).drop("heavy"))
    assert report.absent == ("heavy",)
    assert report.drifted == ("heavy",)


def test_columns_can_be_chosen_and_wrong_ones_are_named() -> None:
    assert [entry.column for entry in drift_between(window(1), window(2), columns=["count"]).columns] == ["count"]
    profile = {"rows": 2, "columns": {"a": profile_numbers([1, 2])}}
    with pytest.raises(UsageError, match="It has a"):
        drift(profile, window(1), columns=["b"])
    with pytest.raises(DataError, match="no rows"):
        drift(profile, window(1).clear())
    with pytest.raises(UsageError, match="no reference profile"):
        drift({"x": 1}, window(1))
    with pytest.raises(DataError, match="text now"):
        drift(profile, pl.DataFrame({"a": ["x"]}))


def test_a_column_of_nothing_but_missing_values_is_compared() -> None:
    profile = {
        "rows": 40,
        "columns": {"a": profile_numbers([float(n) for n in range(40)]), "b": profile_categories(["x"] * 40)},
    }
    report = drift(
        profile, pl.DataFrame({"a": [None] * 40, "b": [None] * 40}, schema={"a": pl.Float64, "b": pl.String})
    )
    assert report.drifted == ("a", "b")
    assert all("100.0%" in entry.reasons[0] for entry in report.columns)


def test_a_report_is_plain_data_with_the_counts_of_both_sides() -> None:
    report = drift_between(window(1), window(2))
    json.dumps(asdict(report), allow_nan=False)
    for entry in report.columns:
        assert len(entry.reference_counts) == len(entry.current_counts)
        if entry.kind == "number":
            assert len(entry.edges) + 1 == len(entry.reference_counts)
        else:
            assert len(entry.categories) + 1 == len(entry.reference_counts)


def test_the_prediction_log_is_compared_with_the_models_own_profile(
    model: Model, packaged: Package, table: pl.DataFrame, fresh: pl.DataFrame, tmp_path: Path
) -> None:
    endpoint = Endpoint.of(Predictor(packaged), PredictionLog(tmp_path, "flight-delay"))
    hot = table.drop("late").tail(600).with_columns(temp=pl.col("temp") + 12)
    endpoint.answer(hot.to_dicts())
    endpoint.answer([{"nonsense": 1}] * 300)
    endpoint.close()
    report = drift(packaged, predictions(tmp_path))
    assert report.drifted == ("temp",)
    assert report.prediction is not None
    assert report.prediction.drifted
    same = drift(model, fresh)
    assert same.drifted == ()
    assert same.prediction is not None
    assert not same.prediction.drifted
    assert drift(model, fresh.drop("heavy")).prediction is None
    scored = drift(model, table.head(100), scores=np.full(100, 0.99))
    assert scored.prediction is not None
    assert scored.prediction.drifted


@pytest.fixture(scope="module")
def tagged() -> tuple[Model, pl.DataFrame]:
    """A model of several labels, and rows that it has not seen."""
    asked = case("multilabel")
    return tm.train(asked.build, {}, asked.data, baselines=False), asked.data.test


def test_each_label_of_several_is_watched(tagged: tuple[Model, pl.DataFrame]) -> None:
    model, fresh = tagged
    kept = json.loads(json.dumps(model.profile))["labels"]
    assert list(kept) == list(model.signature.classes)
    assert all(0 < label["share"] < 1 and 0 < label["mean"] < 1 for label in kept.values())
    calm = drift(model, fresh)
    assert [label.column for label in calm.labels] == list(kept)
    assert calm.prediction is None
    scores = tm.predict(model, case("multilabel").data.validation)  # those that the profile is of
    scores[:, 1] = np.clip(scores[:, 1] + 0.4, 0, 1)
    found = drift(model.profile, fresh, scores=scores, columns=[])
    assert [label.drifted for label in found.labels] == [False, True, False]
    assert "the mean went from" in found.labels[1].reasons[0]
    shown = watch_sections.drift(found).body
    assert f"label {found.labels[1].column}" in shown
    with pytest.raises(UsageError, match=r"the answers are not of 3 labels: \(120, 2\)"):
        drift(model.profile, fresh, scores=scores[:, :2])


def test_labels_are_judged_with_all_other_tests(tagged: tuple[Model, pl.DataFrame]) -> None:
    model, fresh = tagged
    one = drift(model, fresh, columns=[]).labels[0]
    among = drift(model, fresh).labels[0]
    assert one.p_value == among.p_value
    assert one.adjusted_p is not None
    assert among.adjusted_p is not None
    assert among.adjusted_p != one.adjusted_p


def test_labels_are_watched_in_the_log(tagged: tuple[Model, pl.DataFrame]) -> None:
    model, fresh = tagged
    scores = tm.predict(model, fresh)
    logged = fresh.select(pl.all().name.prefix("features.")).with_columns(
        request_id=pl.lit("r"), status=pl.lit("answered"), probabilities=pl.Series(scores.tolist())
    )
    assert drift(model.profile, logged).labels == drift(model, fresh).labels


def test_a_report_prints_what_drifted_and_not_every_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    report = drift_between(window(1).with_columns(gone=1), window(2, shift=0.8))
    lines = str(report).splitlines()
    assert lines[0] == "2 of 5 columns drifted: 1,000 rows against 1,000 of the reference"
    (row,) = [line for line in lines if line.startswith("speed")]
    assert "drifted" in row
    assert "the mean went from" in row
    assert "not in the window: gone" in lines
    assert not [line for line in lines if line.startswith("carrier")]
    assert repr(report) == "DriftReport(2 of 5 columns drifted, 1,000 rows against 1,000)"
    assert "its distribution changed" in report._repr_html_()
    assert str(drift_between(window(1), window(2))).startswith("0 of 4 columns drifted: ")
