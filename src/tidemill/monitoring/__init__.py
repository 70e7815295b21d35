"""Is the world still the one that the model learned from? Takes a reference profile and a window, gives plain records.

Public names, loaded when first used: the verb `drift` and `drift_between` (`comparing`), `DriftReport` and
`ColumnDrift` (`records`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.monitoring.comparing import drift, drift_between
    from tidemill.monitoring.records import ColumnDrift, DriftReport, DriftRule

_HOMES = {
    "ColumnDrift": "records",
    "DriftReport": "records",
    "DriftRule": "records",
    "drift": "comparing",
    "drift_between": "comparing",
}

__all__ = ["ColumnDrift", "DriftReport", "DriftRule", "drift", "drift_between"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
