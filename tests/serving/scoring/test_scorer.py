"""The quick way through whole columns gives what the predictor gives row by row, whatever the columns hold."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from flat_answers import flat_answers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.package import Package
from tidemill.packaging.validator import Policy, Problem, compile_validator
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.columns import as_arrays, check_columns
from tidemill.serving.scoring.scorer import Scorer, _typed_values
from tidemill.training.encoding import encode_columns, fit_encoding

NUMBERS = [None, 0, 1, -1, 2, 100, 300, 2**53 + 1, -(2**62)]
FLOATS = [None, math.nan, 0.0, 1.0, -0.0, 2.5, 99.0, 1e39, -1e39, math.inf, 2.0**60, 0.1]
TEXTS = [None, "", "IAH", "MIA", "1", "True", "x"]
MOMENTS = [None, datetime(2013, 8, 1, 12, 30), datetime(1950, 1, 1), datetime(2262, 1, 1, 0, 0, 0, 1)]
#: What a table may hold: values and the type that they are held in.
HELD: list[tuple[list[Any], Any]] = [
    ([value for value in NUMBERS if value is None or abs(value) < 128], pl.Int8),
    (NUMBERS, pl.Int64),
    ([value for value in NUMBERS if value is None or value >= 0], pl.UInt64),
    (FLOATS, pl.Float64),
    (FLOATS, pl.Float32),
    ([None, True, False], pl.Boolean),
    (TEXTS, pl.String),
    (TEXTS, pl.Categorical),
    (MOMENTS, pl.Datetime("us")),
    (MOMENTS, pl.Datetime("ms")),
    ([None if one is None else one.replace(tzinfo=UTC) for one in MOMENTS], pl.Datetime("us", "UTC")),
    ([None if one is None else one.replace(tzinfo=UTC) for one in MOMENTS], pl.Datetime("us", "America/New_York")),
    ([None, date(2013, 8, 1), date(1901, 2, 28)], pl.Date),
    ([None, timedelta(0), timedelta(seconds=1.5), timedelta(days=-3)], pl.Duration("us")),
    ([None], pl.Null),
]
TYPES = [
    {"type": "int8"}, {"type": "uint8", "minimum": 1, "maximum": 99}, {"type": "int64"}, {"type": "uint64"},
    {"type": "int64", "minimum": 0, "maximum": 300}, {"type": "float64"}, {"type": "float32", "minimum": 0},
    {"type": "float64", "minimum": -0.5, "maximum": 2.5}, {"type": "bool"}, {"type": "string"},
    {"type": "string", "categories": ("IAH", "MIA")}, {"type": "categorical[u32]"},
    {"type": "int64", "semantic": "category"}, {"type": "int64", "semantic": "category", "categories": ("0", "1")},
    {"type": "bool", "semantic": "category", "categories": ("True", "False")}, {"type": "date"},
    {"type": "timestamp[us]"}, {"type": "timestamp[us, UTC]"}, {"type": "duration[us]", "minimum": 0},
]  # fmt: skip


@given(kind=st.sampled_from(TYPES), nullable=st.booleans(), held=st.sampled_from(HELD), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=600)
def test_a_clean_row_is_one_that_the_row_validator_passes_with_the_same_numbers(
    kind: dict[str, Any], nullable: bool, held: tuple[list[Any], Any], seed: int
) -> None:
    column = Column("x", nullable=nullable, **kind)
    signature = Signature(TableSchema((column,)), "regression", "y")
    values, dtype = held
    places = np.random.default_rng(seed).permutation(len(values)).tolist()
    series = pl.Series("x", [values[place] for place in places], dtype, strict=False)
    frame = series.to_frame()
    checked = check_columns(signature, frame)
    validate = compile_validator(signature)
    rows, values = frame.to_dicts(), _typed_values(signature, frame, checked.columns)
    for place in np.flatnonzero(checked.clean):
        warnings: list[str] = []
        typed = validate(rows[place], int(place), warnings)
        assert not isinstance(typed, Problem), (rows[place], typed)
        assert warnings == checked.said(int(place))
        encoding = fit_encoding({"x": ["IAH", "1", "True"]}, signature.inputs)
        mine = encode_columns(as_arrays(checked.columns[[int(place)]]), encoding)
        assert np.array_equal(mine, encode_columns({"x": [typed["x"]]}, encoding), equal_nan=True), rows[place]
        assert repr(values[place]) == repr((typed["x"],)), rows[place]


def test_a_row_that_the_validator_passes_with_a_word_is_clean_with_that_word() -> None:
    """Rows unlike the training rows are many when the world has moved: they must not go row by row."""
    columns = (
        Column("at", "timestamp[us, UTC]"), Column("dest", "string", categories=("IAH",)),
        Column("distance", "float64", minimum=0, maximum=10),
    )  # fmt: skip
    signature = Signature(TableSchema(columns), "regression", "y")
    frame = pl.DataFrame(
        {"at": [datetime(2013, 1, 1), None, None], "dest": ["LAX", "IAH", "LAX"], "distance": [11.0, -1.0, math.inf]}
    )
    checked, validate = check_columns(signature, frame), compile_validator(signature)
    assert checked.clean.tolist() == [True, True, False]
    for place, row in enumerate(frame.to_dicts()[:2]):
        warnings: list[str] = []
        validate(row, place, warnings)
        assert checked.said(place) == warnings
        assert len(warnings) == (3, 1)[place]
    strict = check_columns(signature, frame, Policy(out_of_range="reject", unseen_category="ignore"))
    assert (strict.clean.tolist(), check_columns(signature, frame, Policy("ignore", "ignore")).said(0)) == (
        [False, False, False], ["column 'at' has no time zone and is read as UTC"],
    )  # fmt: skip


def test_what_is_usual_is_clean() -> None:
    """A check that knows nothing would be right, and slow."""
    usual = [
        ({"type": "int64"}, [1, None], pl.Int32), ({"type": "int64"}, [1.0, math.nan], pl.Float64),
        ({"type": "float64", "minimum": 0}, [0, None], pl.Int64), ({"type": "float32"}, [0.5, None], pl.Float32),
        ({"type": "string", "categories": ("a",)}, ["a", None], pl.String),
        ({"type": "bool"}, [True, None], pl.Boolean),
        ({"type": "bool"}, [1, 0], pl.Int8),
        ({"type": "int8", "semantic": "category", "categories": ("1",)}, [1], pl.Int8),
        ({"type": "timestamp[us, UTC]"}, [datetime(2013, 1, 1)], pl.Datetime("us")),
        ({"type": "date"}, [date(2013, 1, 1), None], pl.Date),
        ({"type": "duration[us]"}, [timedelta(seconds=1), None], pl.Duration("us")),
    ]  # fmt: skip
    for kind, values, dtype in usual:
        signature = Signature(TableSchema((Column("x", **kind),)), "regression", "y")
        assert check_columns(signature, pl.DataFrame({"x": values}, schema={"x": dtype})).clean.all(), kind


@pytest.fixture(scope="module")
def scorer(packaged: Package) -> Scorer:
    return Scorer(Predictor(packaged))


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_table_is_answered_as_its_rows_are(packaged: Package, scorer: Scorer, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))

    def column(values: list[Any], kind: Any) -> pl.Series:
        return pl.Series(data.draw(st.lists(st.sampled_from(values), min_size=rows, max_size=rows)), dtype=kind)

    frame = pl.DataFrame(
        {
            "carrier": column([None, "UA", "AA", "Ü1", "never seen"], pl.String),
            "distance": column([None, 80.0, 500.0, 2.5, 1e6, math.nan], pl.Float64),
            "temp": column([None, math.nan, 15.5, 20.0, -300.0, math.inf], pl.Float64),
            "heavy": column([None, 1, 0, 1, 2], pl.Int8),
            "sched_dep": column([None, datetime(2013, 5, 5, 5), datetime(2013, 12, 5)], pl.Datetime("ms")),
        }
    )
    told = Predictor(packaged).predict(frame.to_dicts())
    expected = flat_answers(scorer.signature, told)
    found = scorer.score(frame)
    assert found.drop("probability").equals(expected.drop("probability"))
    close = (found["probability"] - expected["probability"]).abs().max()
    assert close is None or close < 1e-6  # another engine may answer few rows
    assert found["probability"].is_null().equals(expected["probability"].is_null())


def test_an_engine_that_fails_on_one_row_fails_that_row_only(packaged: Package, table: pl.DataFrame) -> None:
    scorer = Scorer(Predictor(packaged))
    engine = scorer.predictor._engines[scorer.predictor._online]

    def fragile(matrix: Any) -> Any:
        if (matrix[:, 1] == 4242).any():
            raise RuntimeError("no")
        return engine(matrix)

    scorer.predictor._engines = dict.fromkeys(("onnx", "native"), fragile)
    frame = table.head(50).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(4242).otherwise("distance").alias("distance")
    )
    found = scorer.score(frame)
    assert found["error"].is_not_null().arg_true().to_list() == [7]
    assert "no" in found["error"][7]
    assert found["prediction"].null_count() == 1


def test_text_that_is_no_number_refuses_its_row_with_the_words_of_the_validator(scorer: Scorer, table: Any) -> None:
    frame = table.head(3).with_columns(pl.Series("temp", ["10.5", "warm", None]))
    assert "takes a number" in scorer.score(frame)["error"][1]


DAY = 86_400_000_000
#: Days that Polars has and Python has not, or not in each zone, since the epoch.
BEYOND = [-719_163, 2_932_897, -1_200_000, 6_000_000, 100_000_000]


@pytest.mark.parametrize(
    "kind", [pl.Date(), pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Datetime("us", "Asia/Tokyo")]
)
@pytest.mark.parametrize("as_lists", [False, True])
def test_a_moment_that_python_does_not_have_spoils_its_own_row_only(
    packaged: Package, kind: Any, *, as_lists: bool
) -> None:
    """A Parquet file with one of them, as a mark for "never", would get no answer at all."""
    predictor = Predictor(packaged)
    ticks = DAY // 1000 if kind == pl.Datetime("ms") else DAY if isinstance(kind, pl.Datetime) else 1
    held = pl.Series("sched_dep", [day * ticks for day in (*BEYOND, 0, 16_000)], dtype=pl.Int64)
    moments = (held.cast(pl.Int32) if kind == pl.Date() else held).cast(kind)
    frame = pl.DataFrame([predictor.example()] * len(held)).with_columns(moments).select(predictor.columns)
    scorer = Scorer(predictor)
    if as_lists:
        scorer._rules = None  # as with a contract that only the row validator knows
    told = scorer.judge(frame).answer(predictor.decide)
    assert ["error" in one for one in told.predictions] == [True] * len(BEYOND) + [False, False]
    assert {problem.column for problem in told.problems} == {"sched_dep"}
    assert [values is None for values in told.values] == [True] * len(BEYOND) + [False, False]


@pytest.mark.parametrize("day", [-719_162, 2_932_896])
def test_the_first_and_the_last_day_of_python_are_answered(packaged: Package, day: int) -> None:
    predictor = Predictor(packaged)
    moments = pl.Series("sched_dep", [day * DAY], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    frame = pl.DataFrame([predictor.example()]).with_columns(moments).select(predictor.columns)
    told = Scorer(predictor).judge(frame).answer(predictor.decide)
    assert told.predictions == predictor.answer(frame.to_dicts()).predictions
    assert told.problems == []
