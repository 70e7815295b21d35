"""A join on names must lose and double no row, take no partner by chance, and show what a person should decide."""

from __future__ import annotations

import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, MissingExtraError, SchemaError, UsageError
from tidemill.data import fuzzy
from tidemill.data.fuzzy import fuzzy_join

names = st.text(alphabet="abé -,", max_size=6)
rows = st.lists(st.tuples(st.one_of(st.none(), names), st.sampled_from(["x", "y", None])), max_size=12)


def similarity(a: str, b: str) -> float:
    """Twice the longest common subsequence over both lengths, by its definition."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(a) + len(b))


@settings(max_examples=150, deadline=None)
@given(rows, rows, st.sampled_from([0.5, 0.8, 1.0]))
def test_it_equals_its_definition_and_keeps_every_row_in_its_place(left, right, threshold):
    schema = {"name": pl.String, "city": pl.String}
    frame = pl.DataFrame(left, schema=schema, orient="row").with_row_index("row")
    other = pl.DataFrame(list(dict.fromkeys(right)), schema=schema, orient="row").with_row_index("id")
    out = fuzzy_join(frame, other, "name", by="city", threshold=threshold)
    assert out.table.select(frame.columns).equals(frame)
    for name, city, partner, score, identity in out.table.select("name", "city", "partner", "score", "id").rows():
        plain = None if name is None else fuzzy._plainly(name, "letters")
        offered = {
            known: similarity(plain, fuzzy._plainly(known, "letters"))
            for known, there in other.select("name", "city").rows()
            if plain and known is not None and city is not None and there == city
        }
        best = max(offered.values(), default=0)
        ties = [known for known, likeness in offered.items() if likeness == pytest.approx(best)]
        if best < threshold - 1e-9 or (len(ties) > 1 and name not in ties):
            assert (partner, score, identity) == (None, None, None)
        else:
            assert partner == (name if name in ties else ties[0])
            assert score == pytest.approx(best)
            assert other.row(identity, named=True)["name"] == partner
    assert out.report.rows == len(left)
    assert out.report.matched == out.table["partner"].is_not_null().sum()


def test_what_a_person_should_look_at_is_listed_with_the_reason():
    left = pl.DataFrame(
        {"shop": ["Blue Heron Books", "Acme Ltd", "Acme Ltd", "Grey Owl", "Northern Lights", "ZZZ", None]}
    )
    right = pl.DataFrame(
        {
            "name": ["Blue Heron Book", "Acme Ltd.", "Acme, Ltd", "Grey Owls", "Gray Owl", "Northern Light Co"],
            "id": [1, 2, 3, 4, 5, 6],
        }
    )
    out = fuzzy_join(left, right, {"shop": "name"}, threshold=0.93, margin=0.08)
    assert out.table["id"].to_list() == [1, None, None, 4, None, None, None]
    assert out.table.columns == ["shop", "id", "partner", "score"]
    doubtful = {row["shop"]: row for row in out.doubtful.to_dicts()}
    assert {shop: row["reason"] for shop, row in doubtful.items()} == {
        "Blue Heron Books": "just above",
        "Acme Ltd": "tie",
        "Grey Owl": "close second",
        "Northern Lights": "just below",
    }
    assert (doubtful["Acme Ltd"]["rows"], doubtful["Acme Ltd"]["second"]) == (2, 1.0)
    assert doubtful["Grey Owl"]["runner_up"] == "Gray Owl"
    assert (out.report.kind, out.report.matched, out.report.missing_keys) == ("fuzzy", 2, 1)
    assert out.report.unmatched == (("Acme Ltd", 2), ("Northern Lights", 1), ("ZZZ", 1))
    assert fuzzy_join(left, right, {"shop": "name"}, measure="words").report.kind == "fuzzy"


def test_a_key_that_is_written_the_same_wins_over_one_that_is_only_alike():
    left = pl.DataFrame({"name": ["ACME", "acme"]})
    right = pl.DataFrame({"name": ["Acme", "ACME"], "id": [1, 2]})
    out = fuzzy_join(left, right, "name")
    assert out.table["id"].to_list() == [2, None]
    assert out.doubtful["reason"].to_list() == ["tie"]


def test_words_in_another_order_and_scripts_with_vowel_signs():
    left = pl.DataFrame({"name": ["Light, Northern", "हिन्दी किताब", "???"]})
    right = pl.DataFrame({"name": ["Northern Light", "हिन्दी किताबें", "!!!"], "id": [1, 2, 3]})
    assert fuzzy_join(left, right, "name", measure="words", threshold=0.85).table["id"].to_list() == [1, 2, None]
    assert fuzzy_join(left, right, "name", threshold=0.85).table["id"].to_list() == [None, 2, None]


def test_joins_that_would_multiply_replace_or_mean_nothing_are_refused():
    left = pl.DataFrame({"name": ["a"], "score": [1.0], "n": [1]})
    right = pl.DataFrame({"name": ["a"], "id": [1]})
    with pytest.raises(SchemaError, match=r"would replace columns: \['score'\].*score="):
        fuzzy_join(left, right, "name")
    assert fuzzy_join(left, right, "name", score="likeness").table["id"].to_list() == [1]
    with pytest.raises(DataError, match="rows would multiply"):
        fuzzy_join(left, pl.concat([right, right]), "name", score="likeness")
    with pytest.raises(SchemaError, match="'n' is int64, and a fuzzy join compares text"):
        fuzzy_join(left, right, {"n": "name"}, score="likeness")
    with pytest.raises(UsageError, match="one text column"):
        fuzzy_join(left, right, {"name": "name", "n": "id"}, score="likeness")
    for wrong in ({"threshold": 0}, {"threshold": 90}, {"margin": -1}, {"measure": "sound"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            fuzzy_join(left, right, "name", score="likeness", **wrong)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "tidemill.integrations.similarity", raising=False)
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    table = pl.DataFrame({"name": ["a"]})
    with pytest.raises(MissingExtraError, match=r"tidemill\[fuzzy\]"):
        fuzzy_join(table, table.with_columns(x=1), "name")
