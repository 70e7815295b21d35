"""What user code records is found again where it belongs, and is refused if it makes no sense."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tidemill.core.errors import ConflictError, UsageError
from tidemill.engine import pipeline, step
from tidemill.engine.notebook import close_notebook_runs
from tidemill.tracking import log_metric, log_metrics, log_params, log_tags, run, runs


def test_a_step_records_on_its_own_run(pipelines):
    done = pipelines.run()
    view = run(done.id)
    assert view.metrics == {"loss": pytest.approx(1 / 3), "validation/score": 5.0}
    assert [metric.value for metric in view.history("loss")] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert view.history("loss")[0].execution_id == done.step("fit").execution_id
    assert view.params["rate_used"] == "0.5"
    assert view.tags == {"team": "gates"}


def test_a_cached_step_keeps_what_it_recorded(pipelines):
    first, second = pipelines.run(), pipelines.run()
    assert second.count("cached") == 4
    assert run(second.id).metrics == run(first.id).metrics


def test_outside_of_steps_a_notebook_run_is_opened_once(project):
    log_metric("auc", 0.7)
    log_metrics({"auc": np.float32(0.75), "loss": math.nan}, step=1)
    log_params({"trials": 5})
    log_tags({"note": "first"})
    log_tags({"note": "second"})
    (view,) = runs()
    assert (view.pipeline, view.status) == ("notebook", "running")
    assert view.metrics["auc"] == 0.75
    assert math.isnan(view.metrics["loss"])
    assert (view.params, view.tags) == ({"trials": "5"}, {"note": "second"})
    close_notebook_runs()
    assert run("latest").status == "succeeded"


def test_a_parameter_is_written_once(project):
    log_params({"trials": 5})
    log_params({"trials": 5})
    with pytest.raises(ConflictError, match="cannot become another"):
        log_params({"trials": 6})


def test_in_the_body_of_a_pipeline_it_waits_for_its_value_and_belongs_to_the_run(project):
    @step
    def score(x: int) -> float:
        return x / 4

    @pipeline
    def measured(x: int = 3) -> float:
        value = score(x)
        log_metric("score", value)
        log_tags({"kind": "body"})
        return value

    done = measured.run()
    assert done.status == "succeeded", done.error
    assert run(done.id).metrics == {"score": 0.75}
    assert run(done.id).tags == {"kind": "body"}
    assert len(runs()) == 1


@pytest.mark.parametrize("value", ["0.7", None, 1 + 2j, [0.1, 0.2], np.zeros(3)])
def test_what_is_no_number_is_refused(project, value):
    with pytest.raises(UsageError, match="'auc' is not one real number"):
        log_metric("auc", value)
    assert runs() == []


def test_an_empty_name_and_a_broken_step_are_refused(project):
    with pytest.raises(UsageError, match="name of a metric"):
        log_metric(" ", 1.0)
    with pytest.raises(UsageError, match="whole number"):
        log_metric("auc", 1.0, step=0.5)
    with pytest.raises(UsageError, match="name of a tag"):
        log_tags({3: "x"})
