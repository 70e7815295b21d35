"""From a result back to where it came from, and forward again."""

from __future__ import annotations

import json

import pytest

from tidemill.core.clock import now_us
from tidemill.core.errors import NotFoundError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Alias, ModelVersion
from tidemill.project import open_project_store
from tidemill.store import models
from tidemill.tracking import render, run, trace


def _names(node):
    return [(item.kind, item.name) for item in node.walk()]


def test_an_artifact_leads_back_to_its_sources(pipelines):
    done = pipelines.run()
    artifact = run(done.id).artifacts["report"].record
    found = trace(artifact.id)
    assert _names(found) == [
        ("artifact", "json"),
        ("execution", "report"),
        ("artifact", "score"),
        ("artifact", "test"),
        ("execution", "fit"),
        ("execution", "halves"),
        ("artifact", "train"),
        ("artifact", "table"),
        ("execution", "rows"),
    ]
    execution = found.links[0]
    assert execution.details["run"] == done.id
    assert execution.details["pipeline"] == "learn"
    (source,) = [node for node in found.walk() if node.name == "rows"]
    assert source.details["arguments"] == {"count": 10}
    assert "arguments={'count': 10}" in render(found)
    assert _names(trace(artifact.digest)) == _names(found)
    json.dumps(found.to_dict())


def test_what_is_reached_in_two_ways_is_one_thing(pipelines):
    artifact = run(pipelines.run().id).artifacts["report"].record
    found = trace(artifact.id)
    halves = [node for node in found.walk() if node.name == "halves"]
    assert len(halves) == 1
    assert render(found).count("(shown above)") == 1


def test_a_cached_run_leads_to_the_run_that_did_the_work(pipelines):
    first, second = pipelines.run(), pipelines.run()
    found = trace(second.id)
    assert found.kind == "run"
    assert [link.name for link in found.links] == ["report"]
    assert {node.details["run"] for node in found.walk() if node.kind == "execution"} == {first.id}


def test_forward_to_everything_that_came_of_it(pipelines):
    view = run(pipelines.run().id)
    found = trace(view.artifacts["rows"].record.id, direction="downstream")
    assert {node.name for node in found.walk() if node.kind == "execution"} == {"halves", "fit", "report"}


def test_an_execution_can_be_traced(pipelines):
    done = pipelines.run()
    found = trace(done.step("fit").execution_id)
    assert _names(found)[:2] == [("execution", "fit"), ("artifact", "train")]


def test_a_model_version_leads_back_by_name_alias_and_id(pipelines, project):
    done = pipelines.run()
    package = run(done.id).artifacts["fit"].record.id
    with open_project_store(project).metadata.transaction() as tx:
        version = ModelVersion(new_id(), "delay", 0, now_us(), done.id, None, package)
        version = models.insert_version(tx, version)
        models.set_alias(tx, Alias("delay", "champion", version.version, now_us()))
    for subject in ("delay@champion", "delay:1", version.id):
        found = trace(subject)
        assert (found.kind, found.name) == ("model version", "delay:1")
        assert "rows" in {node.name for node in found.walk()}


def test_the_unknown_and_the_ambiguous_are_named(pipelines):
    done = pipelines.run()
    with pytest.raises(NotFoundError, match="no-such-thing"):
        trace("no-such-thing")
    with pytest.raises(UsageError, match=r"Give more|several"):
        trace(done.id[:4])
