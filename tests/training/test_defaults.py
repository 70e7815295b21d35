"""What the canvas says need not be said again; inside a step nothing is taken from outside its key."""

from __future__ import annotations

import pytest

from tidemill.engine.context import StepContext, use_context
from tidemill.project import load_project, use_project
from tidemill.training.defaults import from_project, task_from_project

CANVAS = """
[project]
name = "wine"

[canvas]
prediction = { task = "%s", target = "cultivar" }
costs = { false_positive = 1, false_negative = 5 }
"""


@pytest.fixture
def project(tmp_path):
    def declare(task: str):
        (tmp_path / "tidemill.toml").write_text(CANVAS % task)
        return use_project(load_project(tmp_path))

    return declare


def test_integer_labels_are_classes_if_the_canvas_says_so(project):
    with project("multiclass classification"):
        assert task_from_project({"task": None, "name": None}) == {"task": "multiclass", "name": None}


def test_name_costs_and_task_are_filled_in_where_they_are_none(project):
    with project("binary classification"):
        filled = from_project({"name": None, "costs": None, "task": None, "seed": 1})
    costs = filled.pop("costs")
    assert filled == {"name": "wine", "task": "binary", "seed": 1}
    assert (costs["false_positive"], costs["false_negative"]) == (1, 5)


def test_what_the_caller_says_counts(project):
    with project("binary classification"):
        assert from_project({"name": "x", "costs": {}, "task": "regression"}) == {
            "name": "x",
            "costs": {},
            "task": "regression",
        }


def test_costs_of_two_kinds_of_error_are_not_given_to_a_model_of_many_classes(project):
    with project("multiclass classification"):
        assert from_project({"costs": None}) == {"costs": None}


def test_a_threshold_that_is_given_stands_in_the_place_of_costs(project):
    with project("binary classification"):
        assert from_project({"costs": None, "threshold": "f1"}) == {"costs": None, "threshold": "f1"}
        assert from_project({"costs": None, "threshold": None})["costs"]["false_negative"] == 5
        assert from_project({"costs": None, "task": "anomaly"})["costs"] is None


def test_inside_a_step_nothing_is_filled_in(project):
    step = StepContext("run", "execution", "fit", "fit", 1, "wine", "train")
    with project("binary classification"), use_context(step):
        assert from_project({"name": None, "task": None}) == {"name": None, "task": None}
