"""Findings about the target: rows without a label, and columns that tell it too well."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tidemill.data.availability import single_column_auc
from tidemill.data.findings.finding import Finding

_SAMPLE = 50_000
_SUSPICIOUS_AUC = 0.85
_SUSPICIOUS_CORRELATION = 0.9
_MANY_CATEGORIES = 50


def find_in_labels(frame: pl.DataFrame, target: str) -> Iterator[Finding]:
    """Missing labels, and columns that predict the target suspiciously well (on a sample of 50,000 rows)."""
    labels = frame[target]
    missing = labels.null_count()
    if missing:
        yield Finding(
            "missing_labels", target, "warning", missing, missing / frame.height, (),
            f"{target} is missing in {missing:,} rows: they cannot teach, and they are not negatives.",
            "Leave them out of the training set (it does, and counts them), and ask why they are missing.",
            {"kind": "filter_rows", "condition": f'"{target}" IS NOT NULL', "reason": "no label"},
        )  # fmt: skip
    labelled = frame.filter(labels.is_not_null())
    if labelled.height > _SAMPLE:
        labelled = labelled.gather_every(labelled.height // _SAMPLE)
    for name in labelled.columns:
        if name != target:
            yield from _too_good(labelled[name], labelled[target])


def _too_good(column: pl.Series, target: pl.Series) -> Iterator[Finding]:
    if column.dtype == pl.String and column.n_unique() > _MANY_CATEGORIES:
        return
    strength = single_column_auc(column, target)
    measure, limit = "AUC", _SUSPICIOUS_AUC
    if strength is None and target.dtype.is_numeric() and column.dtype.is_numeric():
        rank = pl.DataFrame({"x": column, "y": target}).drop_nulls()
        strength = rank.select(pl.corr("x", "y", method="spearman").abs()).item() if rank.height > 1 else None
        measure, limit = "rank correlation", _SUSPICIOUS_CORRELATION
    if strength is not None and strength >= limit:
        yield Finding(
            "suspiciously_predictive", column.name, "warning", column.count(), column.count() / column.len(), (),
            f"{column.name} alone reaches {measure} {strength:.2f} on {target.name}: it may be known only afterwards.",
            "Declare when it is known (available_at in its source), or drop it.",
        )  # fmt: skip
