"""A project with a store of its own, and studies that cost nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.engine.notebook import close_notebook_runs
from tidemill.engine.references import load_module
from tidemill.project import load_project, open_project_store, use_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project that is in use during the test, with an empty store."""
    for name in ("NAME", "STORE", "ARTIFACTS", "PROFILE"):
        monkeypatch.delenv(f"TIDEMILL_{name}", raising=False)
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "tumours"\n')
    with use_project(load_project(tmp_path)) as project, open_project_store(project):
        yield project
        close_notebook_runs()


@pytest.fixture
def store(project):
    """Its store."""
    return open_project_store(project)


@pytest.fixture(scope="session")
def builds():
    """The module `sample_builds`, under a name that worker processes find."""
    return load_module("tidemill_sample_builds", str(Path(__file__).with_name("sample_builds.py")))
