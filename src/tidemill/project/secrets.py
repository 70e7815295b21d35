"""Secrets are written as references, ``${env:NAME}`` or ``${file:PATH}``: read when used, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


def reveal(text: str, *, root: Path) -> str:
    """The text with every reference replaced by what it stands for now.

    Parameters
    ----------
    text
        Such as ``postgresql://team:${env:DB_PASSWORD}@db/tidemill``.
    root
        Where relative ``${file:…}`` paths count from.

    Raises
    ------
    ConfigError
        When a variable is not set or a file cannot be read; it names the variable or file.
    """

    def replace(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise ConfigError(f"the environment variable {name} is not set", hint=f"Set it: export {name}=…")
            return value
        path = root / Path(name).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"the secret's file cannot be read ({error.strerror})", value=str(path), hint="Check path and rights."
            ) from error

    return _REFERENCE.sub(replace, text)


def reveal_all(value: Any, *, root: Path) -> Any:
    """`reveal` for every text in a nested value."""
    if isinstance(value, str):
        return reveal(value, root=root)
    if isinstance(value, Mapping):
        return {key: reveal_all(item, root=root) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal_all(item, root=root) for item in value]
    return value


def redact(text: str, *, root: Path) -> str:
    """The text with the value of every reference that appears in it replaced by stars, for logs and errors.

    >>> redact("open(${env:HOME_OF_NOBODY})", root=Path("."))
    'open(${env:HOME_OF_NOBODY})'
    """
    for kind, name in set(_REFERENCE.findall(text)):
        reference = f"${{{kind}:{name}}}"
        try:
            value = reveal(reference, root=root)
        except ConfigError:
            continue
        text = text.replace(value, "***") if value else text
    return text
