"""Values as TOML text, for what is written to be edited: contracts and cleaning plans."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tidemill.core.errors import ConfigError


def toml_key(name: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _text(name)


def _text(text: str) -> str:
    # JSON writes text as TOML reads it, but for characters beyond 16 bits, which stay themselves, and DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """A value as TOML writes it.

    >>> toml_value({"at most": [1, 2.5, "x"]})
    '{ "at most" = [1, 2.5, "x"] }'
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{toml_key(str(key))} = {toml_value(item)}' for key, item in value.items())} }}"
    isoformat = getattr(value, "isoformat", None)
    if isoformat is None:
        raise ConfigError("TOML cannot hold this value", value=value, hint="Write it as text or a number.")
    return str(isoformat())
