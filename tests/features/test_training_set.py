"""The training set must refuse what cannot be known at prediction time, and say what it would have been worth."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from tidemill.core.errors import LeakError, UsageError
from tidemill.data.split import by_share, by_time
from tidemill.engine.step import step
from tidemill.features.aggregations import count, mean
from tidemill.features.training_set import training_set
from tidemill.features.view import FeatureView

ROWS = 60
TRIPS = pl.DataFrame(
    {
        "dep": [datetime(2013, 1, 1) + timedelta(hours=12 * i) for i in range(ROWS)],
        "carrier": ["UA", "B6"] * (ROWS // 2),
        "flight": range(ROWS),
        "delay": [(i * 7) % 50 for i in range(ROWS)],
        "late": [(i * 7) % 50 > 25 for i in range(ROWS)],
    }
).with_columns(left=pl.col("dep") + pl.duration(minutes="delay"), arrived=pl.col("dep") + pl.duration(hours=6))
DELAYS = FeatureView(
    "delays", "arrivals", "carrier", "arrived", {"n": count(over="2d"), "mean": mean("delay", over="2d")}
)
KNOWN = {"delay": "left", "late": "arrived"}
SPLIT = by_time("2013-01-15", "2013-01-22")


def test_a_leaking_column_is_refused_with_evidence():
    with pytest.raises(LeakError, match=r"'delay' is known at left .*AUC 1\.00.*drop=\['delay'\]") as caught:
        training_set(TRIPS, target="late", split=SPLIT, at="dep - 2h", entity="flight", availability=KNOWN)
    assert "100.0% of rows" in str(caught.value)


def test_dropped_columns_are_gone_and_recorded_and_allowed_ones_stay():
    options = {"target": "late", "split": SPLIT, "at": "dep - 2h", "entity": "flight", "availability": KNOWN}
    dropped = training_set(TRIPS, drop=["delay"], **options)
    assert dropped.spec.features == ("carrier",)
    assert dropped.spec.dropped == {"delay": "known only at left"}
    assert "delay" not in dropped.train.columns
    allowed = training_set(TRIPS, allow=["delay"], **options)
    assert allowed.spec.features == ("carrier", "delay")
    assert allowed.spec.availability == {"delay": "left"}
    assert allowed.spec.undeclared == ("carrier",)
    chosen = training_set(TRIPS, columns=["carrier"], **options)
    assert chosen.spec.features == ("carrier",)
    assert "delay" in chosen.test.columns  # kept for slices and reports, not learned from


def test_views_are_joined_as_of_the_prediction_and_never_leak():
    parts = training_set(
        TRIPS, target="late", split=SPLIT, at="dep - 2h", features=[DELAYS], frames={"delays": TRIPS},
        drop=["delay"], availability=KNOWN,
    )  # fmt: skip
    assert parts.spec.features == ("carrier", "flight", "delays__n", "delays__mean")
    assert parts.spec.time == "prediction_time"
    assert parts.train["delays__n"].to_list()[:6] == [0, 0, 1, 1, 2, 2]
    assert sum(parts.spec.rows.values()) == ROWS


def test_the_events_of_a_view_come_from_a_step_a_frame_or_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TRIPS.write_parquet("arrivals.parquet")

    @step
    def arrivals() -> pl.DataFrame:
        return TRIPS

    options = {"target": "late", "split": SPLIT, "at": "dep", "drop": ["delay"], "availability": KNOWN}
    view = {"entity": "carrier", "event_time": "arrived", "features": {"n": count(over="2d")}}
    parts = training_set(
        TRIPS,
        features=[
            FeatureView("a", arrivals, **view), FeatureView("b", TRIPS, **view),
            FeatureView("c", "arrivals.parquet", **view),
        ],
        **options,
    )  # fmt: skip
    assert parts.test["a__n"].to_list() == parts.test["b__n"].to_list() == parts.test["c__n"].to_list()


def test_misuse_is_named():
    with pytest.raises(UsageError, match="moment of prediction"):
        training_set(TRIPS, target="late", split=SPLIT)
    with pytest.raises(UsageError, match="also target"):
        training_set(TRIPS, target="late", split=SPLIT, at="dep", columns=["late"], availability={})
    with pytest.raises(UsageError, match="same name"):
        training_set(
            TRIPS, target="late", split=by_share(), at="dep", features=[DELAYS, DELAYS], frames={"delays": TRIPS}
        )
    with pytest.raises(UsageError, match="has no features"):
        FeatureView("v", TRIPS, "k", "t", {})
    with pytest.raises(UsageError, match="not an aggregation"):
        FeatureView("v", TRIPS, "k", "t", {"a": "mean"})
    with pytest.raises(UsageError, match="longer than nothing"):
        count(over="0d")
