"""An error that does not say what to do costs its reader an hour."""

from __future__ import annotations

import inspect
import pickle

import pytest

from tidemill.core import errors
from tidemill.core.errors import MissingExtraError, StoreError, TidemillError, UsageError, shorten

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TidemillError)]


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.replace("│", " ").split() if word.endswith("Error")), None)
        if name is None or ("──" not in line and name != "TidemillError"):
            continue
        depth = line.index(name)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        drawn[name] = stack[-1][1] if stack else "Exception"
        stack.append((depth, name))
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_a_process_boundary(kind):
    error = (
        kind("polars", "ml", purpose="x") if kind is MissingExtraError else kind("it broke", value=3, hint="Mend it.")
    )
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.hint == error.hint


def test_the_message_is_what_value_hint():
    assert str(StoreError("no room.", value="/data", hint="Free some.")) == "no room: '/data'. Free some."
    assert str(StoreError("no room")) == "no room."


def test_a_missing_extra_names_the_command():
    assert 'pip install "tidemill[spark]"' in str(MissingExtraError("pyspark", "spark", purpose="Reading spark://"))


def test_long_values_are_cut_in_the_middle():
    text = shorten(list(range(10_000)))
    assert len(text) <= 200
    assert text.startswith("[0, 1")
    assert text.endswith("9999]")


def test_exit_codes_are_those_of_the_documentation():
    codes = {kind.__name__: kind.exit_code for kind in ALL}
    assert codes["UsageError"] == 2
    assert codes["NotFoundError"] == 3
    assert codes["DataError"] == 4
    assert codes["ModelError"] == 5
    assert codes["GateError"] == 6
    assert codes["StoreError"] == 7
    assert codes["CancelledError"] == 130


def test_a_message_that_ends_with_a_question_ends_there():
    assert str(UsageError("all trials failed; the first said: Did you mean 'x'?", hint="Try.")).endswith("'x'? Try.")
    assert str(UsageError("no such step", value="a?")).endswith("'a?'.")
