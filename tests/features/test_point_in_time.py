"""Training rows must see exactly what was known at their moment: more is a leak, less is lost signal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.features.aggregations import count, last, maximum, mean, minimum, share, total
from tidemill.features.point_in_time import point_in_time
from tidemill.features.view import FeatureView

START = datetime(2013, 1, 1)
FEATURES = {
    "events": count(over="5h"),
    "values": count("v", over="5h"),
    "sum": total("v", over="5h"),
    "mean": mean("v", over="12h"),
    "min": minimum("v", over="3h"),
    "max": maximum("v", over="5h"),
    "last": last("v", over="5h"),
    "late": share("flag", over="5h"),
    "ever": count(),
    "last_ever": last("v"),
}


def hours(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


def brute_force(
    labels: pl.DataFrame, events: pl.DataFrame, view: FeatureView, ttl: int | None, exact: bool
) -> list[dict]:
    rows = []
    for label in labels.iter_rows(named=True):
        row = {}
        for name, item in view.features.items():
            window = int(item.over[:-1]) if item.over else ttl
            row[name] = None
            if label["k"] is None or label["t"] is None:
                continue
            active = [
                (event["e"], event["a"], index, event)
                for index, event in enumerate(events.iter_rows(named=True))
                if event["k"] == label["k"]
                and event["e"] is not None
                and event["a"] is not None
                and (event["a"] <= label["t"] if exact else event["a"] < label["t"])
                and (window is None or event["e"] > label["t"] - timedelta(hours=window))
            ]
            active.sort(key=lambda entry: entry[:3])
            column = item.column
            found = [event[column] for *_, event in active if column and event[column] is not None]
            if item.kind == "count":
                row[name] = len(found) if column else len(active)
            elif item.kind == "sum":
                row[name] = float(total_of(found))
            elif found:
                row[name] = {
                    "mean": lambda v: total_of(v) / len(v),
                    "share": lambda v: total_of(v) / len(v),
                    "min": min,
                    "max": max,
                    "last": lambda v: v[-1],
                }[item.kind](found)
        rows.append(row)
    return rows


def total_of(values):
    total = 0
    for value in values:
        total += value
    return total


keys = st.sampled_from(["a", "b", "c", None])
moments = st.one_of(st.none(), st.integers(0, 30))
labels_ = st.lists(st.tuples(keys, moments), max_size=25)
events_ = st.lists(
    st.tuples(
        keys, moments, st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.integers(-5, 5)),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(labels_, events_, st.sampled_from([None, 4]), st.booleans())
def test_equals_the_quadratic_definition(label_rows, event_rows, ttl, exact):
    labels = pl.DataFrame(
        {"k": [k for k, _ in label_rows], "t": [hours(t) for _, t in label_rows], "row": range(len(label_rows))},
        schema={"k": pl.String, "t": pl.Datetime("us"), "row": pl.Int64},
    )
    known = [None if e is None or lag is None else e + lag for _, e, lag, _, _ in event_rows]
    events = pl.DataFrame(
        {
            "k": [row[0] for row in event_rows],
            "e": [hours(row[1]) for row in event_rows],
            "a": [hours(a) for a in known],
            "v": [row[3] for row in event_rows],
            "flag": [row[4] for row in event_rows],
        },
        schema={"k": pl.String, "e": pl.Datetime("us"), "a": pl.Datetime("us"), "v": pl.Int64, "flag": pl.Boolean},
    )
    view = FeatureView("f", "events", "k", "e", FEATURES, available_at="a")
    out = point_in_time(labels, [(view, events)], "t", ttl=None if ttl is None else f"{ttl}h", allow_exact=exact)
    assert out.select("k", "t", "row").equals(labels)  # every row once, in its place
    for row, expected in zip(
        out.rename({f"f__{name}": name for name in FEATURES}).select(list(FEATURES)).iter_rows(named=True),
        brute_force(labels, events, view, ttl, exact),
        strict=True,
    ):
        assert row == pytest.approx(expected)


def test_an_event_known_later_does_not_count_until_then():
    view = FeatureView("v", "e", "k", "happened", {"n": count(over="10h"), "x": last("x", over="10h")}, "known")
    events = pl.DataFrame({"k": ["a"], "happened": [hours(1)], "known": [hours(6)], "x": ["text"]})
    labels = pl.DataFrame({"k": ["a"] * 4, "t": [hours(5), hours(6), hours(10), hours(11)]})
    out = point_in_time(labels, [(view, events)], "t")
    assert out["v__n"].to_list() == [0, 1, 1, 0]
    assert out["v__x"].to_list() == [None, "text", "text", None]


def test_a_future_only_or_stale_only_row_is_kept_with_missing_features():
    view = FeatureView("v", "e", "k", "t", {"x": mean("x", over="2h")})
    events = pl.DataFrame(
        {"k": ["fresh", "future", "stale"], "t": [hours(9), hours(20), hours(1)], "x": [1.0, 2.0, 3.0]}
    )
    labels = pl.DataFrame({"k": ["stale", "nobody", "future", "fresh"], "t": [hours(10)] * 4})
    assert point_in_time(labels, [(view, events)], "t")["v__x"].to_list() == [None, None, None, 1.0]


def test_a_prediction_time_before_the_event_is_honoured():
    view = FeatureView("v", "e", "k", "t", {"n": count()})
    events = pl.DataFrame({"k": ["a", "a"], "t": [hours(7), hours(9)]})
    labels = pl.DataFrame({"k": ["a"], "dep": [hours(10)]})
    assert point_in_time(labels, [(view, events)], "dep - 2h")["v__n"].to_list() == [1]


def test_large_values_leave_nothing_behind():
    view = FeatureView("v", "e", "k", "t", {"s": total("x", over="1h")})
    events = pl.DataFrame({"k": ["a"] * 3, "t": [hours(1), hours(5), hours(9)], "x": [1e12, 0.1, 0.3]})
    labels = pl.DataFrame({"k": ["a"] * 3, "t": [hours(5), hours(7), hours(9)]})
    assert point_in_time(labels, [(view, events)], "t")["v__s"].to_list() == pytest.approx([0.1, 0.0, 0.3], abs=1e-5)


def test_several_keys_and_none_and_time_zones():
    pair = FeatureView("pair", "e", ("k", "m"), "t", {"n": count()})
    everything = FeatureView("all", "e", (), "t", {"n": count()})
    events = pl.DataFrame({"k": ["a", "a", "b"], "m": [1, 2, 1], "t": [hours(1)] * 3}).with_columns(
        pl.col("t").dt.replace_time_zone("UTC")
    )
    labels = pl.DataFrame({"k": ["a", "b"], "m": [1, 2], "t": [datetime(2013, 1, 1, 2, tzinfo=UTC)] * 2}).with_columns(
        pl.col("t").dt.convert_time_zone("America/New_York")
    )
    out = point_in_time(labels, [(pair, events), (everything, events)], "t")
    assert out["pair__n"].to_list() == [1, 0]
    assert out["all__n"].to_list() == [3, 3]


def test_misfits_are_named():
    view = FeatureView("v", "e", "k", "t", {"n": count()})
    events = pl.DataFrame({"k": ["a"], "t": [hours(1)]})
    aware = pl.DataFrame({"k": ["a"], "t": [datetime(2013, 1, 1, tzinfo=UTC)]})
    with pytest.raises(SchemaError, match="with and without a zone"):
        point_in_time(aware, [(view, events)], "t")
    with pytest.raises(SchemaError, match="differs in type"):
        point_in_time(pl.DataFrame({"k": [1], "t": [hours(1)]}), [(view, events)], "t")
    with pytest.raises(SchemaError, match="does not have"):
        point_in_time(pl.DataFrame({"t": [hours(1)]}), [(view, events)], "t")
    with pytest.raises(UsageError, match="exist already"):
        point_in_time(pl.DataFrame({"k": ["a"], "t": [hours(1)]}), [(view, events), (view, events)], "t")
    infinite = FeatureView("v", "e", "k", "t", {"s": total("x")})
    with pytest.raises(DataError, match="infinite"):
        point_in_time(events, [(infinite, events.with_columns(x=pl.lit(float("inf"))))], "t")
    text = FeatureView("v", "e", "k", "t", {"s": total("x")})
    with pytest.raises(SchemaError, match="needs numbers"):
        point_in_time(events, [(text, events.with_columns(x=pl.lit("1")))], "t")


def test_empty_tables_pass_through():
    view = FeatureView("v", "e", "k", "t", FEATURES | {"max": maximum("v", over="1h")})
    events = pl.DataFrame(schema={"k": pl.String, "t": pl.Datetime("us"), "v": pl.Float64, "flag": pl.Boolean})
    labels = pl.DataFrame({"k": ["a"], "t": [hours(1)]})
    assert point_in_time(labels, [(view, events)], "t").height == 1
    assert point_in_time(labels.clear(), [(view, events)], "t").height == 0


def test_times_too_far_apart_for_one_number_are_ranked():
    view = FeatureView("v", "e", "k", "t", {"n": count(over="10h")})
    names = [f"k{i}" for i in range(40)]
    events = pl.DataFrame(
        {"k": names, "t": [datetime(1, 1, 1, 1) if i % 2 else datetime(9999, 1, 1, 1) for i in range(40)]}
    )
    labels = events.with_columns(t=pl.col("t") + pl.duration(hours=pl.int_range(pl.len()) % 20))
    out = point_in_time(labels.reverse(), [(view, events)], "t").reverse()
    assert out["v__n"].to_list() == [int(i % 20 < 10) for i in range(40)]
