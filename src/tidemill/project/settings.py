"""Settings and where each came from: a flag, the environment, a profile, `tidemill.toml` or the default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import ConfigError, UsageError
from tidemill.core.sizes import bytes_of

#: Variables that other rooms read for themselves.
_OTHER_VARIABLES = ("TIDEMILL_ACTOR", "TIDEMILL_CACHE")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its value as written (secrets stay references) and where it was found."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may be.

    Parameters
    ----------
    type
        Its Python type.
    default
        Its value where nobody says anything.
    meaning
        One sentence for people.
    choices
        The allowed values, where they are few.
    is_size
        Whether it is a number of bytes, as text such as ``"20GiB"``.
    """

    type: type
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    is_size: bool = False

    @property
    def expected(self) -> str:
        """What to write, in words."""
        if self.is_size:
            return 'a size such as "20GiB"'
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return {str: "text", int: "a whole number of zero or more", list: "a list of names"}[self.type]


#: Every setting of ``[project]``; each can also be given as ``TIDEMILL_<NAME>``.
SETTINGS: dict[str, Kind] = {
    "name": Kind(str, None, "The project's name; the folder's by default."),
    "store": Kind(str, "sqlite:///.tidemill/store.db", "URL of the metadata store."),
    "artifacts": Kind(str, ".tidemill/artifacts", "Folder or URL of the artifact store."),
    "modules": Kind(list, None, "What to import; by default each *.py beside tidemill.toml that mentions tidemill."),
    "threads": Kind(int, 0, "Inline steps that may run at the same time; 0 chooses."),
    "source_cache": Kind(
        str,
        "20GiB",
        "What is kept of sources under .tidemill/cache/sources; the least recently used goes first.",
        is_size=True,
    ),
}


def resolve_settings(
    written: Mapping[str, Any],
    profile: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    folder_name: str,
    profile_name: str | None,
) -> dict[str, Setting]:
    """Decide each setting: flag, then environment, then profile, then ``tidemill.toml``, then default.

    Raises
    ------
    ConfigError
        For a setting of a wrong type, or a flag or ``TIDEMILL_*`` variable that is almost the name of one.
    """
    for name in overrides:
        if name not in SETTINGS:
            raise ConfigError("there is no such setting", value=name, hint=nearest(name, SETTINGS))
    _check_variables()
    out = {}
    for name, kind in SETTINGS.items():
        variable = f"TIDEMILL_{name.upper()}"
        candidates = (
            ("flag", overrides.get(name)),
            (f"environment {variable}", os.environ.get(variable) or None),
            (f"profile {profile_name}", profile.get(name)),
            ("tidemill.toml", written.get(name)),
            ("default", folder_name if name == "name" else kind.default),
        )
        origin, value = next(((where, found) for where, found in candidates if found is not None), ("default", None))
        out[name] = Setting(name, _typed(name, kind, value, origin), origin)
    return out


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that suggests the nearest known name, or lists all.

    >>> nearest("stor", ["store", "artifacts"])
    "Did you mean 'store'?"
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."


def _check_variables() -> None:
    """A misspelt variable would be ignored in silence; one that resembles nothing belongs to somebody else."""
    known = [*(f"TIDEMILL_{name.upper()}" for name in SETTINGS), "TIDEMILL_PROFILE", *_OTHER_VARIABLES]
    for variable in os.environ:
        if variable.startswith("TIDEMILL_") and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.9)
            if near:
                hint = f"Did you mean {near[0]}? Unset it or rename it."
                raise ConfigError("there is no setting for this environment variable", value=variable, hint=hint)


def _typed(name: str, kind: Kind, value: Any, origin: str) -> Any:
    if value is None:
        return None
    given = _from_text(kind, value) if isinstance(value, str) else value
    if not _fits(kind, given):
        raise ConfigError(
            f"the setting {name!r} (from {origin}) must be {kind.expected}", value=value, hint=kind.meaning
        )
    return given


def _from_text(kind: Kind, text: str) -> Any:
    """A variable or flag is text, whatever it stands for."""
    if kind.type is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return int(text) if kind.type is int and text.strip().isdecimal() else text


def _is_size(value: Any) -> bool:
    try:
        return bytes_of(value) > 0
    except UsageError:
        return False


def _fits(kind: Kind, value: Any) -> bool:
    if kind.choices:
        return value in kind.choices
    if kind.is_size:
        return _is_size(value)
    if kind.type is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind.type is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str) and value.strip() != ""
