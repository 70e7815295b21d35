"""A parameter that nothing reads must be noticed, and one that is read in any way must not be called unread."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest

import tidemill
from tidemill.core.errors import UsageError
from tidemill.training.estimators import _SUGGESTED, _Read
from tidemill.training.seeding import seeded


def given(**named):
    return named


@pytest.mark.parametrize(
    "read",
    [
        lambda params: params["a"],
        lambda params: params.get("a"),
        lambda params: params.pop("a"),
        lambda params: "a" in params and params,
        lambda params: given(**params),
        lambda params: {**params},
        dict,
        lambda params: params.copy(),
        copy.deepcopy,
        lambda params: params | {"b": 2},
        lambda params: {"b": 2} | params,
        list,
        lambda params: list(params.items()),
        json.dumps,
        lambda params: list(params.values()),
    ],
)
def test_each_way_to_read_a_parameter_is_seen(read):
    params = _Read({"a": 1})
    assert read(params)
    assert params.read == {"a"}


def test_a_parameter_that_was_not_looked_at_is_known():
    params = _Read({"a": 1, "b": 2})
    assert params["a"] == 1
    assert params.read == {"a"}


def test_a_build_of_optuna_is_told_how_a_space_is_written_here():
    with pytest.raises(UsageError, match=r"not a trial of Optuna: 'params\.suggest_int'") as raised:
        _Read({"a": 1}).suggest_int("a", 2, 64)
    assert 'tm.tune(build, {"NAME": tm.integers(2, 64)}, data)' in raised.value.hint
    with pytest.raises(AttributeError, match="the parameters are a dict, which has no attribute 'a'"):
        _ = _Read({"a": 1}).a


@pytest.mark.parametrize("example", sorted(set(_SUGGESTED.values())))
def test_each_way_to_search_that_is_named_is_one(example):
    assert type(eval(example, {"tm": tidemill})).__module__ == "tidemill.training.space"


def drawn():
    return random.random(), np.random.rand()


def test_everybodys_random_numbers_are_restored_even_after_an_error():
    random.seed(1)
    np.random.seed(1)
    expected = drawn()
    random.seed(1)
    np.random.seed(1)

    def inside():
        with seeded(5):
            drawn()
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        inside()
    assert drawn() == expected
