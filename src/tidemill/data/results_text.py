"""The results of verbs as people read them on a terminal."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tidemill.data import results_shown
from tidemill.data.results_shown import Shown
from tidemill.data.text_table import cut, fitted, on_one_line, wrapped

_WIDTH, _NARROWEST = 120, 60
#: The name of a result's class -> what is shown of it.
SHOWN: dict[str, Callable[[Any], Shown]] = {
    "ValidationReport": results_shown.validation,
    "Validated": results_shown.validated,
    "CleaningReport": results_shown.cleaning,
    "Cleaned": results_shown.cleaned,
    "JoinReport": results_shown.join,
    "Enriched": results_shown.joined,
    "FuzzyEnriched": results_shown.joined,
    "Splits": results_shown.splits,
}
#: The same of later rooms, as "module:function": they are named here, and loaded when one is shown.
_LATER = {
    "DriftReport": "tidemill.monitoring.shown:drift",
    "Evaluation": "tidemill.evaluation.shown:evaluation",
    "Examination": "tidemill.evaluation.shown:examination",
}


def shown_of(result: Any) -> Shown:
    """What is shown of a result."""
    name = type(result).__name__
    if name in SHOWN:
        return SHOWN[name](result)
    module, _, function = _LATER[name].partition(":")
    shown: Shown = getattr(importlib.import_module(module), function)(result)
    return shown


def screen(result: Any, *, width: int | None = None) -> str:
    """The counts, the tables, and what to look at next.

    >>> import polars as pl
    >>> from tidemill.data.enrich import key_join
    >>> flights = pl.DataFrame({"plane": ["N1", "N9", "N9"]})
    >>> print(screen(key_join(flights, pl.DataFrame({"plane": ["N1"], "seats": [55]}), "plane"), width=80))
    key join by plane: 1 of 3 rows matched (33.3%)
    <BLANKLINE>
    without a partner  rows
    'N9'                  2
    <BLANKLINE>
    columns added: seats
    → .table has 3 rows, each once
    """
    room = max(_NARROWEST, width or shutil.get_terminal_size((_WIDTH, 50)).columns)
    return "\n\n".join("\n".join(part) for part in _parts(shown_of(result), room))


def _parts(shown: Shown, room: int) -> Iterator[list[str]]:
    yield list(wrapped(on_one_line(shown.headline), room))
    for listing in shown.listings:
        rows = [[on_one_line(cell) for cell in row] for row in listing.rows]
        headers = [on_one_line(header) for header in listing.headers]
        lines = list(fitted(headers, rows, room, right=listing.right, drop=listing.drop))
        yield lines + ([listing.more] if listing.more else [])
    told = [*shown.notes, *(f"→ {text}" for text in shown.next)]
    if told:
        yield [cut(on_one_line(text), room) for text in told]
