"""A project with a champion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version


@pytest.fixture
def project(tmp_path: Path, packaged: Package) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n')
    made = load_project(tmp_path)
    with use_project(made):
        store = open_project_store(made)
        register_version(store, packaged)
        promote_version(store, "flight-delay@1")
        yield made
