"""A card as Markdown, in which nothing that was recorded can act as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tidemill.registry.card_parts import CardSection, CardTable

_MARKUP = re.compile(r"([\\`*_\[\]|~$])")
#: What begins a heading, a list or a rule, but no negative number.
_LEADING = re.compile(r"^([#+\-=](?=\s|$|[#\-=]))")
_NUMBERED = re.compile(r"^(\d+)([.)](?=\s|$))")


def markdown(title: str, lead: str, sections: Iterable[CardSection]) -> str:
    """The whole card."""
    parts = [f"# {escaped(title)}", escaped(lead)]
    for section in sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [escaped(sentence) for sentence in section.text]
        parts += [_table(one) for one in section.tables]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Text on one line that is shown as it is.

    >>> escaped("# a <b> *c* | [d](e)")
    '\\# a &lt;b&gt; \\*c\\* \\| \\[d\\](e)'
    """
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _NUMBERED.sub(r"\1\\\2", _LEADING.sub(r"\\\1", _MARKUP.sub(r"\\\1", line)))


def shown(value: object) -> str:
    """A value as a cell has it: numbers to four digits, nothing as a dash.

    >>> [shown(value) for value in (None, True, 0.123456, 12345, "text")]
    ['–', 'yes', '0.1235', '12,345', 'text']
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(found: CardTable) -> str:
    rule = ["---:" if name in found.numeric else "---" for name in found.headers]
    body = [[escaped(shown(cell)) for cell in row] for row in found.rows]
    lines = [_row([escaped(name) for name in found.headers]), _row(rule), *map(_row, body)]
    return (f"{escaped(found.caption)}\n\n" if found.caption else "") + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
