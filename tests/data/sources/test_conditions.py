"""What a database is asked for must contain every row that the condition means, or rows would be lost in silence."""

from __future__ import annotations

import sqlite3

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.sources.conditions import Term, pushable

NUMBERS = st.one_of(st.integers(-5, 5).map(str), st.sampled_from(["-2.5", "0.1", "1e0", "3.999"]))
TEXTS = st.sampled_from(["'a'", "'B'", "'it''s'", "''"])
ATOMS = st.one_of(
    st.builds("n {} {}".format, st.sampled_from(["=", "<", "<=", ">", ">=", "!=", "<>"]), NUMBERS),
    st.builds("t {} {}".format, st.sampled_from(["=", "<>", "<"]), TEXTS),
    st.builds("t IN ({}, {})".format, TEXTS, TEXTS),
    st.builds("n NOT IN ({})".format, NUMBERS),
    st.sampled_from(["n IS NULL", "t IS NOT NULL", '"n" = 1', "n BETWEEN -1 AND 2", "NOT (n = 1)", "n + 1 > 2"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.builds("{} AND {}".format, inner, inner), st.builds("({} OR {})".format, inner, inner)),
    max_leaves=4,
)
ROWS = [(n, t) for n in (None, -5, -2.5, -1, 0, 0.1, 1, 3, 4) for t in (None, "", "a", "B", "it's")]


def clause(term: Term) -> tuple[str, tuple]:
    if term.operator.startswith("is"):
        return f'"{term.column}" {term.operator}', ()
    if term.operator == "in":
        return f'"{term.column}" IN ({", ".join("?" * len(term.values))})', term.values
    return f'"{term.column}" {term.operator} ?', term.values


@given(CONDITIONS)
def test_no_row_that_is_meant_is_left_behind(where):
    table = pl.DataFrame(ROWS, schema={"n": pl.Float64, "t": pl.String}, orient="row", strict=False)
    meant = table.filter(pl.sql_expr(where)).rows()
    parts = [clause(term) for term in pushable(where)]
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE x (n REAL, t TEXT)")
        database.executemany("INSERT INTO x VALUES (?, ?)", ROWS)
        text = " AND ".join(part for part, _ in parts) or "1 = 1"
        found = database.execute(f"SELECT n, t FROM x WHERE {text}", [v for _, vs in parts for v in vs]).fetchall()
    database.close()
    assert set(meant) <= set(found), where


def test_what_is_understood():
    where = """origin = 'O''Hare' AND "arr delay" >= 2.5 AND n IN (1, 2) AND x IS NOT NULL AND note LIKE 'a%'"""
    assert pushable(where) == (
        Term("origin", "=", ("O'Hare",)),
        Term("arr delay", ">=", (2,)),
        Term("n", "in", (1, 2)),
        Term("x", "is not null"),
    )
    assert pushable("a = 1; DROP TABLE x") == ()
    assert pushable("a = 99999999999") == ()
