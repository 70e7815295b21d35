"""What a comparison found: plain records with the counts of every bin, so that a report draws and never counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidemill.data.faces import as_html, as_text


@dataclass(frozen=True, slots=True)
class DriftRule:
    """When a difference is called drift: it must be both larger than chance and large enough to matter.

    Parameters
    ----------
    alpha
        False discovery rate over all tests of a report (Benjamini-Hochberg).
    psi
        Smallest population stability index of a changed distribution.
    missing
        Smallest change of the share of missing values.
    strange
        Smallest share of values that the reference did not have: new categories, numbers out of range.
    rows
        Fewest known values on either side for a test.
    """

    alpha: float = 0.05
    psi: float = 0.1
    missing: float = 0.02
    strange: float = 0.005
    rows: int = 30


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column in the reference and in the current window.

    Parameters
    ----------
    column, kind
        Its name; ``"number"`` or ``"category"``.
    drifted, reasons
        The verdict, and a sentence for each thing that changed.
    psi, jensen_shannon
        How far the two distributions are apart; None when one side has no known values.
    p_value, adjusted_p
        Two-sample chi-square test on the bins, as it is and adjusted for the number of tests; None when there are too
        few rows.
    missing_reference, missing_current, missing_adjusted_p
        Shares of missing values, and the adjusted p-value of their difference.
    new_categories, new_share
        Categories that the reference does not have, most frequent first, and their share.
    out_of_range
        Share of numbers outside the reference's range.
    strange_adjusted_p
        The adjusted chance of so large a share of new or out-of-range values in the same population.
    mean_reference, mean_current
        Of numbers.
    edges, categories
        The bins: inner edges of numbers (one fewer than counts), or the categories followed by all others.
    reference_counts, current_counts
        Known values per bin on both sides; for categories the last is of all others.
    """

    column: str
    kind: Literal["number", "category"]
    drifted: bool
    reasons: tuple[str, ...]
    psi: float | None = None
    jensen_shannon: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    missing_reference: float = 0.0
    missing_current: float = 0.0
    missing_adjusted_p: float | None = None
    new_categories: tuple[str, ...] = ()
    new_share: float = 0.0
    out_of_range: float = 0.0
    strange_adjusted_p: float | None = None
    mean_reference: float | None = None
    mean_current: float | None = None
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    reference_counts: tuple[int, ...] = ()
    current_counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class DriftReport:
    """Every column of a window against the reference.

    Parameters
    ----------
    rows_reference, rows_current
        Rows on both sides.
    columns
        The inputs, the most changed first.
    prediction
        The model's answers, when there were any to compare.
    absent
        Columns of the reference that the window does not have.
    rule
        What was called drift.
    labels
        Of a model of several labels the probability of each, in the order of the model.
    """

    rows_reference: int
    rows_current: int
    columns: tuple[ColumnDrift, ...]
    prediction: ColumnDrift | None
    absent: tuple[str, ...]
    rule: DriftRule
    labels: tuple[ColumnDrift, ...] = ()

    def __repr__(self) -> str:
        total = len(self.columns) + len(self.absent)
        rows = f"{self.rows_current:,} rows against {self.rows_reference:,}"
        return f"DriftReport({len(self.drifted)} of {total} columns drifted, {rows})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The inputs that drifted, the most changed first, absent ones included."""
        return (*(column.column for column in self.columns if column.drifted), *self.absent)

    @property
    def share_drifted(self) -> float:
        """The share of the inputs that drifted."""
        total = len(self.columns) + len(self.absent)
        return len(self.drifted) / total if total else 0.0

    def column(self, name: str) -> ColumnDrift:
        """The record of one column."""
        return next(found for found in self.columns if found.column == name)
