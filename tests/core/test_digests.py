"""A digest that changes by itself loses the cache; one that does not change when it should serves stale results."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.digests import canonical_json, digest_bytes, digest_value
from tidemill.core.errors import UsageError

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@dataclass(frozen=True)
class OtherPoint:
    x: int
    y: int


@given(values)
def test_a_value_always_has_the_same_digest(value):
    assert digest_value(value) == digest_value(value)
    assert len(digest_value(value)) == 64


@given(st.dictionaries(st.text(), scalars, min_size=2))
def test_the_order_of_a_mapping_does_not_count(mapping):
    backwards = dict(reversed(list(mapping.items())))
    assert digest_value(mapping) == digest_value(backwards)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_neighbouring_strings_do_not_run_together(left, right):
    assert (digest_value([left, right]) == digest_value([left + right, []])) == (right == [])


def test_equal_looking_values_of_other_types_differ():
    lookalikes = [1, 1.0, True, "1", b"1", Decimal(1), [1], {1}, {1: 1}, None, Colour.RED, Point(1, 1), date(1, 1, 1)]
    assert len({digest_value(value) for value in lookalikes}) == len(lookalikes)


def test_every_nan_is_one_nan_and_zero_keeps_its_sign():
    assert digest_value(math.nan) == digest_value(-math.nan)
    assert digest_value(0.0) != digest_value(-0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Colour.RED, Colour.BLUE),
        (Point(1, 2), Point(2, 1)),
        (Point(1, 2), OtherPoint(1, 2)),
        (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1)),
        (timedelta(1), timedelta(0, 1)),
        (PurePosixPath("a/b"), "a/b"),
        ({"a", "b"}, {"a", "c"}),
        ([1, 2], [2, 1]),
        ([1, 2], (1, 2)),
        (
            datetime(2013, 1, 1, tzinfo=ZoneInfo("Africa/Abidjan")),
            datetime(2013, 1, 1, tzinfo=ZoneInfo("Africa/Dakar")),
        ),
        pytest.param(10**5000, 10**5000 + 1, id="huge"),
    ],
)
def test_what_differs_has_another_digest(one, other):
    assert digest_value(one) != digest_value(other)


def test_the_digest_is_the_same_in_another_process_with_another_hash_seed():
    expression = "{'b': {3, 1, 2}, 'a': frozenset({'x', 'y', 'z'})}"
    code = f"from tidemill.core.digests import digest_value; print(digest_value({expression}))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_a_value_without_canonical_form_is_named_with_its_place():
    with pytest.raises(UsageError, match=r"value\['model'\]\[1\] of type builtins\.object"):
        digest_value({"model": [1, object()]})


def test_canonical_json_refuses_what_json_cannot_say():
    assert canonical_json({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(math.nan)


def test_bytes_are_hashed_in_sequence():
    assert digest_bytes() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
