"""What a card consists of: sections of sentences and tables, plain values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NOT_ANSWERED = "not answered"
NOT_MEASURED = "not measured"
NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class CardTable:
    """A table; `numeric` names the columns of numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    caption: str = ""
    numeric: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CardSection:
    """A titled part: sentences first, then tables."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[CardTable, ...] = ()


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", numeric: Sequence[str] = ()
) -> tuple[CardTable, ...]:
    """A table, or nothing when it would have no rows."""
    body = tuple(tuple(row) for row in rows)
    return (CardTable(tuple(headers), body, caption, tuple(numeric)),) if body else ()


def known(pairs: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Names and values without those that are empty."""
    return [(name, value) for name, value in pairs if value not in (None, "", (), {}, [])]


def spread(low: float | None, high: float | None) -> str:
    """An interval as people write it; empty where there is none.

    >>> spread(0.25, 0.5)
    '[0.25, 0.5]'
    """
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"
