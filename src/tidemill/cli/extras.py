"""The optional parts of Tidemill: which packages each extra brings, and which of them are missing."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

#: Packages whose module has another name.
_MODULES = {
    "grpcio": "grpc", "grpcio-health-checking": "grpc_health", "grpcio-reflection": "grpc_reflection",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry", "opentelemetry-sdk": "opentelemetry",
    "scikit-learn": "sklearn", "vl-convert-python": "vl_convert", "xgboost-cpu": "xgboost",
}  # fmt: skip
_MISSING = re.compile(r"No module named '([\w.]+)'")


def extras() -> dict[str, list[str]]:
    """The packages of each extra, without those that only collect others."""
    out: dict[str, list[str]] = {}
    for requirement in requires("tidemill") or []:
        name, _, marker = requirement.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        package = re.split(r"[\[<>=!~ ]", name.strip())[0]
        if extra is not None and extra[1] != "all" and package != "tidemill":
            out.setdefault(extra[1], []).append(package)
    return out


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in packages if not _is_installed(package)]


def extra_for(message: str) -> str | None:
    """The extra that brings the module that an error message misses.

    >>> extra_for("pipeline.py, line 9: ModuleNotFoundError: No module named 'sklearn.tree'")
    'ml'
    >>> extra_for("No module named 'grpc'")
    'grpc'
    >>> extra_for("No module named 'numppy'") is None
    True
    """
    found = _MISSING.search(message)
    if found is None:
        return None
    module = found[1].partition(".")[0]
    bringing = [extra for extra, packages in extras().items() if module in map(_module_of, packages)]
    return min(bringing, key=["ml", *bringing].index, default=None)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return importlib.util.find_spec(_module_of(package)) is not None
    return True


def _module_of(package: str) -> str:
    return _MODULES.get(package, package.replace("-", "_"))
