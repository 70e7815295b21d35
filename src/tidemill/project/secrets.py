"""Secrets are written as references, ``${env:NAME}`` or ``${file:PATH}``: read when used, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tidemill.core.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_MALFORMED = re.compile(r"\$\{(?!(?:env|file):[^}]+\})[^}]*\}?")
_LONG = 8
#: Every secret that this process has read -> the reference that it stands for.
_revealed: dict[str, str] = {}


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
        When a variable is not set, a file cannot be read, or a reference is malformed; it names it.

    Examples
    --------
    >>> reveal("${key}", root=Path())
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: this is no reference to a secret: '${key}'. Write ${env:NAME} or ${file:PATH}.
    """
    malformed = _MALFORMED.search(text)
    if malformed is not None:
        raise ConfigError(
            "this is no reference to a secret", value=malformed[0], hint="Write ${env:NAME} or ${file:PATH}."
        )

    def replace(match: re.Match[str]) -> str:
        value = _read(match[1], match[2], root)
        if value:
            _revealed[value] = match[0]
            _revealed[quote(value, safe="")] = match[0]
        return value

    return _REFERENCE.sub(replace, text)


def _read(kind: str, name: str, root: Path) -> str:
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


def reveal_all(value: Any, *, root: Path) -> Any:
    """`reveal` for every text in a nested value."""
    if isinstance(value, str):
        return reveal(value, root=root)
    if isinstance(value, Mapping):
        return {key: reveal_all(item, root=root) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal_all(item, root=root) for item in value]
    return value


def redact(text: str) -> str:
    """The text with every secret that this process has read replaced by its reference, for logs, records and errors.

    >>> os.environ["A_TOKEN_OF_THE_DOCS"] = "s3cret"
    >>> url = reveal("https://host/?token=${env:A_TOKEN_OF_THE_DOCS}", root=Path())
    >>> redact(f"cannot open {url}")
    'cannot open https://host/?token=${env:A_TOKEN_OF_THE_DOCS}'
    """
    for secret in sorted(_revealed, key=len, reverse=True):
        # A short one is a secret only where it stands alone: "ann" does not blot out "cannot".
        alone = ("", "") if len(secret) >= _LONG else (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])")
        text = re.sub(re.escape(secret).join(alone), _revealed[secret].replace("\\", r"\\"), text)
    return text
