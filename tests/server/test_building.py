"""The page tells a run: its outcome first, every record under a title of its own, nothing left out in silence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import polars as pl
import pytest

from tidemill.core.records import ModelVersion, Run
from tidemill.data.availability import Leak
from tidemill.data.clean import CleaningReport
from tidemill.data.enrich import key_join
from tidemill.data.explore import explore
from tidemill.data.infer import infer_contract
from tidemill.data.split import by_share, split
from tidemill.data.validate import validate
from tidemill.monitoring import drift_between
from tidemill.server.report import data_sections, model_sections, watch_sections, write_report
from tidemill.server.report.building import badges, in_order, sections_of
from tidemill.server.summary import RunSummary, Stage

RUN = Run("01run", "harbour", "train", "succeeded", 1_700_000_000_000_000, 1_700_000_002_500_000, host="mill")
TIDES = pl.DataFrame(
    {
        "port": ["A", "B", "C", "D"] * 25,
        "level": [float(n % 17) for n in range(100)],
        "high": [n % 2 for n in range(100)],
    }
)


def promise(status="passed", value=0.71, margin=0.06):
    return {
        "name": "ranking",
        "statement": "Ranks <well>",
        "moment": "test",
        "bound": "roc_auc ≥ 0.65",
        "value": value,
        "low": None if value is None else value - 0.01,
        "high": None if value is None else value + 0.01,
        "margin": margin,
        "status": status,
    }


def version(gate):
    return ModelVersion("01v", "tide", 3, 1_700_000_000_000_000, "01run", None, "01p", gate=gate)


def summary(*records, subjects=None, stages=()):
    return RunSummary(RUN, tuple(stages), tuple(records), subjects or {})


def stage(node, status="succeeded", seconds=0.5, name=None, error=""):
    return Stage(name or node.partition("#")[0], node, status, seconds, seconds, 10, 9, f"01{node}", error)


class Text(HTMLParser):
    """The visible text of some HTML, and whether its elements close in order."""

    VOID = frozenset({"meta", "br", "hr", "img", "line", "path", "rect", "circle", "use", "link"})

    def __init__(self, html):
        super().__init__()
        self.open, self.words = [], []
        self.feed(html)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Nothing is left open."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def titles(of):
    return [section.title for section in in_order(sections_of(of))]


def test_titles_name_the_source_and_then_the_step_where_that_is_not_enough():
    found = explore(TIDES)
    subjects = {"explore": "tides", "explore#2": "weather", "explore#3": "weather"}
    assert titles(summary(*((node, "output", found) for node in subjects), subjects=subjects)) == [
        "Exploration of tides",
        "Exploration of weather (explore#2)",
        "Exploration of weather (explore#3)",
    ]
    assert titles(summary(("explore", "output", found))) == ["Exploration"]


def test_the_outcome_comes_first():
    records = [
        ("explore", "output", explore(TIDES)),
        ("leaks", "output", [Leak("level", "landed_at", 1.0, None, 0.9)]),
        ("register", "output", version({"passed": True, "promises": [promise()]})),
    ]
    assert titles(summary(*records)) == ["Gate and registry", "Exploration", "Leaks"]


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    records = [("explore", "output", explore(TIDES)), ("register", "output", version({"passed": False}))]
    stages = [stage("read", "cached", 0.0), stage("explore"), stage("fit", "failed", error="ValueError: <b>\nmore")]
    path = write_report(summary(*records, stages=stages), tmp_path / "new" / "report.html")
    html = path.read_text(encoding="utf-8")
    text = Text(html).text
    assert "harbour · train" in text
    assert "3 steps, 1 of them taken from earlier runs" in text
    assert "ValueError: <b>" in text
    assert "more" not in re.findall(r"ValueError[^ ]* [^ ]* (\w+)", text)
    assert path.stat().st_size < 1_000_000
    assert not re.search(r'(src|href)="(?!#)|url\(|@import|<script', html)
    anchors = re.findall(r'<section id="(s\d+)"', html)
    assert re.findall(r'href="#(s\d+)"', html) == anchors
    assert len(set(anchors)) == len(anchors) == 3


def test_labels_of_charts_are_not_cut_off(tmp_path):
    pytest.importorskip("vl_convert", reason="charts need the extra [report]")
    html = write_report(summary(stages=[stage("a_step_with_a_rather_long_name")]), tmp_path / "r.html").read_text()
    assert "overflow:visible" in html
    assert "a_step_with_a_rather_long_name" in html


def test_badges_say_how_it_ended():
    assert badges(summary()) == [("status", "succeeded", "good")]
    passed = badges(summary(("register", "output", version({"passed": True, "promises": [promise()]}))))
    assert passed[1:] == [("version", "tide@3", "plain"), ("gate", "passed", "good")]
    assert badges(summary(("register", "output", version({}))))[-1] == ("gate", "not run", "warn")
    broken = version({"passed": False, "promises": [promise("failed", 0.6, -0.05)]})
    assert badges(summary(("register", "output", broken)))[-1] == ("gate", "not passed", "bad")


def test_stage_labels_have_a_column_only_where_they_say_more(tmp_path):
    plain = write_report(summary(stages=[stage("fit"), stage("fit#2")]), tmp_path / "a.html").read_text()
    named = write_report(summary(stages=[stage("fit", name="training")]), tmp_path / "b.html").read_text()
    assert "<th>stage</th>" not in plain
    assert "<th>stage</th>" in named


@dataclass(frozen=True)
class Note:
    """What somebody wrote down."""

    text: str
    values: list[str]


def test_an_unknown_record_is_shown_as_it_is():
    section = watch_sections.anything(Note('5 > 3 & "so"', ["a", "<b>"]), "note")
    assert section.summary == "What somebody wrote down."
    text = Text(section.body).text
    assert '5 > 3 & "so"' in text
    assert '["a", "<b>"]' in text  # escaped once, not twice


def test_the_gate_shows_every_promise_with_its_numbers():
    section = model_sections.version(
        version({"passed": False, "promises": [promise(), promise("missing", None, None)]})
    )
    text = Text(section.body).text
    assert "Ranks <well>" in text
    assert "0.7 – 0.72" in text
    assert "missing" in text
    assert "did not pass the gate (2 promises checked)" in section.summary
    assert "no promise was checked" in model_sections.version(version({})).summary


def test_exploration_and_validation_show_what_was_found():
    dirty = TIDES.with_columns(level=pl.when(pl.col("level") > 15).then(9_999.0).otherwise(pl.col("level")))
    explored = data_sections.exploration(explore(dirty))
    assert "100 rows, 3 columns" in explored.summary
    assert "level" in Text(explored.body).text
    report = validate(dirty, infer_contract(TIDES, "tides"), fail=False).report
    section = data_sections.validation(report)
    assert section.title == "Contract: tides"
    assert "in quarantine" in section.summary
    assert "9999" in Text(section.body).text
    kept = data_sections.validation(validate(TIDES, infer_contract(TIDES, "tides"), fail=False).report)
    assert kept.body == ""


def test_cleaning_joins_splits_and_leaks_are_told():
    assert "5 rows in, 4 out" in data_sections.cleaning(CleaningReport(5, 4, ())).summary
    ports = pl.DataFrame({"port": ["A", "B"], "depth": [3.0, 4.0]})
    joined = data_sections.join(key_join(TIDES, ports, "port").report)
    assert joined.title == "Lookup: depth"
    assert "50.0% of 100 rows" in joined.summary
    divided = data_sections.split(split(TIDES, by_share(0.6, 0.2), "high").spec)
    assert "Target high, 2 features" in divided.summary
    leak = data_sections.leaks([Leak("level", "landed_at", 0.5, 7200.0, 0.92)])
    text = Text(leak.body).text
    assert "2.0 h" in text
    assert "0.92" in text


def test_drift_shows_what_changed_most():
    shifted = TIDES.with_columns(pl.col("level") + 10)
    section = watch_sections.drift(drift_between(TIDES, shifted))
    text = Text(section.body).text
    assert "drifted" in text
    assert "level" in text
    assert section.summary.startswith("1 of 3 columns drifted")
