"""Declaring steps: what is accepted, what is refused, and that outside a pipeline a step is just its function."""

from __future__ import annotations

import pickle

import pytest

from tidemill.core.errors import PipelineError
from tidemill.engine import Step, step


@step
def double(number: int, *, offset: int = 0) -> int:
    """Twice the number."""
    return 2 * number + offset


def test_a_step_called_outside_a_pipeline_is_its_function():
    assert double(4, offset=1) == 9
    assert double.map([1, 2], offset=1) == [3, 5]
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice the number."
    assert double.stage == "double"


def test_a_step_travels_to_workers_by_name():
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_plain_call_also_pins_mutable_names():
    @step(resolve=lambda arguments: {**arguments, "when": arguments["when"].replace("today", "2013-12-31")})
    def read(when: str = "today") -> str:
        return when

    assert read() == "2013-12-31"
    assert read("2013-01-01") == "2013-01-01"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "the 'retries' option of step 'double' must be a whole number of zero or more: -1"),
        ({"retries": True}, "'retries'"),
        ({"backoff": -0.5}, "'backoff' option of step 'double' must be seconds of zero or more"),
        ({"timeout": 0}, "'timeout'"),
        ({"executor": "cloud"}, "must be 'inline', 'worker' or 'isolated': 'cloud'"),
        ({"memory": "lots"}, "'memory'"),
        ({"cpu": 0}, "'cpu'"),
        ({"gpu": 0.5}, "'gpu'"),
        ({"env": "TZ"}, "'env' option of step 'double' must be a list of names"),
        ({"version": 3}, "'version'"),
        ({"stage": ""}, "'stage'"),
        ({"resolve": "today"}, "'resolve'"),
        ({"effect": "yes"}, "'effect'"),
        ({"cached": True}, "unknown options: ['cached']. Known options: cache, effect"),
    ],
)
def test_a_wrong_option_is_refused_where_the_step_is_declared(options, message):
    with pytest.raises(PipelineError) as caught:
        step(**options)(double.function)
    assert message in str(caught.value)


def test_memory_can_be_written_as_text():
    declared = step(memory="1.5GiB", env={"TZ"}, executor="worker")(double.function)
    assert declared.options.memory == 3 * 2**29
    assert declared.options.env == ("TZ",)


def test_an_inline_step_with_a_timeout_runs_where_it_can_be_stopped():
    assert step(timeout=5)(double.function).options.runs_on == "worker"
    assert step(timeout=5, executor="isolated")(double.function).options.runs_on == "isolated"


def test_functions_that_cannot_be_steps_are_refused():
    async def later() -> int:
        return 1

    def several():
        yield 1

    def unnamed(*numbers: int) -> int:
        return sum(numbers)

    for function, message in [
        (later, "asynchronous"),
        (several, "a generator"),
        (unnamed, "parameter without a name"),
        (int, "takes a plain function"),
    ]:
        with pytest.raises(PipelineError, match=message):
            step(function)


def test_arguments_are_bound_by_name_with_their_defaults():
    assert double.bind((3,), {}) == {"number": 3, "offset": 0}
    with pytest.raises(TypeError, match=r"double\(\) missing a required argument: 'number'"):
        double.bind((), {})


def test_extra_keywords_are_arguments_of_their_own():
    @step
    def describe(name: str, **details: int) -> str:
        return f"{name}{sorted(details.items())}"

    assert describe.bind(("a",), {"x": 1}) == {"name": "a", "x": 1}
    assert describe("a", x=1) == "a[('x', 1)]"


def test_a_map_without_a_free_parameter_is_refused():
    assert isinstance(double, Step)
    with pytest.raises(PipelineError, match="no parameter left"):
        double.map([1], number=2, offset=3)
