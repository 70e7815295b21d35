"""A card is read by those who decide: it says what was recorded, says so where nothing was, and carries no code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.records import ModelVersion
from tidemill.design import requirements_of
from tidemill.design.canvas import QUESTIONS
from tidemill.project import Project, open_project_store
from tidemill.registry import promote_version
from tidemill.registry.approval import approve_version
from tidemill.registry.card_parts import CardSection, table
from tidemill.registry.card_sections import metrics
from tidemill.registry.card_text import escaped, markdown
from tidemill.registry.cards import ModelCard, facts_of, model_card
from tidemill.registry.editing import edit_version
from tidemill.registry.origins import Origins
from tidemill.server.report.card import card_page, write_card
from tidemill.store import Store

Make = Callable[..., ModelVersion]


def section(card: ModelCard, title: str) -> CardSection:
    return next(one for one in card.sections if one.title == title)


def cells(card: ModelCard, title: str) -> str:
    found = section(card, title)
    return " ".join([*found.text, *(str(cell) for one in found.tables for row in one.rows for cell in row)])


def test_what_was_not_recorded_is_said_to_be_not_recorded(store: Store, version: Make) -> None:
    version(auc=0.7, actor="ann")
    card = model_card("flight-delay@1", store=store)
    assert "not recorded" in cells(card, "Purpose and intended use")
    assert "Sources: not recorded" in cells(card, "Data")
    assert "not recorded" in cells(card, "Calibration")
    assert "not measured" in cells(card, "Importance of features")
    assert "checks of its behaviour: not recorded" in cells(card, "Limitations")
    assert "Nobody's approval" in cells(card, "History")
    assert "0.7" in cells(card, "Metrics")
    assert "ann" in card.lead


def test_a_question_of_the_template_is_no_answer(store: Store, version: Make) -> None:
    version(auc=0.7)
    asked = dict(QUESTIONS)
    purpose = cells(model_card("flight-delay@1", store=store, canvas=asked), "Purpose and intended use")
    assert purpose.startswith("Intended use: not answered in the canvas.")
    assert "decisions not answered" in purpose
    assert "?" not in purpose
    half = {**asked, "decisions": "Call a second hand"}
    purpose = cells(model_card("flight-delay@1", store=store, canvas=half), "Purpose and intended use")
    assert "As the project's canvas says. decisions Call a second hand value proposition not answered" in purpose


def test_the_card_of_a_run_has_its_data_numbers_and_limits(trained: Project) -> None:
    store = open_project_store(trained)
    approve_version(store, "late@1", note="seen", actor="bob")
    promote_version(store, "late@1", requirements=requirements_of(trained.requirements), force="a demonstration")
    card = model_card("late@1", store=store, canvas=trained.canvas)
    assert "Call a <b>second</b> hand" in cells(card, "Purpose and intended use")
    assert "280" in cells(card, "Data")
    assert "method by_share" in cells(card, "Data")
    assert "ranking (roc_auc >= 0.9999 at test): failed" in cells(card, "Limitations")
    assert "heavy" in cells(card, "Slices")
    assert "n_estimators" in cells(card, "Training")
    assert "bob" in cells(card, "History")
    assert "a demonstration" in cells(card, "History")
    assert card.examination is not None
    assert model_card("late@1", store=store, canvas=trained.canvas).markdown == card.markdown


def test_a_card_says_whether_the_test_rows_are_untouched(trained: Project, store: Store, version: Make) -> None:
    card = model_card("late@1", store=open_project_store(trained))
    assert "The test rows are untouched: the training has not read them." in card.markdown
    assert "The test rows are untouched" in card_page(card)
    version()
    assert "Whether the test rows are untouched: not recorded." in model_card("flight-delay@1", store=store).markdown


def test_a_card_says_that_the_training_has_read_the_test_rows(trained: Project) -> None:
    facts = facts_of(open_project_store(trained), "late@1", {})
    assert facts.examination is not None
    honest = next(one for one in facts.examination.behaviours if one.kind == "independence")

    def told(**changes: Any) -> tuple[str, ...]:
        assert facts.examination is not None
        seen = replace(facts.examination, behaviours=(replace(honest, passed=False, **changes),))
        return metrics(replace(facts, origins=Origins(records=(seen,)))).text

    assert told(detail="not untouched: the training has read 9 of 9 rows") == (
        "The test rows are not untouched: the training has read 9 of 9 rows.",
    )
    assert told(detail="no row can be told apart from others", severity="warning") == (
        "Whether the test rows are untouched: no row can be told apart from others.",
    )


def test_a_card_tells_what_each_input_adds_where_that_was_measured(trained: Project) -> None:
    shown = cells(model_card("late@3", store=open_project_store(trained)), "Importance of features")
    assert "How much each column adds to the log-odds, by lightgbm, on 60 rows." in shown
    assert "distance" in shown
    assert "when a column is shuffled" in shown  # of the evaluation, which shuffled
    shuffled = cells(model_card("late@1", store=open_project_store(trained)), "Importance of features")
    assert "when a column is shuffled" in shuffled
    assert "adds" not in shuffled


def test_nothing_that_was_recorded_acts_as_markup(store: Store, version: Make, tmp_path: Path) -> None:
    version()
    evil = "<script>alert(1)</script>\n# head | [x](javascript:1) ![i](http://x) `c`"
    edit_version(store, "flight-delay@1", description=evil, owner="<img src=x>", tags={"<b>": "|\n---|"})
    card = model_card("flight-delay@1", store=store)
    page = write_card(card, tmp_path / "deep" / "card.html").read_text()
    assert page == card_page(card)
    for text in (page, card.markdown):
        assert "<script" not in text
        assert "<img src=x>" not in text
    assert "\n# head" not in card.markdown
    assert r"\| \[x\](javascript:1)" in card.markdown


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("- item", r"\- item"),
        ("-0.5", "-0.5"),
        ("1. first", r"1\. first"),
        ("0.5", "0.5"),
        ("---", r"\---"),
        ("# x", r"\# x"),
    ],
)
def test_a_text_begins_no_list_and_a_number_stays_one(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


def test_tables_keep_their_columns_whatever_is_in_them() -> None:
    found = markdown(
        "t", "l", [CardSection("s", (), table(["a|b", "c"], [("x|y", "1\n2"), (None, 0.5)], numeric=["c"]))]
    )
    lines = [line for line in found.splitlines() if line.startswith("|")]
    assert lines == [r"| a\|b | c |", "| --- | ---: |", r"| x\|y | 1 2 |", "| – | 0.5 |"]
