"""From a model to something that can be served: takes a `Model`, gives a verified `Package`, and reads it back safely.

Public names, each in its module, loaded when first used so that a server needs only NumPy and ONNX Runtime:
`Package` and `open_folder` (`package`), the verb ``package`` (`build`), `compile_validator`,
`Policy` and `Problem` (`validator`), `open_engine` (`engines`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.packaging.engines import open_engine
    from tidemill.packaging.package import Package, open_folder
    from tidemill.packaging.validator import Policy, Problem, compile_validator

_HOMES = {
    "Package": "package",
    "Policy": "validator",
    "Problem": "validator",
    "compile_validator": "validator",
    "open_engine": "engines",
    "open_folder": "package",
}

__all__ = ["Package", "Policy", "Problem", "compile_validator", "open_engine", "open_folder"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
