"""The schema is what a contract, a signature and a request validator agree on."""

from __future__ import annotations

import json

import pytest

from tidemill.core.errors import SchemaError
from tidemill.core.schema import Column, TableSchema

FLIGHTS = TableSchema(
    (
        Column("carrier", "string", "category", nullable=False, categories=("UA", "B6")),
        Column("distance", "int64", "quantity", minimum=0, maximum=5000, unit="mi", description="Great circle"),
        Column("sched_dep", "timestamp[us, UTC]", "time"),
    )
)


def test_a_schema_survives_json():
    assert TableSchema.from_dict(json.loads(json.dumps(FLIGHTS.to_dict()))) == FLIGHTS


def test_an_unknown_type_is_named_with_the_column():
    with pytest.raises(SchemaError, match="column 'a' has an unknown physical type: 'number'"):
        Column("a", "number")


def test_an_unknown_field_is_named():
    with pytest.raises(SchemaError, match=r"unknown fields: \['nulable'\]"):
        Column.from_dict({"name": "a", "type": "int64", "nulable": True})


def test_repeated_names_are_refused():
    with pytest.raises(SchemaError, match=r"repeat: \['a'\]"):
        TableSchema((Column("a", "int64"), Column("a", "string")))


def test_a_missing_column_lists_those_there_are():
    with pytest.raises(SchemaError, match=r"'dest'\. Columns are: carrier, distance, sched_dep"):
        FLIGHTS["dest"]


def test_differences_name_missing_new_and_retyped_columns():
    other = TableSchema((Column("distance", "float64"), Column("carrier", "string"), Column("gate", "string")))
    assert FLIGHTS.differences(other) == [
        "column 'sched_dep' is missing",
        "column 'gate' is new",
        "column 'distance' is float64 instead of int64",
    ]


def test_columns_are_selected_replaced_and_given_meaning():
    assert FLIGHTS.select(["distance", "carrier"]).names == ("distance", "carrier")
    replaced = FLIGHTS.with_column(Column("distance", "float64"))
    assert replaced["distance"].is_numeric
    assert replaced.names == FLIGHTS.names
    assert FLIGHTS.with_column(Column("gate", "string")).names[-1] == "gate"
    assert FLIGHTS.with_semantics({"distance": "target"})["distance"].semantic == "target"
    assert "carrier" in FLIGHTS
    assert len(FLIGHTS) == 3
