"""A step works on its arguments as they were when it was called, whatever happens to them afterwards."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from tidemill.engine import pipeline, step
from tidemill.engine.snapshots import snapshot


@dataclass
class Plan:
    depth: int = 0
    columns: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    left: list[int]
    right: int


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def number(value: int) -> int:
    return value


@step
def depth(plan: Plan, after: int = 0) -> int:
    return plan.depth


@step
def array_total(values: np.ndarray, after: int = 0) -> int:
    return int(values.sum())


def twice(run_in, flow: Any, **options: Any) -> list[Any]:
    """The result without and with the cache, which must be the same."""
    placed = run_in(flow, **options)
    return [placed(), placed()]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_list_that_grows_between_two_calls(run_in, threads):
    """The step would run on numbers that its key does not know, and the cache would keep the wrong result for ever."""

    @pipeline
    def flow() -> list[int]:
        numbers: list[int] = []
        sums = []
        for value in range(5):
            numbers.append(value)
            sums.append(total(numbers))
        return sums

    assert twice(run_in, flow, threads=threads) == [[0, 1, 3, 6, 10]] * 2


def test_a_list_of_handles_that_grows_between_two_calls(run_in):
    @pipeline
    def flow() -> list[int]:
        made: list[int] = []
        sums = []
        for value in range(5):
            made.append(number(value))
            sums.append(total(made))
        return sums

    assert twice(run_in, flow) == [[0, 1, 3, 6, 10]] * 2


def test_a_record_and_an_array_that_change_while_their_step_waits(run_in):
    @pipeline
    def flow() -> list[int]:
        plan, values, found = Plan(), np.zeros(3), []
        for value in range(3):
            plan.depth = values[0] = value
            found += [depth(plan, after=number(value)), array_total(values, after=number(value))]
        return found

    assert twice(run_in, flow) == [[0, 0, 1, 1, 2, 2]] * 2


@step(retries=1, backoff=0.0)
def spoils(plan: Plan, names: set[str], numbers: list[int]) -> list[int]:
    plan.depth += 1
    names.add(str(plan.depth))
    numbers.append(1)
    if not spoiled:
        spoiled.append(1)
        raise ValueError("the first time it fails")
    return [plan.depth, len(names), len(numbers)]


spoiled: list[int] = []


def test_what_a_step_does_to_its_arguments_stays_in_it(run_in):
    """The second attempt would find what the first has left, and a cached run another list than the first run."""

    @pipeline
    def flow() -> list[Any]:
        plan, names, numbers = Plan(), {"a"}, [0]
        first = spoils(plan, names, numbers).value()
        return [first, plan.depth, names, numbers]

    spoiled.clear()
    assert run_in(flow)() == [[1, 2, 2], 0, {"a"}, [0]]


@step
def rows(item: Any, table: pl.DataFrame, plan: Plan | None = None) -> int:
    return table.height + (item.height if isinstance(item, pl.DataFrame) else item)


def test_frames_can_be_items_and_fixed_arguments_of_a_map(run_in):
    """A frame that the body has made itself, given to every item, ended the run with an error of the database."""
    frame = pl.DataFrame({"a": [1, 2]})

    @pipeline
    def flow() -> list[int]:
        fixed = rows.map(range(3), table=frame)
        return [*fixed, *rows.map([frame, frame.head(1)], table=frame)]

    assert twice(run_in, flow) == [[2, 3, 4, 4, 3]] * 2


def test_a_snapshot_is_equal_and_shares_nothing_that_can_change():
    given = {"a": [1, (2, [3])], "b": {4}, "c": Plan(1, ["x"]), "d": Pair([5], 6), "e": OrderedDict(k=[7])}
    taken = snapshot(given)
    assert taken == given
    assert [type(value) for value in taken.values()] == [type(value) for value in given.values()]
    given["a"][1][1].append(0)
    given["b"].add(0)
    given["c"].columns.append("y")
    given["d"].left.append(0)
    given["e"]["k"].append(0)
    assert taken == {"a": [1, (2, [3])], "b": {4}, "c": Plan(1, ["x"]), "d": Pair([5], 6), "e": OrderedDict(k=[7])}


def test_what_cannot_be_copied_is_taken_as_it_is():
    lines = (line for line in "ab")
    assert snapshot({"a": lines})["a"] is lines
    assert snapshot({1: lines}, other=lambda value: "elsewhere") == {1: "elsewhere"}
