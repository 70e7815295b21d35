"""A plan that comes back changed from its file, or loses a row without a reason, cleans something else."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, UsageError
from tidemill.data.clean import clean
from tidemill.data.near_duplicates import first_of_similar
from tidemill.data.operations import (
    LEARNED,
    STATELESS,
    CleaningPlan,
    Clip,
    DeduplicateSimilar,
    Derive,
    DropColumns,
    DropMissing,
    EncodeOrdinal,
    FillConstant,
    MergeCategories,
    NullOutside,
    plan_from_toml,
    plan_to_toml,
)


def arguments(kind: type) -> st.SearchStrategy:
    """Any record of an operation, from the types of its fields."""
    by_type = {
        "str": st.text(max_size=5), "float": st.floats(allow_nan=False), "int": st.integers(-5, 5),
        "bool": st.booleans(), "str | None": st.none() | st.text(max_size=3),
        "tuple[str, ...]": st.lists(st.text(max_size=3), max_size=3).map(tuple),
        "tuple[str, ...] | None": st.none() | st.lists(st.text(max_size=3), max_size=3).map(tuple),
        "tuple[float, ...]": st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
        "tuple[Any, ...]": st.lists(st.integers() | st.text(max_size=3), max_size=3).map(tuple),
        "float | None": st.none() | st.floats(allow_nan=False), "int | None": st.none() | st.integers(0, 5),
        "Any": st.text(max_size=3) | st.integers() | st.booleans(),
        "Mapping[str, str]": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        "str | tuple[str, str, str]": st.text(max_size=3) | st.tuples(*[st.text(max_size=2)] * 3),
    }  # fmt: skip
    fields = {
        name: by_type[field.type]
        for name, field in kind.__dataclass_fields__.items()
        if field.type in by_type and name != "kind"
    }
    return st.builds(kind, **fields)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of([arguments(kind) for kind in (*STATELESS, *LEARNED)]), max_size=4))
def test_a_plan_comes_back_from_toml_and_json_as_it_was(operations):
    plan = CleaningPlan(tuple(operations), tuple(f"because {place}" for place in range(len(operations))))
    assert plan_from_toml(plan_to_toml(plan)) == plan
    assert CleaningPlan.from_dict(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("operations = 3", "has a list of operations"),
        ("[[operation]]\nkind = 'clip'", "has a list of operations"),
        ("[[operations]]\nkind = 'clipp'", "Did you mean 'clip'"),
        ("[[operations]]\nkind = 'clip'", "clip is incomplete"),
        ("[[operations]]\nkind = 'clip'\ncolumn = 'x'\nmax = 3", "unknown options"),
        ("operations = [", "not TOML"),
    ],
)
def test_mistakes_in_a_plan_are_named(text, words):
    with pytest.raises(ConfigError, match=words):
        plan_from_toml(text)


def test_rows_with_holes_go_to_quarantine_with_the_reason():
    table = pl.DataFrame({"x": [1.0, None, float("nan"), 4.0], "k": ["a", None, "c", None]})
    out = clean(table, CleaningPlan((DropMissing(("x", "k")),)))
    assert out.table.rows() == [(1.0, "a")]
    assert out.quarantined["reasons"].to_list() == [["x or k is missing"]] * 3
    both = clean(table, CleaningPlan((DropMissing(("x", "k"), how="all"),)))
    assert both.quarantined.height == 1


def test_rows_that_are_nearly_the_same_are_found_without_losing_others():
    table = pl.DataFrame({
        "name": ["Café Müller", "cafe muller", "CAFÉ  MÜLLER.", "Cafe Miller & Sons", None, None],
        "city": ["Kiel", "Kiel", "Bonn", "Kiel", "Kiel", "Kiel"],
    })  # fmt: skip
    out = clean(table, CleaningPlan((DeduplicateSimilar(("name",), 0.9, within=("city",)),)))
    assert out.table["name"].to_list() == ["Café Müller", "CAFÉ  MÜLLER.", "Cafe Miller & Sons", None]
    assert out.quarantined["reasons"].to_list()[0] == ["(name) nearly repeats an earlier row"]
    with pytest.raises(UsageError, match="between 0 and 1"):
        first_of_similar(["a"], 0)


def _runs(text: str) -> set[str]:
    padded = f"  {' '.join(text.split())} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


@settings(deadline=None)
@given(st.lists(st.text("ab c", max_size=8), max_size=12), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_no_near_duplicate_is_missed(texts, similarity):
    found = first_of_similar(texts, similarity)
    kept: list[int] = []
    for place, text in enumerate(texts):
        alike = [
            other
            for other in kept
            if len(_runs(text) & _runs(texts[other])) >= similarity * len(_runs(text) | _runs(texts[other]))
        ]
        assert found[place] == (alike[0] if alike else place)
        if not alike:
            kept.append(place)


def test_the_report_shows_what_was_done_in_a_terminal_and_in_a_notebook(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    table = pl.DataFrame({"wind": [10.4, 1048.4, None], "<b>": ["x", "y", "z"], "year": [2013, 2013, 2013]})
    plan = CleaningPlan((NullOutside("wind", maximum=200), DropColumns(("year",)), Derive("calm", "wind < 5")))
    report = clean(table, plan).report
    shown = str(report)
    assert shown.startswith("3 rows before, 3 after\n\noperation")
    assert [line.split() for line in shown.splitlines() if line.startswith(("null_outside", "year", "calm"))] == [
        ["null_outside", "wind", "1", "0", "1", "2", "1048.4", "to", "None"],
        ["year", "dropped", "int64", "0"],
        ["calm", "added", "bool", "2"],
    ]
    assert "<td>null_outside</td>" in report._repr_html_()
    marked = clean(table, CleaningPlan((FillConstant("<b>", "x"),))).report._repr_html_()
    assert "<b>" not in marked
    assert "&lt;b&gt;" in marked
    with pytest.raises(UsageError, match="do not learn"):
        clean(table, CleaningPlan((EncodeOrdinal("year"),)))


def test_cleaning_notes_the_columns_that_are_no_longer_what_was_checked():
    table = pl.DataFrame({"x": [1, 50], "y": [1, 2], "k": ["a", "b"]})
    plan = CleaningPlan((Clip("x", 0, 9), Clip("y", 0, 9), MergeCategories("k", {"a": "z"})))
    out = clean(table, plan)
    assert out.changed == ("x", "k")
    assert clean(out, CleaningPlan(())).changed == ("x", "k")
