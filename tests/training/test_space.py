"""If these fail, a search looks somewhere else than its author said, or a wrong space is found out after an hour."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import UsageError
from tidemill.training import choice, conditional, integers, uniform
from tidemill.training.space import drawn, grid


def of_the_model(chosen):
    if chosen["model"] == "linear":
        return {"C": uniform(0, 1, step=0.5)}
    return {"depth": integers(2, 6, step=2), "leaf": conditional(lambda so_far: {"least": so_far["depth"] * 10})}


TREE = {"model": choice(["linear", "tree"]), "rest": conditional(of_the_model), "seed": 7}


def test_a_conditional_part_sees_what_was_chosen_before_it():
    points = list(grid(TREE))
    assert points == [
        {"model": "linear", "C": 0.0, "seed": 7},
        {"model": "linear", "C": 0.5, "seed": 7},
        {"model": "linear", "C": 1.0, "seed": 7},
        {"model": "tree", "depth": 2, "least": 20, "seed": 7},
        {"model": "tree", "depth": 4, "least": 40, "seed": 7},
        {"model": "tree", "depth": 6, "least": 60, "seed": 7},
    ]


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_a_grid_is_the_product_of_its_ranges(options):
    space = {f"p{place}": choice(several) for place, several in enumerate(options)}
    assert [tuple(point.values()) for point in grid(space)] == list(itertools.product(*options))


@given(st.integers(-50, 50), st.integers(0, 40), st.integers(1, 7))
def test_steps_reach_both_ends(low, count, step):
    points = [point["p"] for point in grid({"p": integers(low, low + count * step, step=step)})]
    assert points == list(range(low, low + count * step + 1, step))
    numbers = [point["p"] for point in grid({"p": uniform(low, low + count * 0.1, step=0.1)})]
    assert len(numbers) == count + 1
    assert numbers[-1] == pytest.approx(low + count * 0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: uniform(2, 1), "from low to high: \\(2, 1\\)"),
        (lambda: uniform(0, float("inf")), "uniform takes finite numbers: inf"),
        (lambda: uniform("0", 1), "uniform takes finite numbers: '0'"),
        (lambda: uniform(0, 1, step=0.3), "does not end at 1: 0.3. End it at 0.9"),
        (lambda: uniform(0, 1, step=0), "step of a range is above zero: 0"),
        (lambda: uniform(1, 2, step=0.5, log=True), "has a step or is logarithmic, not both"),
        (lambda: integers(0, 5, log=True), "starts above zero: 0"),
        (lambda: integers(0.5, 5), "integers takes whole numbers: 0.5"),
        (lambda: integers(True, 5), "integers takes whole numbers: True"),
        (lambda: integers(1, 10, step=4), "does not end at 10: 4. End it at 9"),
        (lambda: choice([]), "at least one option"),
        (lambda: choice("gbdt"), "a choice needs a list: 'gbdt'"),
        (lambda: choice(["a", "b", "a"]), "in the choice twice: 'a'"),
        (lambda: choice([object()]), "between plain values"),
        (lambda: conditional({"a": 1}), "is a function"),
        (lambda: list(grid({"rate": uniform(0, 1)})), "a grid needs to know the points of 'rate': '0 to 1'"),
        (lambda: list(grid({"a": conditional(lambda _: None)})), "part 'a' of the space returned no space"),
        (lambda: list(grid({"a": 1, "b": conditional(lambda _: {"a": 2})})), "chooses a parameter again: 'a'"),
        (
            lambda: list(grid({"a": conditional(lambda chosen: {"b": chosen["c"]})})),
            "part 'a' of the space failed for the parameters so far: {}. It said KeyError: 'c'",
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_one_and_true_are_two_options():
    assert choice([1, True, None]).options == (1, True, None)


def test_what_is_no_range_is_passed_on():
    sent = object()
    assert drawn({"sent": sent, "list": [1, 2]}, lambda *_: pytest.fail("nothing is drawn")) == {
        "sent": sent,
        "list": [1, 2],
    }
