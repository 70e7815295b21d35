"""Reading tables strictly: what is unknown or of the wrong kind is an error that names it and suggests the nearest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from tidemill.core.errors import ConfigError


def known_keys(raw: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise when a table has a key that nothing reads.

    >>> known_keys({"metrik": "roc_auc"}, ("metric", "at_least"), "[requirements.ranking]")
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: [requirements.ranking] has an unknown key: 'metrik'. Did you mean 'metric'?
    """
    names = tuple(known)
    for key in raw:
        if key not in names:
            near = get_close_matches(str(key), names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(names)}."
            raise ConfigError(f"{where} has an unknown key", value=key, hint=hint)


def text(raw: Mapping[str, Any], key: str, where: str, default: str | None = "") -> str:
    """A text; `default` None makes it required."""
    value = raw.get(key, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        problem = "is missing" if value is None else "should be text"
        raise ConfigError(f"{key} of {where} {problem}", value=value, hint=f'Write {key} = "…".')
    return value


def number(raw: Mapping[str, Any], key: str, where: str) -> float | None:
    """A finite number, or None where it is absent."""
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key} of {where} should be a number", value=value, hint=f"Write {key} = 0.5.")
    return float(value)


def table(raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """A table, empty where it is absent."""
    value = raw.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} of {where} should be a table", value=value, hint=f"Write {key} = {{ … }}.")
    return value
