"""The defects that explore names are the ones that would have spoilt a model; a false alarm costs trust."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.explore import explore

RNG = np.random.default_rng(0)
ROWS = 500
HOUR = timedelta(hours=1)
START = datetime(2013, 1, 1, tzinfo=UTC)


def clean_table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "speed": RNG.gamma(4, 3, ROWS),
            "count": RNG.poisson(3, ROWS),
            "delay": RNG.standard_t(3, ROWS) * 20,
            "kind": RNG.choice(["a", "b", "c"], ROWS),
            "when": [START + HOUR * i for i in range(ROWS)],
            "hour": [(i % 24) for i in range(ROWS)],
            "flag": RNG.random(ROWS) > 0.5,
        }
    )


def kinds(table: pl.DataFrame, **options) -> dict[str, object]:
    return {f"{found.kind}:{found.column}": found for found in explore(table, **options).findings}


def test_a_clean_table_raises_no_alarm():
    assert kinds(clean_table(), target="flag") == {}


def test_each_injected_defect_is_found():
    table = clean_table().with_columns(
        speed=pl.when(pl.int_range(pl.len()) == 7).then(1048.0).otherwise("speed"),
        below=pl.when(pl.int_range(pl.len()) == 7).then(-9999).otherwise(pl.int_range(pl.len()) % 40),
        empty=pl.when(pl.int_range(pl.len()) < 100).then("speed"),
        fixed=pl.lit("x"),
        id=pl.int_range(pl.len()),
        clock=pl.Series([(i % 24) * 100 + i % 60 for i in range(ROWS - 1)] + [2400]),
        token=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("N/A")).otherwise("kind"),
        mixed=pl.when(pl.int_range(pl.len()) % 9 == 0)
        .then(pl.lit("x12"))
        .otherwise(pl.int_range(pl.len()).cast(pl.String)),
        damaged=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("ZÃ¼rich")).otherwise(pl.lit("Bern")),
        spelt=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("turbo fan ")).otherwise(pl.lit("Turbo-Fan")),
        label=pl.when(pl.int_range(pl.len()) % 5 > 0).then("flag"),
        told=pl.col("flag").cast(pl.Int64) + pl.Series(RNG.normal(0, 0.2, ROWS)),
    )
    found = kinds(table, target="label")
    expected = {
        "impossible_value:speed", "sentinel:below", "mostly_missing:empty",
        "constant:fixed", "id_like:id", "clock_as_number:clock", "clock_2400:clock",
        "null_token:token", "mixed_types:mixed", "encoding_damage:damaged",
        "spelling_variants:spelt", "missing_labels:label", "suspiciously_predictive:told",
        "suspiciously_predictive:flag",
    }  # fmt: skip
    assert set(found) == expected
    assert found["impossible_value:speed"].examples == (1048.0,)
    assert found["clock_2400:clock"].count == 1
    assert found["missing_labels:label"].count == 100
    assert found["null_token:token"].suggestion.endswith("['N/A'].")


def test_clocks_of_different_zones_are_told_apart_from_daylight_saving():
    times = pl.Series([START + HOUR * i for i in range(24 * 300)])
    local = times.dt.convert_time_zone("America/New_York").dt.hour().cast(pl.Int64)
    found = kinds(pl.DataFrame({"utc": times, "hour": local}))["hour_mismatch:utc"]
    assert "+4 or +5 h" in found.explanation
    assert "daylight saving" in found.explanation
    fixed = kinds(pl.DataFrame({"utc": times, "hour": (times.dt.hour().cast(pl.Int64) + 2) % 24}))["hour_mismatch:utc"]
    assert "-2 h" in fixed.explanation
    assert "daylight" not in fixed.explanation


def test_orphans_are_found_without_being_told_and_with():
    flights = pl.DataFrame(
        {"dest": ["IAH"] * 6 + ["MIA", "EWR", "JFK", "SJU"], "tail": ["N1", None] * 5, "n": range(10)}
    )
    airports = pl.DataFrame({"faa": ["IAH", "MIA", "EWR", "JFK"], "name": ["a", "b", "c", "d"]})
    found = kinds(flights, references={"airports": airports})
    assert list(found) == ["orphan_keys:dest", "mostly_missing:tail", "constant:tail"]
    assert (found["orphan_keys:dest"].count, found["orphan_keys:dest"].examples) == (1, ("SJU",))
    told = kinds(flights, references={"airports": airports}, keys={"tail": "airports.faa"})
    assert told["orphan_keys:tail"].count == 5
    assert "missing in 5 more" in told["orphan_keys:tail"].explanation
    with pytest.raises(UsageError, match=r"TABLE\.COLUMN"):
        explore(flights, references={"airports": airports}, keys={"tail": "planes.faa"})


def test_repeated_rows_are_counted():
    table = pl.DataFrame({"a": [1, 1, 1, 2], "b": ["x", "x", "x", None]})
    assert kinds(table)["duplicate_rows:*"].count == 2


def test_the_profile_is_right_and_json_able():
    values = [float(v) for v in RNG.integers(-50, 50, 999)] + [None, float("nan")]
    table = pl.DataFrame({"x": values, "t": [START] * 1001, "k": ["a"] * 900 + [None] * 101})
    result = explore(table)
    json.dumps(result.to_dict())
    x, t, k = result.columns
    series = pl.Series(values).fill_nan(None).drop_nulls()
    assert (x.nulls, x.distinct, x.minimum, x.maximum) == (2, series.n_unique(), series.min(), series.max())
    assert x.mean == pytest.approx(series.mean())
    assert x.quantiles["0.5"] == series.quantile(0.5, "nearest")
    assert sum(x.histogram["counts"]) == 999
    assert t.minimum == "2013-01-01T00:00:00+00:00"
    assert (k.top, k.nulls) == ((("a", 900),), 101)


@pytest.mark.parametrize(
    "table", [pl.DataFrame({"a": []}), pl.DataFrame({"a": [None, None]}), pl.DataFrame({"a": [[1], [2]]})]
)
def test_odd_tables_pass(table):
    assert explore(table).rows == table.height


def test_a_target_that_is_not_there_is_named():
    with pytest.raises(SchemaError, match="explore needs columns"):
        explore(pl.DataFrame({"a": [1]}), target="b")


def test_one_row_is_not_called_rows():
    table = pl.DataFrame(
        {"id": [*range(60), 59], "wind": [float(5 + n % 20) for n in range(58)] + [-7.0, 9999.0, 9999.0]}
    )
    told = " ".join(finding.explanation for finding in explore(table).findings)
    assert "in 1 row," in told
    assert "1 row repeats another row" in told
    assert "1 rows" not in told


@pytest.mark.parametrize("labels", [[["a"], ["b"]], [["a", "b"], []], [{"x": 1}, {"x": 2}], [b"a", b"", b"x"]])
def test_a_target_that_is_no_class_is_explored(labels):
    table = pl.DataFrame({"n": range(60), "labels": (labels * 30)[:60]})
    assert explore(table, target="labels").rows == 60


def test_memory_is_given_as_people_write_it():
    table = pl.LazyFrame({"a": [1, 2, 3]})
    assert explore(table, memory="1.5 GiB") == explore(table, memory=3 * 2**29)
    with pytest.raises(UsageError, match="not a size: 'much'"):
        explore(table, memory="much")
