"""A result that prints as a wall of frames is not read: counts, reasons and where to look must come first, and fit."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from tidemill.data.clean import clean
from tidemill.data.contract import ColumnRule, TableContract
from tidemill.data.enrich import asof_join, key_join
from tidemill.data.operations import CleaningPlan, DropColumns, DropMissing, NullOutside
from tidemill.data.results_text import SHOWN, screen
from tidemill.data.split import by_share, by_time, split
from tidemill.data.text_table import wide
from tidemill.data.validate import validate

ROWS = 120
EVIL = "\x1b[31m<script>alert(1)</script>"
TIDES = pl.DataFrame(
    {
        "at": [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(ROWS)],
        "level": [float(hour % 17) for hour in range(ROWS - 1)] + [9_123.0],
        "port": ["Emden", "Husum", EVIL, "Husum"] * (ROWS // 4),
        "high": [hour % 3 == 0 for hour in range(ROWS)],
        "x" * 300: [None, 1] * (ROWS // 2),
    }
)
RULES = (ColumnRule("level", "number", maximum=200), ColumnRule("port", "string", values=("Emden", "Husum")))
CHECKED = validate(TIDES, TableContract("tides", RULES))


def lines(result, start: str) -> list[list[str]]:
    return [line.split() for line in str(result).splitlines() if line.strip().startswith(start)]


def results():
    plan = CleaningPlan((NullOutside("level", maximum=10), DropMissing(("x" * 300,)), DropColumns(("port",))))
    cleaned = clean(TIDES, plan)
    ports = pl.DataFrame({"port": ["Emden"], "country": [EVIL]})
    joined = key_join(TIDES, ports, "port")
    parts = split(TIDES, by_time("2024-01-03", "2024-01-04", time="at"), "high", entity="port")
    return [CHECKED, CHECKED.report, cleaned, cleaned.report, joined, joined.report, parts]


def test_a_validated_table_says_which_rule_took_how_many_rows_and_where_they_are():
    assert str(CHECKED).startswith("tides: 120 rows, 89 valid, 31 in quarantine; 2 rules, 2 broken\n")
    assert lines(CHECKED, "quarantine")[1] == ["quarantine", "level", ">", "200", "1", "120", "0.8%", "[9123.0]"]
    assert "→ .quarantined has 31 rows with their reasons" in str(CHECKED)
    assert repr([CHECKED]).startswith("[Validated(valid=89, quarantined=31, report=ValidationReport(")


@pytest.fixture(autouse=True)
def _on_a_usual_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def test_a_cleaned_table_says_what_became_of_its_columns_and_rows():
    cleaned = results()[2]
    assert str(cleaned).startswith("120 rows before, 60 after\n")
    assert lines(cleaned, "port") == [["port", "dropped", "string", "0"]]
    assert "→ .quarantined has 60 rows with their reasons" in str(cleaned)


def test_a_join_says_how_many_found_a_partner_and_what_did_not():
    joined = results()[4]
    assert str(joined).startswith("key join by port: 30 of 120 rows matched (25.0%)\n")
    assert lines(joined, "'Husum'") == [["'Husum'", "60"]]
    readings = pl.DataFrame({"t": [datetime(2023, 12, 31)], "wind": [3]})
    assert "the median age of a partner is 3.48 days" in str(asof_join(TIDES, readings, left_time="at", right_time="t"))


def test_a_split_says_how_large_its_parts_are_what_they_hold_and_what_leaks():
    parts = results()[6]
    assert lines(parts, "validation") == [
        ["validation", "24", "20.0%", "2024-01-03", "00:00", "2024-01-03", "23:00", "33.3%"]
    ]
    assert "leak: 72 later rows about an entity of the training rows" in str(parts)
    assert "no leak found; looked for: same row" in str(split(TIDES, by_share(), "level", features=["high"]))
    assert repr(parts) == "Splits(train=48, validation=24, test=48, target='high')"


@pytest.mark.parametrize("target", ["level", "port", "high", "x" * 300])
def test_the_target_of_any_kind_is_told_by_part(target):
    title = str(split(TIDES, by_share(), target, features=["at"])).splitlines()[2]
    assert {"level": "mean level", "port": "port = 'Husum'", "high": "share of high"}.get(target, "xxx") in title


@pytest.mark.parametrize("result", results(), ids=lambda result: type(result).__name__)
def test_no_result_takes_over_the_screen_or_the_page(result):
    """Names and values come from the data: they may be long, and they may be code."""
    text = screen(result, width=80)
    assert "\x1b" not in text
    assert max(map(wide, text.splitlines())) <= 100
    assert len(repr(result)) < 200
    page = result._repr_html_()
    assert "<script" not in page
    assert page.startswith('<div class="tidemill-box">')
    assert len(page) < 20_000


def test_every_result_that_is_shown_is_tried_here():
    tried = {type(result).__name__ for result in results()} | {"FuzzyEnriched"}
    assert tried == set(SHOWN)
