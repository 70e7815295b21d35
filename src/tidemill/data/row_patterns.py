r"""Regular expressions of Rust's syntax, in which contracts are written, as Python's: for the checks of single rows.

The two differ in details that matter for a verdict: ``$`` before a last line break, what ``\s`` and ``\w`` hold beyond
ASCII, nested classes. What means the same is translated; the rest is an error. Characters newer than the Unicode of
Python are no letters here.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache, lru_cache

from tidemill.core.errors import ConfigError

_SPACE = r"\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LITERAL = frozenset(r"\.+*?()|[]{}^$#&-~/ ")
_CONTROLS = frozenset("tnrfv")
_QUANTIFIER = re.compile(r"\{\d+(?:,\d*)?\}")
_GROUP = re.compile(r"\((?:\?:|\?P<[A-Za-z_]\w*>)?")
#: Letters that Unicode counts as such although their category is that of a symbol: circled and squared ones.
_LETTER_LIKE = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))


@lru_cache(maxsize=256)
def python_pattern(pattern: str) -> str:
    r"""The same regular expression in Python's syntax.

    Raises
    ------
    ConfigError
        For what has no counterpart with the same meaning: flags, Unicode classes, word boundaries, nested classes.

    Examples
    --------
    >>> print(python_pattern(r"^(?:N[0-9]{3}\d)$"))
    \A(?:N[0-9]{3}\d)\Z
    """
    # What LIKE makes of its text: there, a dot is any character.
    every = "(?s)" if pattern.startswith("(?s)") else ""
    out, place = [every], len(every)
    while place < len(pattern):
        piece, place = _piece(pattern, place)
        out.append(piece)
    translated = "".join(out)
    try:
        re.compile(translated)
    except (re.error, OverflowError) as error:
        raise ConfigError(f"not a regular expression: {error}", value=pattern) from None
    return translated


def _piece(pattern: str, place: int) -> tuple[str, int]:
    """The next piece, translated, and where the one after it begins."""
    sign = pattern[place]
    if sign == "\\":
        return _escaped(pattern, place, within=False), place + 2
    if sign == "[":
        return _class(pattern, place)
    if sign == "(":
        group = _GROUP.match(pattern, place)
        if group is None or pattern[group.end() : group.end() + 1] == "?":
            raise _unknown(pattern, pattern[place : place + 3])
        return group.group(), group.end()
    if sign == "{":
        times = _QUANTIFIER.match(pattern, place)
        if times is None:
            raise _unknown(pattern, sign)
        return _times(pattern, times.group(), times.end())
    if sign in "*+?":
        return _times(pattern, sign, place + 1)
    if sign in "^$":
        return (r"\A" if sign == "^" else r"\Z"), place + 1
    return (sign if sign in ".|)" or sign.isalnum() else re.escape(sign)), place + 1


def _times(pattern: str, times: str, after: int) -> tuple[str, int]:
    """A quantifier, perhaps a lazy one; what follows it may not be another, which Python reads otherwise."""
    lazy = pattern[after : after + 1] == "?"
    after += lazy
    if pattern[after : after + 1] in ("*", "+", "?", "{"):
        raise _unknown(pattern, pattern[after])
    return times + "?" * lazy, after


def _escaped(pattern: str, place: int, *, within: bool) -> str:
    sign = pattern[place + 1 : place + 2]
    if sign in _LITERAL and sign:
        return re.escape(sign)
    if sign in _CONTROLS or sign == "d" or (sign == "D" and not within):
        return f"\\{sign}"
    if sign in ("s", "w"):
        members = _SPACE if sign == "s" else _word()
        return members if within else f"[{members}]"
    if sign in ("S", "W") and not within:
        return f"[^{_SPACE if sign == 'S' else _word()}]"
    raise _unknown(pattern, f"\\{sign}")


def _class(pattern: str, place: int) -> tuple[str, int]:
    """A class in brackets: characters, ranges and escapes only."""
    start = place
    out, place = ["["], place + 1
    if pattern[place : place + 1] == "^":
        out.append("^")
        place += 1
    first = place
    while place < len(pattern) and (pattern[place] != "]" or place == first):
        sign = pattern[place]
        if sign == "\\":
            out.append(_escaped(pattern, place, within=True))
            place += 2
            continue
        if sign == "[" or pattern[place : place + 2] in ("&&", "--", "~~"):
            raise _unknown(pattern, pattern[place : place + 2])
        out.append("-" if sign == "-" else re.escape(sign))
        place += 1
    if place >= len(pattern):
        raise ConfigError("a class of a regular expression is not closed", value=pattern[start:])
    return "".join([*out, "]"]), place + 1


@cache
def _word() -> str:
    r"""The members of ``\w`` as Unicode has it: letters, marks, digits, connectors and joiners."""
    wanted = [
        (category := unicodedata.category(chr(code)))[0] in "LM" or category in ("Nl", "Nd", "Pc")
        for code in range(sys.maxunicode + 1)
    ]
    for low, high in (*_LETTER_LIKE, (0x200C, 0x200D)):
        wanted[low : high + 1] = [True] * (high - low + 1)
    ranges, start = [], None
    for code, member in enumerate([*wanted, False]):
        if member and start is None:
            start = code
        elif not member and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)


def _unknown(pattern: str, part: str) -> ConfigError:
    return ConfigError(
        f"{part!r} in a regular expression cannot be checked on single rows", value=pattern,
        hint="Write it with characters, classes such as [A-Z0-9], groups, | and repetition.",
    )  # fmt: skip
