"""How text and names look that tell of one person; without a table library, for whoever has single values only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_HEX = "[0-9a-f]"

EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}"
IPV4 = rf"(?:{_BYTE}\.){{3}}{_BYTE}(?:/\d{{1,2}})?"
IPV6 = rf"(?i)(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}|[0-9a-f:]*::[0-9a-f:]*"
PHONE = r"\+\d[\d\s().-]{6,18}\d|(?:1[-. ])?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4}"

_FORMS = tuple(
    (re.compile(form), called)
    for form, called in (
        (EMAIL, "e-mail addresses"), (PHONE, "phone numbers"), (IPV4, "IP addresses"), (IPV6, "IP addresses"),
    )
)  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAMES = frozenset(
    "email mail phone telephone ssn passport iban surname firstname lastname fullname birthday birthdate dob".split()
)
_PAIRS = frozenset(("first name", "last name", "full name", "family name", "birth date", "ip address", "home address"))


def looks_personal(name: str, values: Iterable[object] = ()) -> str:
    """Why a column could tell of one person, by its name or by the values that are known of it; empty if it does not.

    Examples
    --------
    >>> looks_personal("contactEmail"), looks_personal("reply_to", ["ann@mill.org"]), looks_personal("distance", [80])
    ("its name says 'email'", 'it holds e-mail addresses', '')
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    for word in [*words, *map(" ".join, pairwise(words))]:
        if word in _NAMES or word in _PAIRS:
            return f"its name says {word!r}"
    for value in values:
        for form, called in _FORMS:
            if isinstance(value, str) and form.fullmatch(value):
                return f"it holds {called}"
    return ""
