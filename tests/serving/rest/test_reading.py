"""Large bodies are read the quick way: what comes out is what the careful way reads, or nothing at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidRequestError
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.package import Package
from tidemill.serving.rest.reading import read_rows
from tidemill.serving.rest.wire import parse

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@pytest.fixture(scope="module")
def inputs(packaged: Package) -> TableSchema:
    return packaged.signature.inputs


def as_sent(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "rows": [*told["rows"]]}


@given(data=st.data(), ascii_only=st.booleans())
def test_rows_with_the_columns_of_the_model_are_what_was_sent(
    inputs: TableSchema, data: st.DataObject, ascii_only: bool
) -> None:
    row = st.permutations(inputs.names).flatmap(lambda order: st.fixed_dictionaries(dict.fromkeys(order, VALUES)))
    more = st.dictionaries(st.sampled_from(["entities", "key", "explain"]), VALUES)
    sent = {**data.draw(more), "rows": data.draw(st.lists(row, max_size=3))}
    body = json.dumps(sent, ensure_ascii=ascii_only).encode()
    told = read_rows(inputs, body, lacking=False)
    if told is not None:
        assert repr(sorted(as_sent(told).items())) == repr(sorted(as_read(parse(body), inputs.names).items()))
    elif "Infinity" not in body.decode():
        with pytest.raises(InvalidRequestError):  # nor can it be read carefully
            parse(body)


def as_read(told: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The same with the columns in the order of the model."""
    return {**told, "rows": [{name: row[name] for name in names} for row in told["rows"]]}


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{}", "null", '{"rows": 1}', '{"rows": [1]}', '{"rows": [[]]}', '{"rows": [{}], "more": 1}',
        '{"rows": [{"unknown": 1}]}', '{"rows": [null]}', '{"rows": [{}]} x', '{"rows": [{"temp": NaN}]}',
        '{"rows": [{"temp": 1e999}]}', '{"rows": [{"temp": "\\ud800"}]}', "\ufeff{}", '{"rows": ' + "[" * 5000,
        '{"rows": [{"temp": ' + "[" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("lacking", [True, False])
def test_what_is_not_as_expected_is_left_to_who_can_say_why(inputs: TableSchema, body: str, lacking: bool) -> None:
    assert read_rows(inputs, body.encode(), lacking=lacking) is None


@given(body=st.binary(), lacking=st.booleans())
def test_no_bytes_are_an_error(inputs: TableSchema, body: bytes, lacking: bool) -> None:
    assert read_rows(inputs, body, lacking=lacking) is None


def test_a_column_that_may_be_missing_may_be_left_out_where_nobody_else_looks_it_up(packaged: Package) -> None:
    inputs, example = packaged.signature.inputs, packaged.manifest["example"]
    column = next(column.name for column in inputs if column.nullable)
    body = json.dumps({"rows": [{name: value for name, value in example.items() if name != column}]}).encode()
    told = read_rows(inputs, body, lacking=True)
    assert told is not None
    assert told["rows"][0] == {**example, column: None}
    assert read_rows(inputs, body, lacking=False) is None


@pytest.mark.parametrize("rows", [400_000, 20_000])
def test_a_small_body_does_not_stand_for_large_rows(rows: int) -> None:
    """Three bytes each would be rows of many cells, all at once and before anybody has counted them."""
    columns = TableSchema(tuple(Column(f"c{place}", "float64") for place in range(32)))
    assert read_rows(columns, b'{"rows":[' + b",".join([b"{}"] * rows) + b"]}", lacking=True) is None
    cells = ",".join(f'"c{place}":1' for place in range(32) if place % 5 != 1)
    told = read_rows(columns, ('{"rows":[' + ",".join([f"{{{cells}}}"] * 1000) + "]}").encode(), lacking=True)
    assert told is not None
    assert told["rows"][999]["c1"] is None


@pytest.mark.parametrize("lacking", [True, False])
def test_wide_rows_are_read_as_objects_of_any_order(lacking: bool) -> None:
    """A thousand names in another order take half a million comparisons a row, while nobody else is answered."""
    for width, is_quick in ((32, True), (33, False), (1000, False)):
        columns = TableSchema(tuple(Column(f"c{place}", "float64") for place in range(width)))
        body = json.dumps({"rows": [{f"c{place}": place for place in reversed(range(width))}]}).encode()
        assert (read_rows(columns, body, lacking=lacking) is not None) == is_quick


def test_whole_numbers_beyond_64_bits_are_the_floats_that_they_are_in_a_small_body(packaged: Package) -> None:
    inputs, example = packaged.signature.inputs, packaged.manifest["example"]
    for value in (2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, 123456789012345678901234567890):
        body = json.dumps({"rows": [{**example, "carrier": value}]}).encode()
        told = read_rows(inputs, body, lacking=False)
        assert told is not None
        assert repr(told["rows"][0]["carrier"]) == repr(parse(body)["rows"][0]["carrier"])
        assert repr(told["rows"][:1][0]["carrier"]) == repr(parse(body)["rows"][0]["carrier"])


def test_a_name_that_cannot_be_expected_is_no_error() -> None:
    columns = TableSchema((Column('a "quoted" one', "float64"), Column("b", "float64")))
    assert read_rows(columns, b'{"rows": []}', lacking=False) is None
