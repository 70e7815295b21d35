"""If these fail, a project's own test is passed over in silence, or takes the whole examination down with it."""

from __future__ import annotations

import sys
import threading

import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import UsageError
from tidemill.evaluation import examine
from tidemill.evaluation.user_tests import collected_tests, model_test, project_tests, run_user_tests
from tidemill.project import load_project, use_project

GIVEN = {"model": None, "table": pl.DataFrame({"wind": [1.0, 2.0, 3.0]}), "evaluation": None}


def told(test):
    return run_user_tests([test], GIVEN)[0]


def test_each_way_to_fail_is_a_failure_with_its_words():
    def says_no():
        return np.bool_(False)

    def asserts():
        assert False, "too slow"  # noqa: B011, PT015

    def breaks():
        raise KeyError("wind_speed")

    def leaves():
        sys.exit(3)

    def mumbles():
        return "fine"

    def rows(table):
        """No wind above two."""
        return table.filter(pl.col("wind") > 2)

    assert (told(says_no).passed, told(says_no).detail) == (False, "returned False")
    assert (told(asserts).passed, told(asserts).detail.splitlines()[0]) == (False, "too slow")
    assert (told(breaks).passed, told(breaks).detail) == (False, "raised KeyError: 'wind_speed'")
    assert told(leaves).detail == "raised SystemExit: 3"
    assert "says neither yes nor no" in told(mumbles).detail
    wrong = told(rows)
    assert (wrong.passed, wrong.failed, wrong.rows, wrong.expected) == (False, 1, 3, "No wind above two.")
    assert wrong.examples == ({"wind": "3.0"},)


def test_each_way_to_pass_passes():
    for answer in (None, True, np.bool_(True), pl.DataFrame({"wind": []})):
        assert told(lambda answer=answer: answer).passed


def test_a_test_that_hangs_fails_after_its_time():
    release = threading.Event()

    @model_test(timeout=0.05)
    def hangs():
        release.wait(20)

    entry = told(hangs)
    release.set()
    assert (entry.passed, entry.detail) == (False, "still running after 0.05 s")


def test_parameters_are_given_by_name():
    seen = []

    def by_name(table, model):
        seen.append((table, model))

    def in_order(m, t):
        seen.append((t, m))

    run_user_tests([by_name, in_order], GIVEN)
    assert all(table is GIVEN["table"] and model is None for table, model in seen)
    with pytest.raises(UsageError, match="asks for what there is not: 'weather'"):

        @model_test
        def wrong(model, table, weather):
            """Never run."""


def test_a_warning_is_told_and_fails_nothing(model, flights):
    @model_test(severity="warning")
    def picky():
        return False

    found = examine(model, flights.test, tests=[picky], bootstrap=0, importance=False, discover=False)
    entry = next(entry for entry in found.behaviours if entry.name == "picky")
    assert (entry.passed, entry.severity) == (False, "warning")
    assert found.metrics["test.picky"].value == 0.0
    failed = sum(not e.passed for e in found.behaviours)
    assert found.metrics["failed_behaviours"].value == failed - 1


def test_marked_functions_of_the_loaded_modules_are_collected(tmp_path, monkeypatch):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "checks_of_p.py").write_text(
        "from tidemill import model_test\n\n\n@model_test\ndef second(model):\n    pass\n\n\n"
        "@model_test()\ndef third(table):\n    pass\n\n\ndef unmarked(model):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert collected_tests(tmp_path) == []
    __import__("checks_of_p")
    try:
        assert [test.__name__ for test in collected_tests(tmp_path)] == ["second", "third"]
        with use_project(load_project(tmp_path)):
            assert [test.__name__ for test in project_tests({"tests": None})["tests"]] == ["second", "third"]
            assert project_tests({"tests": []})["tests"] == []
    finally:
        del sys.modules["checks_of_p"]


@pytest.mark.parametrize("options", [{"severity": "fatal"}, {"timeout": 0}])
def test_a_mark_is_checked_where_it_is_written(options):
    with pytest.raises(UsageError, match="Leave it out"):
        model_test(**options)
