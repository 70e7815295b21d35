"""A contract as TOML text, to be read, edited and kept beside the code."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from typing import Any

from tidemill.core.errors import ConfigError
from tidemill.data.contract import RULES, TableContract


def contract_to_toml(contract: TableContract) -> str:
    """Write a contract as TOML; `contract_from_toml` reads it back unchanged.

    >>> from tidemill.data.contract import ColumnRule
    >>> print(contract_to_toml(TableContract("weather", (ColumnRule("wind", "number", maximum=200),), min_rows=24)))
    name = "weather"
    min_rows = 24
    <BLANKLINE>
    [columns.wind]
    type = "number"
    maximum = 200
    <BLANKLINE>
    """
    raw = contract.to_dict()
    lines = [f"{key} = {_value(value)}" for key, value in raw.items() if key not in RULES]
    names = [rule.name for rule in contract.columns]
    for key in RULES:
        by_name = key == "columns" and len(set(names)) == len(names)
        for entry in raw.get(key, ()):
            rule = dict(entry)
            head = f"[columns.{_key(rule.pop('name'))}]" if by_name else f"[[{key}]]"
            lines += ["", head, *(f"{_key(name)} = {_value(value)}" for name, value in rule.items())]
    return "\n".join(lines) + "\n"


def contract_from_toml(text: str) -> TableContract:
    r"""Read a contract from TOML.

    Raises
    ------
    ConfigError
        If the text is not TOML, or not a contract.

    Examples
    --------
    >>> contract_from_toml('name = "weather"\n[columns.wind]\nmaximum = 200').columns[0].maximum
    200
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the contract is not TOML: {error}") from None
    return TableContract.from_dict(raw)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _text(name)


def _text(text: str) -> str:
    # JSON writes text as TOML reads it, but for characters beyond 16 bits, which stay themselves, and DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(str(key))} = {_value(item)}' for key, item in value.items())} }}"
    isoformat = getattr(value, "isoformat", None)
    if isoformat is None:
        raise ConfigError(
            "a contract in TOML cannot hold this value", value=value, hint="Write it as text or a number."
        )
    return str(isoformat())
