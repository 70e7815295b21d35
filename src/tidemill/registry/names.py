"""How a model version is named: ``flight-delay@champion``, ``flight-delay@3``, ``flight-delay``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidemill.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model and a version of it, by number or alias."""

    model: str
    version: int | str

    @property
    def alias(self) -> str | None:
        """The alias, unless a number was given."""
        return None if isinstance(self.version, int) else self.version

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"


def parse_reference(text: str, *, default: str = "champion") -> Reference:
    """Read ``name@alias``, ``name@number``, ``name@vnumber`` or a name alone, which means `default`.

    >>> parse_reference("flight-delay@3")
    Reference(model='flight-delay', version=3)
    >>> str(parse_reference("flight-delay"))
    'flight-delay@champion'
    """
    if not isinstance(text, str):
        raise UsageError("a model is named by text", value=text, hint="Write flight-delay@champion or flight-delay@3.")
    model, at, version = text.partition("@")
    if at and not version:
        raise UsageError("nothing follows the @", value=text, hint="Write flight-delay@champion or flight-delay@3.")
    check_name(model, "model")
    digits = version.removeprefix("v")
    if digits.isdecimal() and digits.isascii():
        return Reference(model, int(digits[:10]))  # longer ones name nothing either
    wanted = version or default
    return Reference(model, wanted if wanted == "latest" else check_name(wanted, "alias"))


def check_name(name: str, what: str) -> str:
    """The name, if it can be used in a path and a URL; aliases may not look like version numbers."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"this cannot be the name of a {what}",
            value=name,
            hint="Use letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
        )
    if what == "alias" and name == "latest":
        raise UsageError("this alias always means the newest version", value=name, hint="Choose another word.")
    if what == "alias" and name.removeprefix("v").isdecimal():
        raise UsageError("an alias may not look like a version number", value=name, hint="Choose a word.")
    return name
