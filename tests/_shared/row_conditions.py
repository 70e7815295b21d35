"""Conditions over one row in SQL, and rows to judge by them."""

from __future__ import annotations

import math
from datetime import date, datetime

import polars as pl
from hypothesis import strategies as st

SCHEMA: dict[str, pl.DataType] = {
    "tiny": pl.Int8(), "whole": pl.Int64(), "byte": pl.UInt8(), "x": pl.Float64(), "y": pl.Float64(),
    "single": pl.Float32(), "flag": pl.Boolean(), "text": pl.String(), "day": pl.Date(), "at": pl.Datetime("us"),
}  # fmt: skip
INTEGERS, FLOATS = ["tiny", "whole", "byte"], ["x", "y"]
ODD_TEXT = ["", "a", "A", "ab", "ab\n", "ß", "é", "a b", "N12", "٣", "a\u0301", "\u2028", "²"]

ROW = st.fixed_dictionaries({
    "tiny": st.none() | st.integers(-128, 127),
    "whole": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5) | st.just(2**53 + 1),
    "byte": st.none() | st.integers(0, 255),
    "x": st.none() | st.floats() | st.sampled_from([0.0, -0.0, 0.1, 2.0, math.nan]),
    "y": st.none() | st.floats() | st.sampled_from([0.0, 0.1, 2.0**53]),
    "single": st.none() | st.floats(width=32) | st.just(0.1),
    "flag": st.none() | st.booleans(),
    "text": st.none() | st.text(max_size=4) | st.sampled_from(ODD_TEXT),
    "day": st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1)) | st.just(date(2013, 1, 1)),
    "at": st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),
})  # fmt: skip

#: Of 64 bits: Polars panics where it has to choose between short signed and unsigned numbers.
WIDE = st.sampled_from([*FLOATS, "whole"]) | st.integers(-300, 300).map(str) | st.just("2.5")
NUMBER = st.recursive(
    st.sampled_from([*INTEGERS, *FLOATS]) | st.integers(-300, 300).map(str),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner)
        | st.builds("ABS({})".format, inner)
        | st.builds("CAST({} AS DOUBLE)".format, st.sampled_from([*INTEGERS, *FLOATS]))
        | st.builds("COALESCE({}, {})".format, WIDE, WIDE)
        | st.builds("CASE WHEN flag THEN {} ELSE {} END".format, WIDE, WIDE)
    ),
    max_leaves=4,
)
COMPARISON = st.sampled_from(["<", "<=", ">", ">=", "=", "<>"])
TEXT = st.sampled_from(["text", "LOWER(text)", "UPPER(text)", "COALESCE(text, 'a')"])
CONDITION = st.recursive(
    st.builds("{} {} {}".format, NUMBER, COMPARISON, NUMBER)
    | st.builds("{} {} {}".format, st.sampled_from(FLOATS), COMPARISON, st.sampled_from(["0.1", "2.5", "-1e3"]))
    | st.builds("single {} {}".format, COMPARISON, st.sampled_from(["0.1", "2", "0.3"]))
    | st.builds("{} BETWEEN {} AND {}".format, st.sampled_from([*INTEGERS, *FLOATS]), NUMBER, NUMBER)
    | st.builds("{} IN ({})".format, st.sampled_from(INTEGERS), st.sampled_from(["1", "1, 2, 127", "0, -5"]))
    | st.builds("{} {} '{}'".format, TEXT, COMPARISON, st.sampled_from(["a", "A", "é", "SS"]))
    | st.builds("{} {} ('a', 'ß', '')".format, TEXT, st.sampled_from(["IN", "NOT IN"]))
    | st.builds("text LIKE '{}'".format, st.sampled_from(["a%", "%b", "%a%", "_", "a_", "N__"]))
    | st.builds("LENGTH(text) {} {}".format, COMPARISON, st.integers(0, 4))
    | st.builds("REGEXP_LIKE(text, '{}')".format, st.sampled_from(["^a", "b$", "\\w", "^\\W*$", "\\s", "[a-c]+"]))
    | st.builds("day {} DATE '2013-01-01'".format, COMPARISON)
    | st.builds("at {} TIMESTAMP '2013-06-01 12:00:00'".format, COMPARISON)
    | st.builds("{} IS {}NULL".format, st.sampled_from(list(SCHEMA)), st.sampled_from(["", "NOT "]))
    | st.sampled_from(["flag", "flag = TRUE", "flag IS NOT TRUE"]),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner)
    | st.builds("NOT ({})".format, inner)
    | st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, inner),
    max_leaves=5,
)  # fmt: skip
