"""Settings and where each came from: a flag, the environment, a profile, `tidemill.toml` or the default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its value as written (secrets stay references) and where it was found."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class _Kind:
    type: type
    default: Any
    meaning: str


#: Every setting of ``[project]``; each can also be given as ``TIDEMILL_<NAME>``.
SETTINGS: dict[str, _Kind] = {
    "name": _Kind(str, None, "The project's name; the folder's by default."),
    "store": _Kind(str, "sqlite:///.tidemill/store.db", "URL of the metadata store."),
    "artifacts": _Kind(str, ".tidemill/artifacts", "Folder or URL of the artifact store."),
    "modules": _Kind(list, None, "Python modules to import; by default every *.py beside tidemill.toml."),
    "threads": _Kind(int, 0, "Inline steps that may run at the same time; 0 chooses."),
}


def resolve_settings(
    written: Mapping[str, Any],
    profile: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    folder_name: str,
    profile_name: str | None,
) -> dict[str, Setting]:
    """Decide each setting: flag, then environment, then profile, then ``tidemill.toml``, then default."""
    for name in overrides:
        if name not in SETTINGS:
            raise ConfigError("there is no such setting", value=name, hint=nearest(name, SETTINGS))
    out = {}
    for name, kind in SETTINGS.items():
        variable = f"TIDEMILL_{name.upper()}"
        default = folder_name if name == "name" else kind.default
        candidates = (
            ("flag", overrides.get(name)),
            (f"environment {variable}", os.environ.get(variable)),
            (f"profile {profile_name}", profile.get(name)),
            ("tidemill.toml", written.get(name)),
            ("default", default),
        )
        origin, value = next(((where, found) for where, found in candidates if found is not None), ("default", None))
        out[name] = Setting(name, _typed(name, kind.type, value, origin), origin)
    return out


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """A hint that suggests the nearest known name, or lists all.

    >>> nearest("stor", ["store", "artifacts"])
    "Did you mean 'store'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def _typed(name: str, kind: type, value: Any, origin: str) -> Any:
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and kind is int:
        try:
            return int(value)
        except ValueError:
            pass
    if isinstance(value, str) and kind is list:
        return [part.strip() for part in value.split(",") if part.strip()]
    raise ConfigError(
        f"the setting {name!r} (from {origin}) must be {_WORDS[kind]}", value=value, hint=SETTINGS[name].meaning
    )


_WORDS = {str: "text", int: "a whole number", list: "a list of names"}
