"""A module that is missing is named with the extra that brings it, and is no defect of Tidemill."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version

import pytest

from tidemill.cli import extras
from tidemill.cli.app import explained
from tidemill.core.errors import MissingExtraError

pytestmark = pytest.mark.fast


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def test_each_package_of_an_extra_is_known_by_its_module() -> None:
    """One that goes by another name would be called a defect where it is missing."""
    packages = {package for brought in extras.extras().values() for package in brought if installed(package)}
    assert {"grpcio", "lightgbm", "scikit-learn"} <= packages
    assert [one for one in sorted(packages) if importlib.util.find_spec(extras._module_of(one)) is None] == []


@pytest.mark.parametrize(
    ("module", "extra"), [("grpc", "grpc"), ("grpc_health.v1", "grpc"), ("opentelemetry.sdk", "otel"), ("numppy", None)]
)
def test_a_missing_module_names_its_extra(module: str, extra: str | None) -> None:
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    found = explained(error)
    if extra is None:
        assert found is error
    else:
        assert isinstance(found, MissingExtraError)
        assert f'pip install "tidemill[{extra}]"' in str(found)
