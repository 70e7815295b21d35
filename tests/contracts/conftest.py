"""Empty databases on real servers for the contract suites."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def metadata_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database on each backend."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a schema on the session's server that no other test uses."""
    return f"{postgres_server}&schema=t{uuid4().hex}"
