"""If these fail, a model answers differently online than it did in training."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidRequestError, SchemaError
from tidemill.core.schema import Column, TableSchema
from tidemill.training.encoding import encode_columns, fit_encoding, matrix_names
from tidemill.training.row_encoding import encode_row, row_encoder

SCHEMA = TableSchema(
    (
        Column("distance", "int64"),
        Column("carrier", "string"),
        Column("heavy", "bool"),
        Column("sched_dep", "timestamp[us, UTC]"),
        Column("flown", "duration[us]"),
        Column("gate", "int8", semantic="category"),
    )
)
ROWS = [
    {
        "distance": 719,
        "carrier": "UA",
        "heavy": True,
        "sched_dep": datetime(2013, 8, 5, 14, 30, tzinfo=UTC),
        "flown": timedelta(minutes=2),
        "gate": 3,
    },
    {"distance": None, "carrier": None, "heavy": None, "sched_dep": None, "flown": None, "gate": None},
    {
        "distance": 2.5,
        "carrier": "B6",
        "heavy": False,
        "sched_dep": datetime(1969, 12, 31, 23, 0, tzinfo=UTC),
        "flown": timedelta(0),
        "gate": 3,
    },
]
COLUMNS = {name: [row[name] for row in ROWS] for name in SCHEMA.names}


def test_every_kind_of_column_becomes_the_numbers_it_promises():
    encoding = fit_encoding(COLUMNS, SCHEMA)
    names = matrix_names(encoding)
    assert names == (
        "distance",
        "carrier",
        "heavy",
        "sched_dep.hour",
        "sched_dep.weekday",
        "sched_dep.month",
        "flown",
        "gate",
    )
    nan = float("nan")
    np.testing.assert_array_equal(
        encode_columns(COLUMNS, encoding),
        np.array(
            [[719, 1, 1, 14.5, 0, 8, 120, 0], [nan] * 8, [2.5, 0, 0, 23, 2, 12, 0, 0]],
            dtype=np.float32,
        ),
    )


def test_an_encoding_survives_json_and_one_row_equals_many():
    encoding = tuple(json.loads(json.dumps(fit_encoding(COLUMNS, SCHEMA))))
    encode = row_encoder(encoding)
    many = encode_columns(COLUMNS, encoding)
    for row, expected in zip(ROWS, many, strict=True):
        np.testing.assert_array_equal(encode(row)[0], expected)
        np.testing.assert_array_equal(encode_row(row, encoding)[0], expected)


value_rows = st.fixed_dictionaries(
    {
        "distance": st.none() | st.integers(-(10**6), 10**6) | st.floats(allow_infinity=False, width=32),
        "carrier": st.none() | st.sampled_from(["UA", "B6", "never seen", ""]),
        "heavy": st.none() | st.booleans(),
        "sched_dep": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        "flown": st.none() | st.timedeltas(timedelta(0), timedelta(days=3)),
        "gate": st.none() | st.integers(0, 5),
    }
)


@given(st.lists(value_rows, min_size=1, max_size=8))
def test_rows_and_columns_never_disagree(rows):
    encoding = fit_encoding(COLUMNS, SCHEMA)
    many = encode_columns({name: [row[name] for row in rows] for name in SCHEMA.names}, encoding)
    encode = row_encoder(encoding)
    np.testing.assert_array_equal(np.concatenate([encode(row) for row in rows]), many)


plain_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(),
    st.sampled_from([1e39, -1e300, 5e-324, 2**24 + 1]),
    st.floats(width=32).map(np.float64), st.integers(-9, 9).map(np.int64),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@given(st.lists(st.tuples(plain_values, plain_values), min_size=1, max_size=4))
def test_rows_of_nothing_but_numbers_are_encoded_as_columns_are(rows):
    encoding = tuple({"name": name, "column": name, "kind": "number"} for name in ("a", "b"))
    many = encode_columns({"a": [a for a, _ in rows], "b": [b for _, b in rows]}, encoding)
    encode = row_encoder(encoding)
    np.testing.assert_array_equal(np.concatenate([encode({"a": a, "b": b}) for a, b in rows]), many)
    assert all(encode({"a": a, "b": b}).flags.writeable for a, b in rows)  # estimators may work in place


def test_many_rows_are_encoded_to_the_last():
    columns = {"a": np.arange(10_000.0), "b": -np.arange(10_000.0)}
    encoding = fit_encoding(columns, TableSchema((Column("a", "float64"), Column("b", "float64"))))
    np.testing.assert_array_equal(encode_columns(columns, encoding), np.column_stack([columns["a"], columns["b"]]))


def test_numpy_arrays_and_lists_give_the_same_matrix():
    encoding = fit_encoding(COLUMNS, SCHEMA)
    arrays = {
        "distance": np.array([719, np.nan, 2.5]),
        "carrier": np.array(["UA", None, "B6"], dtype=object),
        "heavy": np.array([1.0, np.nan, 0.0]),
        "sched_dep": np.array(["2013-08-05T14:30", "NaT", "1969-12-31T23:00"], dtype="datetime64[ms]"),
        "flown": np.array([120, "NaT", 0], dtype="timedelta64[s]"),
        "gate": np.array([3.0, np.nan, 3.0]),
    }
    np.testing.assert_array_equal(encode_columns(arrays, encoding), encode_columns(COLUMNS, encoding))


def test_moments_may_be_text_or_microseconds():
    schema = TableSchema((Column("at", "timestamp[us, UTC]"),))
    encoding = fit_encoding({}, schema)
    forms = ["2013-08-05T14:30:00Z", "2013-08-05T10:30:00-04:00", 1375713000000000, datetime(2013, 8, 5, 14, 30)]
    matrix = encode_columns({"at": forms}, encoding)
    np.testing.assert_array_equal(matrix, np.array([[14.5, 0, 8]] * 4, dtype=np.float32))


def test_an_unseen_category_is_missing_or_the_declared_code():
    schema = TableSchema((Column("carrier", "string"),))
    columns = {"carrier": ["UA", "UA", "B6", "9E"]}
    assert np.isnan(encode_row({"carrier": "XX"}, fit_encoding(columns, schema)))[0, 0]
    assert encode_row({"carrier": "XX"}, fit_encoding(columns, schema, unseen=-1))[0, 0] == -1
    kept = fit_encoding(columns, schema, max_categories=1, unseen=-1)
    np.testing.assert_array_equal(encode_columns(columns, kept)[:, 0], [0, 0, -1, -1])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "column 'distance' is missing"),
        ({"distance": [1.0, "far"], "carrier": ["UA", "B6"]}, "row 1 holds something else: 'far'"),
        ({"distance": np.array(["1"]), "carrier": ["UA"]}, "takes numbers"),
        ({"distance": [1.0], "carrier": ["UA", "B6"]}, "different lengths"),
        ({"distance": [[1]], "carrier": ["UA"]}, "row 0 holds something else"),
        ({"distance": [1.0], "carrier": [1.5]}, "takes categories as text: 1.5"),
    ],
)
def test_a_value_that_does_not_fit_names_its_column(columns, words):
    encoding = fit_encoding({"carrier": ["UA"]}, TableSchema(tuple(SCHEMA)[:2]))
    with pytest.raises(SchemaError, match=words.replace("[", r"\[")):
        encode_columns(columns, encoding)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distance": "719"}, "'distance' takes a number"),
        ({"distance": [1]}, "'distance' takes a number"),
        ({"carrier": ["UA"]}, "'carrier' takes categories as text"),
        ({"sched_dep": "tomorrow"}, "'sched_dep' takes moments: 'tomorrow'"),
        ({"flown": "long"}, "'flown' takes numbers"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_name(change, words):
    with pytest.raises(InvalidRequestError, match=words):
        encode_row({**ROWS[0], **change}, fit_encoding(COLUMNS, SCHEMA))


def test_a_request_without_a_column_is_refused_by_name():
    row = {name: value for name, value in ROWS[0].items() if name != "heavy"}
    with pytest.raises(InvalidRequestError, match="'heavy' is missing from the row"):
        encode_row(row, fit_encoding(COLUMNS, SCHEMA))


def test_a_list_column_cannot_be_an_input():
    with pytest.raises(SchemaError, match="which no model takes"):
        fit_encoding({"legs": [[1]]}, TableSchema((Column("legs", "list[int64]"),)))


def test_serving_can_encode_with_numpy_alone():
    code = (
        "import sys, tidemill.training.encoding\n"
        "heavy = {'polars', 'sklearn', 'pandas', 'lightgbm', 'optuna', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
