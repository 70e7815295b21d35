"""A package counts by the version of the distribution that it really comes from."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from tidemill import __version__
from tidemill.engine.key.packages import package_versions


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("numpy.linalg", "numpy"),
        ("sklearn.linear_model", "scikit-learn"),
        ("dateutil", "python-dateutil"),
        ("_pytest", "pytest"),
    ],
)
def test_modules_lead_to_their_distributions(module, distribution):
    assert package_versions(module) == {distribution: version(distribution)}


def test_the_standard_library_counts_with_python_and_tidemill_by_its_own_version():
    assert package_versions("os.path") == {}
    assert package_versions("tidemill.data") == {"tidemill": __version__}


def test_a_package_that_is_not_there_counts_as_absent(monkeypatch):
    assert package_versions("no_such_package_at_all") == {"no_such_package_at_all": "absent"}


def test_a_module_without_a_distribution_counts_by_its_bytes(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    (site / "loose_module.py").write_text("A = 1\n")
    first = package_versions("loose_module")["loose_module"]
    other = tmp_path / "two" / "site-packages"
    other.mkdir(parents=True)
    (other / "loose_module.py").write_text("A = 2\n")
    monkeypatch.syspath_prepend(other)
    assert package_versions("loose_module")["loose_module"] != first


def test_parts_of_a_namespace_lead_to_the_distribution_that_holds_them(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    for part in ("alpha", "beta"):
        folder = site / "space" / part
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        info = site / f"space_{part}-1.{len(part)}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: space-{part}\nVersion: 1.{len(part)}\n")
        (info / "RECORD").write_text(f"space/{part}/__init__.py,,\n")
    monkeypatch.syspath_prepend(site)
    assert package_versions("space.alpha.thing") == {"space-alpha": "1.5"}
    assert package_versions("space.beta") == {"space-beta": "1.4"}
    assert set(package_versions("space")) == {"space-alpha", "space-beta"}
