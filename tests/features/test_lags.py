"""If these fail, a forecast is praised for having read the future."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import DataError, SchemaError, UsageError

ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 25), st.none() | st.integers(-50, 50).map(lambda n: n / 3)),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:2],
)


def naive(rows, horizon, lag, window, season):
    """Row by row, by looking at every other row."""
    for shop, day, _ in rows:
        past = [(d, v) for s, d, v in rows if s == shop and d <= day - horizon and v is not None]
        back = season
        while day - back > day - horizon:
            back += season
        inside = [v for d, v in past if d > day - horizon - window]
        yield (
            max(past)[1] if past else None,
            dict(past).get(day - lag),
            sum(inside) / len(inside) if inside else None,
            dict(past).get(day - back),
        )


@settings(deadline=None, max_examples=120)
@given(ROWS, st.integers(1, 4), st.integers(0, 5), st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_nothing_newer_than_the_horizon_is_seen(rows, horizon, more, window, season, as_dates):
    lag = horizon + more
    table = pl.DataFrame(rows, schema={"shop": pl.String, "day": pl.Int64, "sold": pl.Float64}, orient="row")
    gaps = {"horizon": horizon, "lags": [lag], "windows": [window], "season": season}
    names = (lag, window)
    if as_dates:
        table = table.with_columns(day=pl.date(2024, 1, 1) + pl.duration(days="day"))
        gaps = {"horizon": f"{horizon}d", "lags": [f"{lag}d"], "windows": [f"{window}d"], "season": f"{season}d"}
        names = (f"{lag}d", f"{window}d")
    try:
        found = tm.lagged(table, "sold", time="day", series="shop", **gaps)
    except DataError as error:
        assert "not evenly spaced" in str(error)  # noqa: PT017
        return
    assert found.drop(c for c in found.columns if "__" in c).equals(table)
    wanted = [f"sold__{what}" for what in ("last", f"lag_{names[0]}", f"mean_{names[1]}", "season")]
    for got, expected in zip(found.select(wanted).rows(), naive(rows, horizon, lag, window, season), strict=True):
        assert got == pytest.approx(expected)


def days(values, start=date(2024, 1, 1)):
    when = [start + timedelta(days=place) for place in range(len(values))]
    return pl.DataFrame({"day": when, "sold": values})


def test_months_are_those_of_the_calendar():
    months = pl.date_range(date(2023, 1, 1), date(2024, 6, 1), "1mo", eager=True)
    table = pl.DataFrame({"month": months, "sold": range(18)})
    found = tm.lagged(table, "sold", time="month", horizon="1mo", lags=["12mo"], season="1y")
    assert found["sold__lag_12mo"].to_list() == [None] * 12 + [0, 1, 2, 3, 4, 5]
    assert found["sold__season"].to_list() == found["sold__lag_12mo"].to_list()
    assert found["sold__last"].to_list() == [None, *range(17)]


def test_rows_of_the_future_get_what_is_known():
    found = tm.lagged(days([1.0, 2.0, 3.0, None, None]), "sold", time="day", horizon="2d", lags=["3d"], windows=["7d"])
    assert found["sold__last"].to_list() == [None, None, 1, 2, 3]
    assert found["sold__mean_7d"].to_list() == [None, None, 1, 1.5, 2]


def test_a_single_gap_needs_no_list():
    table = days([1.0, 2.0, 3.0])
    one = tm.lagged(table, "sold", time="day", horizon="1d", lags="2d", windows="2d")
    assert one.equals(tm.lagged(table, "sold", time="day", horizon="1d", lags=["2d"], windows=["2d"]))


def test_a_gap_is_a_missing_value_and_no_shifted_one():
    table = days([float(value) for value in range(12)]).filter(pl.col("day") != date(2024, 1, 5))
    found = tm.lagged(table, "sold", time="day", horizon="1d", lags=["2d"])
    assert found.filter(pl.col("day") == date(2024, 1, 7))["sold__lag_2d"].to_list() == [None]
    assert found.filter(pl.col("day") == date(2024, 1, 8))["sold__lag_2d"].to_list() == [5.0]


@pytest.mark.parametrize(
    ("table", "options", "error", "words"),
    [
        (days([1.0, 2.0]), {"horizon": "2d", "lags": ["1d"]}, UsageError, "shorter than the horizon"),
        (days([1.0, 2.0]), {"horizon": "soon"}, UsageError, "not a length of time: 'soon'"),
        (days([1.0, 2.0]), {"horizon": 1}, UsageError, "not a length of time"),
        (days([1.0, 2.0]), {"horizon": "6h"}, UsageError, "less than a day"),
        (pl.concat([days([1.0]), days([2.0])]), {"horizon": "1d"}, DataError, "1 times occur more than once.*series="),
        (days([1.0, float("inf")]), {"horizon": "1d"}, DataError, "infinite"),
        (days([1.0, 2.0]).with_columns(day=pl.lit("x")), {"horizon": "1d"}, SchemaError, "'day' is string"),
        (days(["a", "b"]), {"horizon": "1d"}, SchemaError, "a forecast is of a number"),
        (days([1.0, 2.0]).with_columns(sold__last=1), {"horizon": "1d"}, UsageError, "names already"),
        (days([1.0, 2.0]).with_columns(day=pl.lit(None, dtype=pl.Date)), {"horizon": "1d"}, DataError, "no time"),
    ],
)
def test_what_cannot_be_lagged_is_said(table, options, error, words):
    with pytest.raises(error, match=words):
        tm.lagged(table, "sold", time="day", **options)


def test_times_without_a_grid_are_refused_for_lags_and_met_by_windows():
    draw = np.random.default_rng(0)
    when = sorted(datetime(2024, 1, 1) + timedelta(seconds=int(s)) for s in draw.integers(0, 10**6, 50))
    table = pl.DataFrame({"when": when, "sold": draw.random(50)})
    with pytest.raises(DataError, match=r"lag '1h' finds a value for 0 of the \d+ rows.*not evenly spaced"):
        tm.lagged(table, "sold", time="when", horizon="1h", lags=["1h"])
    assert tm.lagged(table, "sold", time="when", horizon="1h", windows=["1d"])["sold__mean_1d"].null_count() < 25
