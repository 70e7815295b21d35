"""The screen is what most people see of an exploration: it must fit, and data must not take over the terminal."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.bins import bins_of
from tidemill.data.exploration_text import distribution, screen, sparkline
from tidemill.data.explore import explore
from tidemill.data.profile import measure_column
from tidemill.data.text_table import cut, fitted, on_one_line, wide, wrapped

ROWS = 200
TIDES = pl.DataFrame(
    {
        "port": ["Emden", "Husum", "Büsum", "Esbjerg"] * (ROWS // 4),
        "level": [float(place % 17) for place in range(ROWS - 1)] + [9_123.0],
        "spare": [None if place % 5 else 1.5 * place for place in range(ROWS)],
        "high": [place % 2 for place in range(ROWS)],
        "number": list(range(ROWS)),
    }
)


def test_the_worst_comes_first_with_what_to_do():
    found = explore(TIDES, target="high")
    text = screen(found, title="tides.csv", width=100)
    assert text.startswith("tides.csv  200 rows × 5 columns\n")
    assert "Findings: 1 error" in text
    assert text.index("impossible value") < text.index("mostly missing") < text.index("\ncolumn ")
    assert "→" in text.split("impossible value")[1].split("mostly")[0]
    assert "80.0%" in text
    assert "Büsum 25%, Emden 25%" in text or "Esbjerg 25%, Emden 25%" in text
    assert "keys      number" in text
    assert "auc of each column alone" in text


def test_a_record_prints_as_its_screen_and_is_short_in_a_list():
    found = explore(TIDES)
    assert str(found) == screen(found)
    assert repr([found]) == f"[Exploration(rows=200, columns=5, findings={len(found.findings)})]"


def test_a_clean_table_says_so():
    assert "No defects found." in screen(
        explore(pl.DataFrame({"a": [n * 0.5 for n in range(60)], "b": ["x", "y"] * 30}))
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    table = TIDES.rename({"port": "ein sehr langer Name für einen Hafen, 港の名前がとても長い", "level": "水位" * 30})
    parts = {"test": table.tail(60)}
    lines = screen(explore(table, target="high", parts=parts), width=width).splitlines()
    assert max(map(wide, lines)) <= width
    header = next(line for line in lines if line.startswith("column "))
    assert header.endswith("distribution")
    assert ("least" in header) == (width > 80)


def test_data_cannot_move_the_cursor_or_colour_the_screen():
    table = pl.DataFrame({"a\n\x1b[31mred": ["x\r\x07"] * 30 + ["\u202ey"], "b": ["1\x00"] * 31})
    found = screen(explore(table), title="file\x1b[2J.csv")
    assert not [letter for letter in found if letter != "\n" and not letter.isprintable()]


def test_a_wide_table_shows_what_matters_and_says_how_much():
    table = pl.DataFrame({f"c{place}": [float(row * place % 7) for row in range(30)] for place in range(1, 100)})
    table = table.with_columns(c90=pl.lit(None, dtype=pl.Float64))
    text = screen(explore(table), width=100)
    assert "the 40 most interesting of 99 columns" in text
    assert "\nc90 " in text
    assert len(text.splitlines()) < 90


def test_styles_mark_words_and_change_nothing_else():
    found = explore(TIDES)
    seen: set[str] = set()

    def mark(text: str, tone: str) -> str:
        seen.add(tone)
        return text

    assert screen(found, style=mark) == screen(found)
    assert {"error", "warning", "note", "title", "muted"} <= seen


def test_a_distribution_fits_in_a_cell():
    shown = {
        column.name: distribution(measure_column(column).profile)
        for column in (
            pl.Series("uniform", range(1, 11)),
            pl.Series("same", [3, 3]),
            pl.Series("names", ["a", "b", "c"]),
            pl.Series("none", [None, None], dtype=pl.Int64),
            pl.Series("infinite", [float("inf"), 1.0, 2.0, 3.0]),
        )
    }
    assert shown["uniform"] == "█" * 10
    assert shown["same"] == "always 3"
    assert shown["names"].startswith("such as ")
    assert shown["none"] == ""
    assert len(shown["infinite"]) == 10
    assert sparkline([]) == sparkline([0, 0]) == ""


@given(st.lists(st.integers(-50, 50), min_size=1))
def test_bins_of_whole_numbers_lose_none_and_hold_as_many_numbers_as_they_are_wide(values):
    profile = measure_column(pl.Series("x", values, dtype=pl.Int64)).profile
    edges, counts = bins_of(profile)
    assert sum(counts) == len(values)
    assert len(edges) == len(counts) + 1
    if profile.distinct > 1:
        assert all(edge % 1 == 0.5 for edge in edges)
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            assert count == sum(low < value < high for value in values)


@given(st.text(), st.integers(1, 40))
def test_cut_text_takes_no_more_places_than_it_may(text, width):
    assert wide(cut(text, width)) <= max(width, 1)
    assert cut(text, wide(text) + 1) == text
    assert on_one_line(text).isprintable()


@given(st.text(), st.integers(8, 40))
def test_wrapped_text_fits_and_loses_no_word(text, width):
    lines = list(wrapped(text, width, first="> ", rest="  "))
    assert all(wide(line) <= width for line in lines)
    assert "".join("".join(line[2:] for line in lines).split()) == "".join(text.split())


def test_columns_give_way_in_their_order():
    rows = [("a" * 20, "b" * 20, "c" * 20, "d" * 20, "e")]
    headers = ("first", "second", "third", "fourth", "last")
    assert next(fitted(headers, rows, 130, right=(), drop=(1, 2))).split() == list(headers)
    assert next(fitted(headers, rows, 75, right=(), drop=(1, 2))).split() == ["first", "third", "fourth", "last"]
    assert next(fitted(headers, rows, 40, right=(), drop=(1, 2))).split() == ["first", "fourth", "last"]
