"""A report is read by people who were not there: it must be one safe file that opens anywhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from tidemill.server.report import charts
from tidemill.server.report.page import Section, cell, figure, render, table, tag, write_page


class Checker(HTMLParser):
    """Collects elements and fails on a mismatched end tag."""

    VOID = frozenset({"meta", "br", "hr", "img", "line", "path", "rect", "circle", "use", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


ROWS = [{"name": f"m{i}", "value": 0.7 + i / 100, "low": 0.69, "high": 0.8} for i in range(3)]


def page() -> str:
    body = figure(charts.intervals(ROWS, label="name", title="ROC AUC", reference=0.65), "By month") + table(
        ["what", "value"], [["<script>alert(1)</script>", 3.14159], ["rows", 336_776]], numeric=["value"]
    )
    return render("Run <1>", "lead & more", [("gate", "passed", "good")], [Section("Test", body, "test", "a < b")])


def test_the_page_is_well_formed_and_asks_nobody_for_anything():
    checker = Checker()
    html = page()
    checker.feed(html)
    assert checker.stack == []
    assert "script" not in checker.tags
    assert not re.search(r'(src|href)="(?!#)', html)
    assert not re.search(r"url\(|@import", html)


def test_what_comes_from_data_is_escaped():
    html = page()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Run &lt;1&gt;" in html
    assert "a &lt; b" in html


def test_charts_are_drawn_into_the_page_and_shrink_with_it():
    html = page()
    assert "<svg" in html
    assert 'style="max-width:' in html
    assert "By month" in html


def test_without_the_renderer_the_caption_names_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(charts.importlib, "import_module", missing)
    assert "tidemill[report]" in figure(charts.lines([], x="a", y="b", x_title="a", y_title="b"), "ROC")


def test_every_chart_is_plain_json_and_renders():
    specs = [
        charts.intervals(ROWS, label="name", title="AUC"),
        charts.lines([{"a": 0, "b": 0}, {"a": 1, "b": 1}], x="a", y="b", x_title="x", y_title="y", diagonal=True),
        charts.bars(ROWS, label="name", value="value", title="share", highlight="hot"),
        charts.histograms(
            [{"bin": "a", "share": 0.5, "who": "now"}], bin_label="bin", share="share", group="who", title="x"
        ),
        charts.points([{"n": 1, "v": 0.7, "best": 0.7}], x="n", y="v", x_title="trial", y_title="AUC"),
    ]
    for spec in specs:
        assert json.loads(json.dumps(spec)) == spec
        assert (charts.to_svg(spec) or "").startswith("<svg")


def test_numbers_are_short_and_missing_ones_are_a_dash():
    assert [cell(v) for v in (None, 0.123456, 336776, 12345.6, True, "a<b")] == [
        "–",
        "0.1235",
        "336,776",
        "12,346",
        "yes",
        "a&lt;b",
    ]
    assert cell(tag("failed", "bad")) == '<span class="tag bad">failed</span>'


def test_a_page_that_cannot_be_written_whole_leaves_the_one_that_was_there(tmp_path):
    page = tmp_path / "page.html"
    write_page("<p>first</p>", page)
    with pytest.raises(UnicodeEncodeError):
        write_page("<p>second \ud800</p>", page)
    assert page.read_text() == "<p>first</p>"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
