"""Handles: an edge when given to a step, a part where the annotation declares one, the value in any other use."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl
import pytest

from tidemill.engine import pipeline, step


@dataclass(frozen=True)
class Report:
    score: float
    label: str

    def headline(self) -> str:
        return f"{self.label}: {self.score}"


@dataclass(frozen=True)
class Halves:
    train: pl.DataFrame
    test: pl.DataFrame
    share: float


class Pair(NamedTuple):
    low: int
    high: int


@step
def number(value: int = 3) -> int:
    return value


@step
def report() -> Report:
    return Report(0.5, "auc")


@step
def halves() -> Halves:
    frame = pl.DataFrame({"a": [1, 2, 3, 4]})
    return Halves(frame.head(3), frame.tail(1), 0.75)


@step
def pair() -> Pair:
    return Pair(1, 2)


@step
def two() -> tuple[int, str]:
    return 7, "seven"


@step
def add(left: int, right: int) -> int:
    return left + right


@step
def total(numbers: list[int], extra: dict[str, int]) -> int:
    return sum(numbers) + sum(extra.values())


@step
def rows(frame: pl.DataFrame) -> int:
    return frame.height


@step
def share_of(value: Halves) -> float:
    return value.share


@step
def half(score: float) -> float:
    return score / 2


def outcome(run_in, body):
    """What a body returns when it is run as a pipeline."""
    return run_in(pipeline(name="body")(body))()


def test_a_handle_given_to_a_step_is_an_edge_also_inside_containers(run_in):
    def body() -> int:
        one, two_ = number(1), number(2)
        return total([one, 10], {"a": two_, "b": add(one, two_)})

    assert outcome(run_in, body) == 1 + 10 + 2 + 3


def test_declared_fields_are_handles_to_parts(run_in, store):
    def body() -> tuple:
        parts = halves()
        assert parts.train._part == "train"
        return rows(parts.train), rows(parts.test), half(parts.share), share_of(parts)

    assert outcome(run_in, body) == (3, 1, 0.375, 0.75)


def test_a_field_of_a_record_is_a_handle_too(run_in):
    def body() -> tuple:
        made = report()
        assert "report.score" in repr(made.score)
        return half(made.score), made.label.value(), made.headline()

    assert outcome(run_in, body) == (0.25, "auc", "auc: 0.5")


def test_tuples_unpack_without_waiting(run_in):
    def body() -> tuple:
        count, word = two()
        low, high = pair()
        assert (repr(count)[:12], repr(word)[:12]) == ("<handle two.", "<handle two.")
        assert pair()[1] == 2
        return add(count, low), word, high

    assert outcome(run_in, body) == (8, "seven", 2)


def test_any_other_use_waits_for_the_value(run_in):
    def body() -> list:
        value, other = number(3), number(4)
        seen = ["yes" if value else "no", value + 1, 1 + value, value * other, -value, value < other, value == 3]
        seen += [
            f"{value:03d}",
            str(value),
            int(value),
            float(value),
            round(value),
            [10, 20, 30, 40][value],
            hash(value),
        ]
        seen += [divmod(value, 2), 2**value, value in (1, 3), abs(value), max(value, other).value()]
        return seen

    assert outcome(run_in, body) == [
        "yes", 4, 4, 12, -3, True, True, "003", "3", 3, 3.0, 3, 40, hash(3), (1, 1), 8, True, 3, 4,
    ]  # fmt: skip


def test_values_can_be_iterated_measured_and_indexed(run_in):
    @step
    def words() -> list[str]:
        return ["a", "b", "c"]

    def body() -> tuple:
        made = words()
        return [word.upper() for word in made], len(made), made[1:], "b" in made, list(reversed(made))

    assert outcome(run_in, body) == (["A", "B", "C"], 3, ["b", "c"], True, ["c", "b", "a"])


def test_an_unknown_attribute_names_the_step_and_what_is_declared(run_in):
    def body() -> None:
        with pytest.raises(AttributeError, match=r"step 'report' \(Report\) has no attribute 'socre'.*label, score"):
            report().socre  # noqa: B018
        with pytest.raises(AttributeError, match=r"step 'number' \(int\) has no attribute 'train'"):
            number().train  # noqa: B018

    outcome(run_in, body)


def test_private_probes_do_not_wait(run_in):
    def body() -> None:
        handle = number()
        with pytest.raises(AttributeError):
            handle._repr_html_()
        with pytest.raises(TypeError, match="cannot be pickled"):
            copy.deepcopy(handle)
        assert "value" not in repr(handle)

    outcome(run_in, body)


def test_map_keeps_the_order_and_is_a_list_of_handles(run_in):
    def body() -> tuple:
        mapped = number.map([3, 1, 2])
        assert len(mapped) == 3
        assert mapped == [3, 1, 2]
        first, *_ = mapped
        return mapped, total(mapped, {}), first, mapped[-1], mapped[1:]

    assert outcome(run_in, body) == ([3, 1, 2], 6, 3, 2, [1, 2])
