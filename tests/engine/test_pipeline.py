"""Pipelines: results, records, inlining, arguments from text, and what is refused where they are defined."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from enum import Enum
from typing import Literal

import polars as pl
import pytest

from tidemill.core.errors import PipelineError, StepError, UsageError
from tidemill.engine import current, pipeline, step


class Mode(Enum):
    FAST = 1
    SLOW = 2


@step
def number(value: int) -> int:
    return value


@step
def add(left: int, right: int) -> int:
    return left + right


@step
def fails(value: int) -> int:
    raise ValueError(f"no {value}")


@pipeline
def inner(value: int) -> int:
    return add(number(value), 1)


@pipeline
def outer(value: int = 1) -> int:
    return add(inner(value), inner(number(10)))


def test_a_call_returns_the_value_and_run_returns_the_record(run_in):
    placed = run_in(outer)
    assert placed(2) == 14
    result = placed.run(value=2)
    assert (result.status, result.result, result.error) == ("succeeded", 14, None)
    assert (result.steps[0].node, result.steps[0].status) == ("number", "cached")
    assert result.step("add").node == "add"
    assert result.seconds > 0
    assert len(result.id) == 26


def test_a_pipeline_inside_a_pipeline_becomes_part_of_its_graph(run_in):
    names = [summary.node for summary in run_in(outer).run().steps]
    assert names == ["number", "add", "number#2", "number#3", "add#2", "add#3"]


def test_a_failed_run_raises_from_the_call_and_is_a_record_from_run(run_in):
    @pipeline
    def broken() -> int:
        return fails(3)

    with pytest.raises(StepError, match="step 'fails' failed: ValueError: no 3") as caught:
        run_in(broken)()
    assert isinstance(caught.value.__cause__, ValueError)
    result = run_in(broken).run()
    assert result.status == "failed"
    assert result.result is None
    assert isinstance(result.error, StepError)


def test_the_ids_are_visible_inside_a_step(run_in):
    @step(cache=False)
    def ids() -> list[str]:
        here = current()
        return [here.run_id, here.execution_id, here.node, here.pipeline, here.project]

    @pipeline
    def look() -> list[str]:
        return ids()

    result = run_in(look).run()
    assert result.result == [result.id, result.steps[0].execution_id, "ids", "look", "tests"]


def test_a_step_called_inside_a_step_is_a_plain_call(run_in):
    @step
    def twice(value: int) -> int:
        return add(number(value), number(value))

    @pipeline
    def nested() -> int:
        return twice(4)

    result = run_in(nested).run()
    assert result.result == 8
    assert [summary.node for summary in result.steps] == ["twice"]


def test_a_pipeline_run_inside_a_step_is_a_run_of_its_own(run_in, store):
    placed = run_in(inner)

    @step(cache=False)
    def trigger() -> int:
        return placed(5)

    @pipeline
    def automation() -> int:
        return trigger()

    result = run_in(automation).run()
    assert result.result == 6
    from tidemill.store import runs

    with store.metadata.reading() as tx:
        child = runs.list_runs(tx, pipeline="inner")[0]
    assert child.parent_id == result.id


def test_a_frame_passed_as_a_parameter_is_stored_and_cached_by_content(run_in):
    @step
    def height(frame: pl.DataFrame) -> int:
        return frame.height

    @pipeline
    def measure(frame: pl.DataFrame) -> int:
        return height(frame)

    placed = run_in(measure)
    assert placed(pl.DataFrame({"a": [1, 2]})) == 2
    again = placed.run(pl.DataFrame({"a": [1, 2]}))
    assert (again.result, again.steps[0].status) == (2, "cached")
    assert placed.run(pl.DataFrame({"a": [1, 2, 3]})).steps[0].status == "succeeded"


def test_a_value_that_cannot_be_digested_is_named(run_in):
    @step
    def takes(thing: object) -> int:
        return 1

    @pipeline
    def odd(connection: object) -> int:
        return takes(connection)

    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(PipelineError, match="'thing'"):
        run_in(odd)(connection)


def test_parameters_are_read_from_text_by_their_annotations():
    @pipeline
    def train(
        trials: int = 5,
        rate: float = 0.1,
        until: date | None = None,
        names: list[str] = [],  # noqa: B006
        deep: bool = False,
        kind: Literal["a", "b"] = "a",
        mode: Mode = Mode.FAST,
        limits: dict | None = None,
        guess=3,
    ) -> int:
        return 1

    texts = {
        "trials": "7", "rate": "1e-3", "until": "2013-09-01", "names": "x, y", "deep": "true", "kind": "b",
        "mode": "SLOW", "limits": '{"a": 1}', "guess": "4",
    }  # fmt: skip
    assert train.bind_text(texts) == {
        "trials": 7, "rate": 0.001, "until": date(2013, 9, 1), "names": ["x", "y"], "deep": True, "kind": "b",
        "mode": Mode.SLOW, "limits": {"a": 1}, "guess": 4,
    }  # fmt: skip
    assert train.bind_text({"until": "none"}) == {"until": None}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"valu": "1"}, "has no parameter of this name: 'valu'. Did you mean 'value'?"),
        ({"value": "one"}, "parameter 'value' of pipeline 'outer' cannot be read as int: 'one'"),
    ],
)
def test_text_that_cannot_be_read_names_the_parameter(texts, message):
    with pytest.raises(UsageError) as caught:
        outer.bind_text(texts)
    assert message in str(caught.value)


def test_missing_and_unknown_arguments_are_type_errors(run_in):
    with pytest.raises(TypeError, match=r"inner\(\) missing a required argument: 'value'"):
        run_in(inner)()
    with pytest.raises(TypeError, match=r"inner\(\) got an unexpected keyword argument"):
        run_in(inner)(wrong=1)


def test_identity_tests_on_handles_are_refused_at_definition():
    with pytest.raises(PipelineError) as caught:

        @pipeline
        def chooses() -> int:
            value = number(1)
            if value is None:
                return 0
            return value

    message = str(caught.value)
    assert "tests the handle 'value' with is in test_pipeline.py, line" in message
    assert "value.value()" in message


def test_type_tests_on_handles_are_refused_at_definition():
    for body in (_isinstance_body, _type_body, _match_body, _field_body, _mapped_body):
        with pytest.raises(PipelineError, match="a handle is not its value there"):
            pipeline(body)


def _isinstance_body() -> int:
    first, second = number(1), number(2)
    del second
    made = inner(1)
    return 1 if isinstance(made, int) else first


def _type_body() -> str:
    return str(type(number(1)))


def _match_body() -> int:
    value = number(1)
    match value:
        case int():
            return 1
    return 2


def _field_body() -> bool:
    made = number(1)
    return made.imag is not None


def _mapped_body() -> bool:
    mapped = number.map([1])
    return isinstance(mapped[0], int)


def test_identity_tests_on_plain_values_are_fine(run_in):
    @pipeline
    def defaults(value: int | None = None) -> int:
        if value is None:
            value = 5
        handle = number(value)
        handle = handle.value()
        if handle is None:
            return 0
        return add(handle, 1)

    assert run_in(defaults)() == 6


def test_an_identity_test_of_a_parameter_is_refused_when_a_handle_is_given_to_it(run_in):
    @pipeline
    def optional(value: int | None = None) -> int:
        return 0 if value is None else number(value)

    @pipeline
    def around() -> int:
        return optional(number(1))

    assert run_in(optional)(3) == 3
    with pytest.raises(PipelineError, match="pipeline 'optional' tests the handle 'value' with is"):
        run_in(around)()


def test_pipelines_that_cannot_be_are_refused():
    with pytest.raises(PipelineError, match="is reserved"):
        pipeline(lambda resume: resume)
    with pytest.raises(PipelineError, match="no name of its own"):
        pipeline(lambda *args: args)
    with pytest.raises(PipelineError, match="plain function"):
        pipeline(3)
