"""The short ways of usual requests and answers must say what the long ways say, or clients meet two servers in one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidRequestError
from tidemill.core.model import Signature
from tidemill.core.schema import TableSchema
from tidemill.serving.decisions import compile_decision
from tidemill.serving.grpc.messages import message
from tidemill.serving.grpc.tensor_messages import response_to, rows_in
from tidemill.serving.tensors import DATATYPES, from_bytes, outputs_of, rows_of, to_bytes, values_of, whole_row

Request, Response = message("ModelInferRequest"), message("ModelInferResponse")
NAMES = ("temp", "wind", "rain")
ID = "0" * 26


def request(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Any:
    asked = Request(model_name="delay")
    asked.inputs.add(name=name, datatype=datatype, shape=shape)
    asked.raw_input_contents.append(raw)
    return asked


def told_or_refused(answer: Any) -> Any:
    try:
        return repr(answer())  # so that NaN is like NaN, and 1 unlike True
    except InvalidRequestError as error:
        return str(error)


@given(
    name=st.sampled_from(["rows", "temp"]),
    datatype=st.sampled_from([*DATATYPES, "FP8", ""]),
    shape=st.sampled_from([(1, 3), (3, 1), (1, 2), (2, 3), (3,), (1,), (1, 3, 1), (0, 3), (-1, 3), ()]),
    raw=st.one_of(
        st.sampled_from([3, 6, 12, 24]).flatmap(lambda size: st.binary(min_size=size, max_size=size)), st.binary()
    ),
)
def test_one_tensor_of_a_whole_row_is_read_as_any_tensor(
    name: str, datatype: str, shape: tuple[int, ...], raw: bytes
) -> None:
    short = told_or_refused(lambda: [*rows_in(request(name, datatype, shape, raw), NAMES)])
    assert short == told_or_refused(lambda: [*rows_of([from_bytes(name, datatype, shape, raw)], NAMES)])


def test_what_a_client_calls_a_type_is_not_kept() -> None:
    sent = "FP8" * 1000  # as long as a body may be, if it likes
    before = sys.getrefcount(sent)
    assert whole_row(sent, 3) is None
    assert sys.getrefcount(sent) == before


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "FP32", "FP64"])
def test_a_usual_row_has_the_values_that_were_sent(datatype: str) -> None:
    raw = to_bytes(datatype, [1, 0, 1])
    assert rows_in(request("rows", datatype, (1, 3), raw), NAMES) == [{"temp": 1, "wind": 0, "rain": 1}]


SIGNATURES = [
    (Signature(TableSchema(()), "binary", "late", ("false", "true"), threshold=0.4), [0.41, 0.2]),
    (Signature(TableSchema(()), "binary", "late", ("on time", "véry late")), [0.41, 0.7]),
    (Signature(TableSchema(()), "multiclass", "gate", ("A", "B")), [[0.25, 0.75], [1.0, 0.0]]),
    (Signature(TableSchema(()), "multilabel", "tags", ("late", "warm")), [[0.25, 0.75], [0.9, 0.75]]),
    (Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.5", "0.9")), [[1.0, 4.0, 20.0], [0.0, 0.0, 1.0]]),
    (Signature(TableSchema(()), "regression", "delay", interval=(0.9, 4.0)), [12.5, -1.0]),
    (Signature(TableSchema(()), "anomaly", "strange", threshold=0.0), [0.12, -0.5]),
]


@pytest.mark.parametrize(("signature", "scores"), SIGNATURES, ids=lambda value: getattr(value, "task", ""))
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("own", ["", "mine", "x" * 300])
def test_an_answer_in_bytes_is_the_answer_in_contents(signature: Signature, scores: Any, rows: int, own: str) -> None:
    outputs, decide = outputs_of(signature), compile_decision(signature)
    predictions = [decide(score) for score in scores[:rows]]
    asked = Request(model_name="delay", id=own)
    contents = Response.FromString(response_to(asked, ID, 3, outputs, predictions))
    asked.raw_input_contents.append(b"")
    raw = Response.FromString(response_to(asked, ID, 3, outputs, predictions))
    for answer in (contents, raw):
        assert (answer.model_name, answer.model_version, answer.id) == ("delay", "3", own or ID)
        assert answer.parameters["request_id"].string_param == ID
        assert [(one.name, one.datatype, tuple(one.shape)) for one in answer.outputs] == [
            (spec.name, spec.datatype, (rows, *spec.shape[1:])) for spec in outputs
        ]
        assert "warnings" not in answer.parameters
    warned = Response.FromString(response_to(asked, ID, 3, outputs, predictions, '{"0":["é"]}'))
    assert warned.parameters["warnings"].string_param == '{"0":["é"]}'
    assert warned.parameters["request_id"].string_param == ID
    assert list(warned.raw_output_contents) == list(raw.raw_output_contents)
    assert list(raw.raw_output_contents) == [to_bytes(spec.datatype, values_of(spec, predictions)) for spec in outputs]
    for spec, output, data in zip(outputs, contents.outputs, raw.raw_output_contents, strict=True):
        if spec.datatype == "FP64":
            np.testing.assert_array_equal(np.frombuffer(data, "<f8"), output.contents.fp64_contents)
        else:
            texts = from_bytes(spec.name, "BYTES", tuple(output.shape), data).values
            assert [one.decode() for one in output.contents.bytes_contents] == texts
