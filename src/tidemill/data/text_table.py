"""Text aligned in columns that fit a width, whatever the cells hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Sequence

_GAP = 2
_LONGEST = 30
#: The last column takes what is left, but not less than this.
_LEAST = 20


def on_one_line(text: str) -> str:
    r"""Text without anything that moves a cursor or hides itself: line ends, control characters, marks of direction.

    >>> on_one_line("delay\n\x1b[31m(min)")
    'delay··[31m(min)'
    """
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def wide(text: str) -> int:
    """How many places of a terminal a text takes.

    >>> wide("delay"), wide("遅延"), wide("🌊")
    (5, 4, 2)
    """
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Text of at most so many places, with an ellipsis where something is missing.

    >>> cut("departure", 6), cut("遅延時間", 6)
    ('depar…', '遅延…')
    """
    if len(text) <= width and wide(text) <= width:
        return text
    kept, taken = 0, 0
    for kept, letter in enumerate(text):  # noqa: B007 (how many letters fit)
        taken += wide(letter)
        if taken > width - 1:
            break
    return f"{text[:kept]}…"


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> Iterator[str]:
    """Lines of at most so many places, broken between words; words that are longer are broken too.

    Parameters
    ----------
    text, width
        What is broken, and the places of a line with its indent.
    first, rest
        What the first line begins with, and the others.

    Examples
    --------
    >>> list(wrapped("high tide at noon", 10, rest="  "))
    ['high tide', '  at noon']
    """
    line, begun = first, False
    for word in text.split():
        if begun and wide(line) + 1 + wide(word) > width:
            yield line
            line, begun = rest, False
        line = f"{line} {word}" if begun else line + word
        begun = True
        while wide(line) > width:
            head = cut(line, width + 1)[:-1]
            if len(head) <= len(rest):
                break
            yield head
            line = rest + line[len(head) :]
    if begun:
        yield line


def fitted(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, right: Collection[int], drop: Sequence[int]
) -> Iterator[str]:
    """Lines of an aligned table, the headers first.

    Parameters
    ----------
    headers, rows
        Cells of one line each.
    width
        What a line may take. Columns that are empty are left out; then those of `drop`, in their order, until the
        rest fits. The last column is cut where it has to be.
    right
        The columns that are flushed right.
    drop
        The columns that may be left out.

    Examples
    --------
    >>> rows = [("speed", "number", "1"), ("kind", "category", "12")]
    >>> for line in fitted(("column", "type", "distinct"), rows, 30, right={2}, drop=()):
    ...     print(line)
    column  type      distinct
    speed   number           1
    kind    category        12
    """
    table = [tuple(headers), *map(tuple, rows)]
    widths = [min(_LONGEST, width // 3, max(wide(row[place]) for row in table)) for place in range(len(headers))]
    kept = [place for place in range(len(headers)) if any(row[place] for row in rows)]
    last = kept[-1] if kept else 0
    for place in drop:
        if sum(widths[p] + _GAP for p in kept if p != last) + min(widths[last], _LEAST) <= width:
            break
        kept = [p for p in kept if p != place]
    taken = sum(widths[p] + _GAP for p in kept if p != last)
    widths[last] = min(max(wide(row[last]) for row in table), max(_LEAST, width - taken))
    for row in table:
        cells = [_cell(row[place], widths[place], flush_right=place in right) for place in kept]
        yield (" " * _GAP).join(cells).rstrip()


def _cell(text: str, width: int, *, flush_right: bool) -> str:
    short = cut(text, width)
    fill = " " * (width - wide(short))
    return fill + short if flush_right else short + fill
