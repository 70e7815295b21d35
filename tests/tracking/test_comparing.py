"""Two runs beside each other: what differs, and why."""

from __future__ import annotations

import json

from tidemill.tracking import compare, run


def test_a_changed_parameter_explains_the_steps_behind_it(pipelines):
    first, second = pipelines.run(rate=0.5), pipelines.run(rate=2.0)
    found = compare(first.id, second.id)
    assert {(item.name, item.a, item.b) for item in found.params} == {
        ("rate", "0.5", "2.0"),
        ("rate_used", "0.5", "2.0"),
    }
    assert [(item.name, item.a, item.b) for item in found.metrics] == [("validation/score", 5.0, 20.0)]
    assert {step.node: step.reasons for step in found.steps} == {
        "fit": ("parameter rate changed",),
        "report": ("input score changed",),
    }
    assert [item.name for item in found.steps[0].outputs] == ["output"]
    assert [item.name for item in found.steps[1].inputs] == ["score"]
    assert not found.computes_the_same
    json.dumps(found.to_dict())


def test_a_run_from_the_cache_did_the_same(pipelines):
    first, second = pipelines.run(), pipelines.run()
    found = compare(run(first.id), run(second.id))
    assert found.computes_the_same
    assert found.steps == ()
    assert found.metrics == found.params == ()


def test_a_step_that_only_one_run_has(pipelines, project):
    from tidemill.engine import pipeline

    from .conftest import rows

    @pipeline
    def other(count: int = 10) -> object:
        return rows(count)

    found = compare(pipelines.run().id, other.run().id)
    assert [step.node for step in found.steps] == ["halves", "fit", "report"]
    assert {step.reasons for step in found.steps} == {("only in the first run",)}
    assert [(item.a, item.b) for item in found.surroundings if item.name == "pipeline"] == [("learn", "other")]
