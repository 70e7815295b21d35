"""Plain values: a step's result that came back a little different would make the second run differ from the first."""

from __future__ import annotations

import math
import sys
from collections import namedtuple
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import MaterialiserError
from tidemill.core.records import INLINE_LIMIT
from tidemill.engine.materialisers import digest_of, load, save
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.plain import PlainMaterialiser, decode, encode
from tidemill.testing import materialiser_contract


class Colour(Enum):
    RED = 1
    BLUE = (2, 3)


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: float


@dataclass(frozen=True)
class Report:
    name: str
    scores: tuple[float, ...]
    extra: dict = field(default_factory=dict)


@dataclass
class Derived:
    rows: list[int]
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = sorted(self.rows)
        self.total = sum(self.rows)


def same(left: object, right: object) -> bool:
    """Equal, of equal types all the way down, and NaN as NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return repr(left) == repr(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return sorted(map(repr, left)) == sorted(map(repr, right))
    if is_dataclass(left):
        return same(vars(left), vars(right))
    if isinstance(left, datetime):
        return left.isoformat() == right.isoformat() and left.fold == right.fold and left.tzinfo == right.tzinfo
    if isinstance(left, Decimal):
        return str(left) == str(right)
    return left == right


zones = st.sampled_from(
    [None, UTC, ZoneInfo("Europe/Paris"), timezone(timedelta(hours=-3)), timezone(timedelta(0), "x")]
)
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.text(st.characters(), max_size=8),
    st.binary(max_size=8),
    st.dates(),
    st.times(timezones=st.sampled_from([None, UTC])),
    st.timedeltas(),
    st.datetimes(timezones=zones, allow_imaginary=False),
    st.uuids(),
    st.sampled_from([*Colour, *Level]),
    st.decimals(allow_nan=False),
    st.floats(allow_nan=False),
)
scalars = hashable | st.floats() | st.complex_numbers() | st.just(Decimal("NaN"))
values = st.recursive(
    scalars | st.builds(Point, st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$", "v", "a"]), inner, max_size=3),
        st.builds(Report, st.text(max_size=4), st.lists(st.floats(), max_size=3).map(tuple)),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(values)
def test_every_plain_value_comes_back_exactly(artifacts, value):
    draft = save(value, None, artifacts)
    loaded = load(draft, None, artifacts)
    assert same(loaded, value)
    assert save(loaded, None, artifacts).digest == draft.digest
    if type(value) is not bytes:
        assert digest_of(value) == draft.digest


VALUES = [
    *(None, True, False, 0, 1, -1, 10**400, 0.0, -0.0, 1.0, math.inf, -math.inf, "", "1", "\ud800", "é" * 5),
    *([], (1,), {}, {"$": 1}, {1: "a", (2, 3): "b"}, {1, 2}, Colour.BLUE, Level.LOW, Point(1, 2.0)),
    *(datetime(2013, 3, 10, 2, 30, fold=1, tzinfo=ZoneInfo("America/New_York")), date(2013, 1, 1), timedelta(-1)),
    *(Decimal("1.10"), UUID(int=7), Report("a", (1.0,), {"k": [Colour.RED]}), "x" * 100_000, list(range(50_000))),
]


@pytest.mark.parametrize("check", materialiser_contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(artifacts, check):
    check(PlainMaterialiser(), VALUES, artifacts, same)


def test_small_values_are_inline_and_large_ones_are_blobs(artifacts):
    small, large = "x" * (INLINE_LIMIT - 2), "x" * (INLINE_LIMIT - 1)
    assert save(small, None, artifacts).blob is None
    draft = save(large, None, artifacts)
    assert (draft.inline, draft.size) == (None, INLINE_LIMIT + 1)
    assert load(draft, None, artifacts) == large


def test_a_dataclass_is_a_record(artifacts):
    assert save(Report("a", ()), None, artifacts).type == "record"
    assert save([Report("a", ())], None, artifacts).type == "json"


def test_a_record_comes_back_with_what_its_constructor_computed(artifacts):
    record = Derived([3, 1])
    record.total = 99
    loaded = load(save(record, None, artifacts), None, artifacts)
    assert loaded == record


def test_numpy_numbers_come_back_as_python_numbers(artifacts):
    """Every second step returns a np.float64 without knowing it."""
    value = {
        "auc": np.float64(0.75),
        "n": np.int32(3),
        "ok": np.bool_(True),
        "name": np.str_("x"),
        "nan": np.float32("nan"),
    }
    loaded = load(save(value, None, artifacts), None, artifacts)
    assert same(loaded, {"auc": 0.75, "n": 3, "ok": True, "name": "x", "nan": math.nan})
    assert digest_of(value) == digest_of(loaded)
    assert digest_of(np.float64(0.5)) == digest_of(0.5)
    assert load(save(np.int64(7), None, artifacts), int, artifacts) == 7


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [object()]}, r"value\['a'\]\[0\] of type builtins\.object"),
        ([Path("x")], r"value\[0\] of type pathlib\."),
        ({"m": np.zeros(2)}, r"value\['m'\] of type numpy\.ndarray"),
        (Report("a", (), {"f": len}), r"value\.extra\['f'\]"),
        ([np.datetime64("2013-01-01", "ns")], r"value\[0\] of type numpy\.datetime64"),
    ],
)
def test_the_part_that_is_not_plain_is_named(artifacts, value, where):
    with pytest.raises(MaterialiserError, match=where):
        save(value, None, artifacts)
    assert digest_of(value) is None


def test_a_class_inside_a_function_is_refused(artifacts):
    """It would be stored now and could not be loaded tomorrow."""

    @dataclass
    class Local:
        a: int

    with pytest.raises(MaterialiserError, match="top level of a module"):
        save(Local(1), None, artifacts)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ({"$": "record", "c": "subprocess:Popen", "v": {"args": "true"}}, "not a dataclass"),
        ({"$": "record", "c": "os:system", "v": {}}, "not a dataclass"),
        ({"$": "enum", "c": "subprocess:Popen", "v": "x"}, "not a enum|not an enum"),
        ({"$": "named", "c": "builtins:tuple", "v": []}, "not a named tuple"),
        ({"$": "record", "c": "no_such_module:X", "v": {}}, "cannot be found"),
        ({"$": "pickle", "v": ""}, "unknown tag"),
    ],
)
def test_a_tampered_store_runs_nothing(artifacts, encoded, message):
    """Whoever can write to a shared store could otherwise run code on everybody's machine."""
    with pytest.raises(MaterialiserError, match=message):
        decode(encoded)


def test_a_changed_dataclass_is_explained(artifacts, monkeypatch):
    draft = save(Report("a", ()), None, artifacts)

    @dataclass
    class Renamed:
        title: str

    Renamed.__qualname__ = "Report"
    monkeypatch.setattr(sys.modules[__name__], "Report", Renamed)
    with pytest.raises(MaterialiserError, match="has changed"):
        load(draft, None, artifacts)


def test_a_huge_integer_is_refused_clearly(artifacts):
    with pytest.raises(MaterialiserError, match="to_bytes"):
        save(1 << 20_000, None, artifacts)


def test_a_named_tuple_without_annotations_is_kept(artifacts):
    assert isinstance(save(Point(1, 2.0), None, artifacts), Draft)
    assert namedtuple("Point", "x y")(1, 2.0) == decode(encode(Point(1, 2.0)))
