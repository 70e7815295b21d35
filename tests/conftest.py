"""What every test stands on: which rooms are fast, and how a test finds its own project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent

# Tests edit modules and run them again within a second, which is finer than the time stamps of Python's bytecode files.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

# A busy machine is no defect: the tests time nothing. (On CI, Hypothesis besides draws the same examples each time.)
settings.register_profile("tidemill", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("tidemill")

#: Fixtures that several rooms share; `tests/_shared` is on the path.
pytest_plugins = [
    "browser",
    "hadoop",
    "mariadb_server",
    "object_stores",
    "postgres_server",
    "sample_models",
    "spark_servers",
    "webhook_receiver",
]

#: Rooms whose unmarked tests are quick enough for `make check`.
FAST_ROOMS = {
    "core",
    "house",
    "measures",
    "design",
    "project",
    "store",
    "engine",
    "data",
    "features",
    "registry",
}


#: Modules of `tidemill.integrations` whose libraries `make test-services` installs: their doctests run there.
OF_SERVICES = ("catboost", "keras", "shap", "spark", "torch")


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test revealed as a secret is not redacted in the next."""
    monkeypatch.setattr("tidemill.project.secrets._revealed", {})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick rooms and the doctests as fast, unless a test says that it is slow."""
    for item in items:
        path = Path(item.path)
        parts = path.relative_to(TESTS).parts if path.is_relative_to(TESTS) else ("src",)
        room = "sources" if "sources" in parts else parts[0]  # real servers and kills: not for every edit
        if room == "src" and path.name.startswith(OF_SERVICES) and path.parent.name == "integrations":
            item.add_marker(pytest.mark.services)
        elif (room in FAST_ROOMS or room == "src") and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)
