"""The same verbs in a pipeline and in a notebook: what a run registers belongs to the run and is registered once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.errors import GateError, RunError, UsageError
from tidemill.core.model import Model
from tidemill.core.records import ModelVersion
from tidemill.engine import pipeline, step
from tidemill.packaging.build import package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import list_versions, promote, register, resolve, rollback

TOML = """
[project]
name = "flights"
[requirements.ranking]
metric = "roc_auc"
at_least = 0.65
checked = ["test"]
"""
held: dict[str, Any] = {}


@pytest.fixture
def project(tmp_path: Path, model: Model) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text(TOML)
    held["model"] = model
    with use_project(load_project(tmp_path)) as found:
        yield found


@step
def fit() -> Model:
    return held["model"]


@step
def report(roc_auc: float) -> dict[str, Any]:
    return {"moment": "test", "metrics": {"roc_auc": roc_auc}}


@pipeline
def train(roc_auc: float = 0.7) -> ModelVersion:
    version = register(package(fit()), report(roc_auc))
    promote(version)
    return version


def test_a_run_registers_and_promotes_what_it_made(project: Project) -> None:
    result = train.run()
    assert result.status == "succeeded"
    store = open_project_store(project)
    found = resolve(store, "flight-delay@champion")
    assert found == result.result
    assert found.run_id == result.id
    assert found.execution_id is not None


def test_a_run_in_which_nothing_changed_registers_nothing_new(project: Project) -> None:
    first, second = train.run(), train.run()
    assert second.result == first.result
    assert [version.version for version in list_versions(open_project_store(project))] == [1]


def test_other_evidence_makes_another_version_and_the_gate_stops_the_run(project: Project) -> None:
    train.run()
    with pytest.raises((GateError, RunError)):
        train(0.5)
    versions = list_versions(open_project_store(project))
    assert [version.version for version in versions] == [2, 1]
    assert resolve(open_project_store(project), "flight-delay").version == 1


def test_outside_a_pipeline_they_simply_run(project: Project, model: Model) -> None:
    version = register(model, {"moment": "test", "metrics": {"roc_auc": 0.7}}, description="by hand")
    assert version.run_id is None
    assert version.description == "by hand"
    assert promote(version).version == 1
    with pytest.raises(UsageError):
        rollback("flight-delay")


def test_only_models_can_be_registered(project: Project) -> None:
    with pytest.raises(UsageError, match="only models and packages"):
        register({"a": 1})
