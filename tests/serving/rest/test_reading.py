"""Large bodies are read the quick way: what comes out is what the careful way reads, or nothing at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidRequestError
from tidemill.packaging.package import Package
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.predictor import Predictor
from tidemill.serving.rest.reading import read_rows
from tidemill.serving.rest.wire import parse
from tidemill.serving.variants import Traffic

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@pytest.fixture(scope="module")
def endpoint(packaged: Package) -> Endpoint:
    return Endpoint.of(Predictor(packaged), None)


def as_sent(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "rows": [*told["rows"]]}


@given(data=st.data(), ascii_only=st.booleans())
def test_rows_with_the_columns_of_the_model_are_what_was_sent(
    endpoint: Endpoint, data: st.DataObject, ascii_only: bool
) -> None:
    names = endpoint.predictor.columns
    row = st.permutations(names).flatmap(lambda order: st.fixed_dictionaries(dict.fromkeys(order, VALUES)))
    more = st.dictionaries(st.sampled_from(["entities", "key", "explain"]), VALUES)
    sent = {**data.draw(more), "rows": data.draw(st.lists(row, max_size=3))}
    body = json.dumps(sent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    told = read_rows(endpoint, body)
    if told is not None:
        assert repr(sorted(as_sent(told).items())) == repr(sorted(as_read(parse(body), names).items()))
    elif "Infinity" not in body.decode("utf-8", "surrogatepass"):
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
def test_what_is_not_as_expected_is_left_to_who_can_say_why(endpoint: Endpoint, body: str) -> None:
    assert read_rows(endpoint, body.encode()) is None


@given(body=st.binary())
def test_no_bytes_are_an_error(endpoint: Endpoint, body: bytes) -> None:
    assert read_rows(endpoint, body) is None


def test_a_column_that_may_be_missing_may_be_left_out_where_nobody_else_looks_it_up(packaged: Package) -> None:
    predictor = Predictor(packaged)
    column = next(column.name for column in predictor.signature.inputs if column.nullable)
    row = {name: value for name, value in predictor.example().items() if name != column}
    body = json.dumps({"rows": [row]}).encode()
    endpoint = Endpoint.of(predictor, None)
    told = read_rows(endpoint, body)
    assert told is not None
    assert told["rows"][0] == {**predictor.example(), column: None}
    live = endpoint.traffic.live[0]
    other = replace(live, name="other", predictor=Predictor(packaged))
    for traffic in (Traffic((live, other), salt="s"), Traffic((live,), (other,), salt="s")):
        endpoint.traffic = traffic
        assert read_rows(endpoint, body) is None


def test_a_name_that_cannot_be_expected_is_no_error(packaged: Package) -> None:
    predictor = Predictor(packaged)
    inputs = predictor.signature.inputs
    columns = [replace(one, name=f'"{one.name}"') for one in inputs]
    predictor.signature = replace(predictor.signature, inputs=type(inputs)(tuple(columns)))
    assert read_rows(Endpoint.of(predictor, None), b'{"rows": []}') is None
