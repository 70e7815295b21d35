"""What a site's robots.txt lets a program fetch. Source: RFC 9309, and the field's custom for ``Crawl-delay``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

#: The most of a file that is read, in bytes, as the RFC asks for.
LIMIT = 500 * 1024
_SAFE = "/?#[]@!$&'()*+,;=:%-._~"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: whether paths like this may be fetched."""

    allows: bool
    path: str

    @property
    def line(self) -> str:
        """The rule as it stands in the file."""
        return f"{'Allow' if self.allows else 'Disallow'}: {self.path}"


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules that hold for one program on one host; `delay` is the pause between requests in seconds."""

    rules: tuple[Rule, ...] = ()
    delay: float = 0.0

    def forbids(self, url: str) -> Rule | None:
        """The rule that forbids a URL; None if it may be fetched.

        Of the rules that match, the one with the longest path decides; of equally long ones, one that allows.

        Examples
        --------
        >>> rules = Robots((Rule(False, "/"), Rule(True, "/open")))
        >>> rules.forbids("https://host/open/1"), rules.forbids("https://host/closed").line
        (None, 'Disallow: /')
        """
        parts = urlsplit(url)
        path = _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        if path == "/robots.txt":
            return None
        matching = [rule for rule in self.rules if rule.path and _matches(rule.path, path)]
        best = max(matching, key=lambda rule: (len(_normal(rule.path)), rule.allows), default=None)
        return None if best is None or best.allows else best


#: What holds where there is no file.
ALL_ALLOWED = Robots()


def parse_robots(text: str, product: str) -> Robots:
    r"""The rules of a robots.txt for a program.

    Parameters
    ----------
    text
        The file.
    product
        The program's name, as in the ``User-Agent`` header before the slash; the groups that name it hold, and the
        groups for ``*`` only if there are none.

    Examples
    --------
    >>> parse_robots("User-agent: *\nDisallow: /private\nCrawl-delay: 2", "tidemill")
    Robots(rules=(Rule(allows=False, path='/private'),), delay=2.0)
    """
    groups = list(_groups(text))
    mine = [lines for names, lines in groups if product.lower() in names]
    chosen = mine or [lines for names, lines in groups if "*" in names]
    rules = [
        Rule(allows=key == "allow", path=value)
        for lines in chosen
        for key, value in lines
        if key in ("allow", "disallow") and value
    ]
    delays = [_seconds(value) for lines in chosen for key, value in lines if key == "crawl-delay"]
    return Robots(tuple(rules), max(delays, default=0.0))


def _groups(text: str) -> Iterable[tuple[set[str], list[tuple[str, str]]]]:
    """The names that begin each group, and its lines as (key, value)."""
    names: set[str] = set()
    lines: list[tuple[str, str]] = []
    for raw in text.lstrip("\ufeff").splitlines():
        key, colon, value = raw.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            if lines:
                yield names, lines
                names, lines = set(), []
            names.add(re.split(r"[/\s]", value.lower(), maxsplit=1)[0])
        elif key in ("allow", "disallow", "crawl-delay") and names:
            lines.append((key, value))
    if names:
        yield names, lines


def _seconds(value: str) -> float:
    try:
        return max(0.0, float(value))
    except ValueError:
        return 0.0


def _matches(pattern: str, path: str) -> bool:
    ends = pattern.endswith("$")
    parts = [re.escape(_normal(part)) for part in (pattern[:-1] if ends else pattern).split("*")]
    return re.match(".*".join(parts) + ("$" if ends else ""), path, re.DOTALL) is not None


def _normal(path: str) -> str:
    """A path in which equal characters are written in one way, however they were percent-encoded."""
    kept = re.sub(r"(?i)%(?=2f|3f|23|25|2a|24)", "%25", path)  # what is encoded to mean itself stays encoded
    return quote(unquote(kept, errors="surrogateescape"), safe=_SAFE, errors="surrogateescape")
