"""What a person needs of a drift report: how many columns drifted, which, and what changed in them."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.findings.finding import number_of
from tidemill.data.results_shown import Listing, Shown
from tidemill.monitoring.records import ColumnDrift, DriftReport

_PARTS = 20


def drift(found: DriftReport) -> Shown:
    """The columns that drifted with what changed in them, the answers first; the others are counted."""
    total = len(found.columns) + len(found.absent)
    headline = (
        f"{len(found.drifted)} of {number_of(total, 'column')} drifted: {number_of(found.rows_current, 'row')} against "
        f"{found.rows_reference:,} of the reference"
    )
    answers = [("the answers", found.prediction)] if found.prediction is not None else []
    named = [*answers, *((f"label {one.column}", one) for one in found.labels)]
    named += [(one.column, one) for one in found.columns if one.drifted]
    rows = [_row(name, one) for name, one in named]
    more = f"and {number_of(len(rows) - _PARTS, 'column')} more" if len(rows) > _PARTS else ""
    headers = ("column", "", "PSI", "what changed")
    listings = [Listing(headers, rows[:_PARTS], frozenset({2}), more)] if rows else []
    absent = [f"not in the window: {', '.join(found.absent)}"] if found.absent else []
    return Shown(
        headline, listings, absent, [".columns has every column with its bins, .rule says what counts as drift"]
    )


def _row(name: str, one: ColumnDrift) -> Sequence[str]:
    verdict = "drifted" if one.drifted else "stable"
    return name, verdict, "-" if one.psi is None else f"{one.psi:.3g}", "; ".join(one.reasons)
