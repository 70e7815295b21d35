"""A cell that a whole column reads otherwise than the cell alone would be a wrong answer without a word."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.validator import Problem, compile_validator
from tidemill.serving.scoring.cells import read_cells, typed_cells
from tidemill.serving.scoring.columns import check_columns
from tidemill.serving.scoring.scorer import _typed_values

TYPES = [
    {"type": "int8"}, {"type": "int64", "minimum": 0, "maximum": 300}, {"type": "uint64"}, {"type": "float64"},
    {"type": "float32", "minimum": -0.5, "maximum": 2.5}, {"type": "decimal[10, 2]"}, {"type": "bool"},
    {"type": "string"}, {"type": "string", "categories": ("1", "True")}, {"type": "categorical[u32]"},
    {"type": "int64", "semantic": "category", "categories": ("0", "5")}, {"type": "int64", "semantic": "category"},
    {"type": "float64", "semantic": "category"}, {"type": "bool", "semantic": "category", "categories": ("True",)},
    {"type": "date"}, {"type": "timestamp[us]"}, {"type": "timestamp[us, UTC]"}, {"type": "duration[us]"},
]  # fmt: skip
#: What people, spreadsheets and other programs write.
CELLS = [
    None, "", " ", "0", "1", "5", "05", "+5", "-0", "-5", " 5\t", "5.0", "5.", ".5", "2.5", "1e2", "1E400", "1_000",
    "0x10", "nan", "NaN", "-nan", "inf", "-Infinity", "1,5", "9007199254740991", "9007199254740993",
    "-9007199254740993", "1" * 30, "0." + "3" * 40, "١٢", "５", "\x1c7", "\u20037", "true", "True", " FALSE", "yes",
    "2013-08-01", "20130801", "2013-08-01T12:00:00", "2013-08-01T12:00:00Z", "2013-08-01 12:00:00.123456789",
    "2013-08-01T12:00:00+02:00", "2013-08-01T12:00:00+00:00", "0001-01-01", "9999-12-31T23:59:59", "2013-W31-4",
    "2013-02-30", "1375358400", "IAH",
]  # fmt: skip
CELL = st.one_of(
    st.sampled_from(CELLS),
    st.text(st.sampled_from("0123456789+-.eE_ nafiINF\u00a0"), max_size=7),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.datetimes().map(str),
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: "-".join(map(str, kind.values())))
@given(cells=st.lists(CELL, min_size=1, max_size=6), nullable=st.booleans())
@settings(max_examples=150)
def test_columns_of_text_hold_what_the_row_validator_makes_of_each_cell(
    kind: dict[str, Any], cells: list[str | None], nullable: bool
) -> None:
    signature = Signature(TableSchema((Column("x", nullable=nullable, **kind),)), "regression", "y")
    frame = pl.DataFrame({"x": pl.Series(cells, dtype=pl.String)})
    read, unread = read_cells(frame, signature, ["x"])
    checked = check_columns(signature, read)
    values, validate, said = _typed_values(signature, read, checked.columns), compile_validator(signature), checked
    for place, row in enumerate(typed_cells(frame, signature, ["x"])):
        if unread[place] or not checked.clean[place]:
            continue
        warnings: list[str] = []
        typed = validate(row, place, warnings)
        assert not isinstance(typed, Problem), (row, typed)
        assert values[place] is not None
        assert same(values[place][0], typed["x"]), (cells[place], values[place], typed)
        own = said.own.get(place, [text for mask, text in said.warnings if mask[place]])
        assert warnings == own


def test_what_is_usual_is_read_by_columns() -> None:
    """Else it would be right, and slow."""
    usual = [
        ("int64", ["3", None, "-4"]), ("float64", ["3", "2.5", "1e3", None]), ("bool", ["true", "False", "1"]),
        ("date", ["2013-08-01", None]), ("timestamp[us, UTC]", ["2013-08-01T12:00:00Z", "2013-08-01 12:00:00+00:00"]),
        ("timestamp[us]", ["2013-08-01T12:00:00"]), ("string", ["a"]),
    ]  # fmt: skip
    for kind, cells in usual:
        signature = Signature(TableSchema((Column("x", kind),)), "regression", "y")
        read, unread = read_cells(pl.DataFrame({"x": cells}), signature, ["x"])
        assert not unread.any(), kind
        assert check_columns(signature, read).clean.all(), kind


def test_one_moment_of_another_zone_does_not_slow_the_others() -> None:
    signature = Signature(TableSchema((Column("x", "timestamp[us]"),)), "regression", "y")
    cells = pl.DataFrame({"x": ["2013-08-01T12:00:00Z", "2013-08-01T12:00:00", "2013-08-01T12:00:00+02:00", "soon"]})
    assert np.flatnonzero(read_cells(cells, signature, ["x"])[1]).tolist() == [1, 2, 3]
