"""If these fail, somebody who prints an evaluation gets thousands of numbers and no answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest

import tidemill as tm
from tidemill.data.results_text import screen
from tidemill.registry.card_sections import comparisons as card_comparisons
from tidemill.server.report.evaluation_parts import comparisons

QUICK = {"importance": False, "bootstrap": 20}


@pytest.fixture(scope="module")
def found(model, flights):
    broken = flights.validation.with_columns(late=pl.col("late") ^ (pl.col("carrier") == "EV"))
    return tm.evaluate(model, broken, slices=["carrier"], against=replace(model, name="old"), **QUICK)


def test_an_evaluation_prints_its_metrics_comparisons_slices_and_weak_parts(found):
    lines = screen(found, width=120).splitlines()
    assert lines[0] == f"delay at evaluation: binary model of late on {found.rows:,} rows"
    area = found.metrics["roc_auc"]
    assert f"roc_auc {area.value:.4g} [{area.low:.4g}, {area.high:.4g}]" in [" ".join(line.split()) for line in lines]
    better = [one.other for one in found.comparisons if one.better and not one.by]
    assert [line.split()[0] for line in lines if line.endswith(" better")] == better
    assert any(line.startswith("old ") and line.endswith("no clear difference") for line in lines)
    assert any(line.startswith("carrier = EV") for line in lines)
    assert any(line.startswith("worse where carrier = EV") for line in lines)


def test_an_examination_prints_what_failed(model, flights):
    found = tm.test(model, flights.test, tests=[lambda model: False], discover=False, **QUICK)
    text = screen(found, width=160)
    assert "behaviours as expected" in text.splitlines()[0]
    assert {one.name for one in found.behaviours if not one.passed} == {
        line.split()[0] for line in text.split("what was found\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    }


def test_records_of_models_are_short_in_a_notebook_and_in_a_log(found, model, flights):
    package = tm.package(model, flights.validation)
    shown = [repr(each) for each in (found, model, package)]
    assert max(map(len, shown)) < 200
    assert shown[1] == "Model('delay', binary of 'late' from 3 inputs, lightgbm)"
    stored = replace(found, metrics=dict(sorted(found.metrics.items())))
    assert repr(stored) == repr(found)
    assert str(stored) == str(found)
    page = found._repr_html_()
    assert page.startswith('<div class="tidemill-box">')
    assert "worse where carrier = EV" in page


def test_what_is_not_defined_is_printed_with_its_reason(model, flights):
    found = tm.evaluate(model, flights.validation.filter("late"), discover=False, **QUICK)
    assert "only one class is present" in str(found)


def test_a_comparison_is_told_in_the_same_words_everywhere(found):
    one = next(one for one in found.comparisons if not one.by)
    unknown = replace(one, difference=replace(one.difference, low=None, high=None), better=None)
    told = [replace(one, better=True), replace(one, better=False), replace(one, better=None), unknown]
    words = ["better", "worse", "no clear difference", "not tested"]
    assert [each.verdict for each in told] == words
    for each, word in zip(told, words, strict=True):
        only = replace(found, comparisons=(each,))
        assert f"{word}\n" in screen(only, width=160)
        assert word in comparisons(only.comparisons)
        assert word in str(card_comparisons(SimpleNamespace(report=only)).tables[0].rows[0])
