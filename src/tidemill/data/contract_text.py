"""A contract as TOML text, to be read, edited and kept beside the code."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tidemill.core.errors import ConfigError
from tidemill.data.contract import RULES, TableContract
from tidemill.data.text_table import on_one_line
from tidemill.data.toml_text import toml_key, toml_value


def contract_to_toml(contract: TableContract, notes: Mapping[str, str] | None = None) -> str:
    """Write a contract as TOML; `contract_from_toml` reads it back unchanged. `notes` are comments on its columns.

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
    lines = [f"{key} = {toml_value(value)}" for key, value in raw.items() if key not in RULES]
    names = [rule.name for rule in contract.columns]
    for key in RULES:
        by_name = key == "columns" and len(set(names)) == len(names)
        for entry in raw.get(key, ()):
            rule = dict(entry)
            note = (notes or {}).get(rule["name"]) if key == "columns" else None
            head = f"[columns.{toml_key(rule.pop('name'))}]" if by_name else f"[[{key}]]"
            said = [] if note is None else [f"# left out as errors: {on_one_line(note)}"]
            lines += ["", head, *said, *(f"{toml_key(name)} = {toml_value(value)}" for name, value in rule.items())]
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


def contract_from_file(path: Path) -> TableContract:
    """Read a contract from a file: TOML, or JSON where it ends in ``.json``.

    Raises
    ------
    ConfigError
        If it is not what its name says, or not a contract.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        return contract_from_toml(text)
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the contract is not JSON: {error}", value=path.name, hint="Write it as TOML.") from None
    if not isinstance(raw, dict):
        raise ConfigError("the contract is no table of keys", value=path.name, hint='Write {"name": …, "columns": …}.')
    return TableContract.from_dict(raw)
