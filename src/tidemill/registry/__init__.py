"""Models under names: takes packages, gives numbered versions, and moves aliases only through the gate.

Public names: the verbs `register`, `promote` and `rollback` (`verbs`), which work on the current project's store, and
what they stand on, with the store as an argument (`versions`, `promotion`): `register_version`, `promote_version`,
`roll_back`, `resolve`, `load_package`, `list_models`, `list_versions`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.registry.promotion import promote_version, roll_back
    from tidemill.registry.verbs import promote, register, rollback
    from tidemill.registry.versions import list_models, list_versions, load_package, register_version, resolve

_HOMES = {
    "list_models": "versions",
    "list_versions": "versions",
    "load_package": "versions",
    "promote": "verbs",
    "promote_version": "promotion",
    "register": "verbs",
    "register_version": "versions",
    "resolve": "versions",
    "roll_back": "promotion",
    "rollback": "verbs",
}

__all__ = [
    "list_models",
    "list_versions",
    "load_package",
    "promote",
    "promote_version",
    "register",
    "register_version",
    "resolve",
    "roll_back",
    "rollback",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
