"""Findings that follow from other findings, and are left out."""

from __future__ import annotations

from collections.abc import Iterable

from tidemill.data.findings.finding import Finding

#: A finding of the first kind follows from one of the others in the same column, or about whole rows.
_FOLLOWS = {
    "precision_change": {"unit_break", "stuck_values", "mixed_types", "swapped_columns"},
    "unit_break": {"swapped_columns"},
    "clock_shift": {"duplicate_rows", "hour_mismatch", "sentinel"},
    "late_rows": {"sentinel"},
    "time_gap": {"sentinel", "daylight_saving"},
    "missing_burst": {"mostly_missing"},
    "missing_values": {"mostly_missing", "missing_labels"},
}


def without_consequences(findings: Iterable[Finding]) -> list[Finding]:
    """Findings without those that another one explains.

    A converted number has other decimals, a batch that comes again sets the clock back: one defect is one finding.
    """
    given = list(findings)
    known: dict[str, set[str]] = {}
    for finding in given:
        if finding.severity != "note":
            known.setdefault(finding.column, set()).add(finding.kind)
    return [
        finding for finding in given
        if not _FOLLOWS.get(finding.kind, set()) & (known.get(finding.column, set()) | known.get("*", set()))
    ]  # fmt: skip
