"""A store for every test of a materialiser."""

from __future__ import annotations

import pytest

from tidemill.store.artifacts import open_artifacts


@pytest.fixture
def artifacts(tmp_path):
    return open_artifacts(tmp_path / "store")
