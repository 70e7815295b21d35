"""Sections about data: what was found, what was set aside, repaired, joined, and what is not known in time."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.core.errors import shorten
from tidemill.data.availability import Leak
from tidemill.data.clean import CleaningReport
from tidemill.data.enrich import JoinReport
from tidemill.data.explore import Exploration
from tidemill.data.split import SplitSpec
from tidemill.data.validate import RuleOutcome, ValidationReport
from tidemill.server.report import column_parts, finding_parts, relation_parts
from tidemill.server.report.page import Section, table, tag
from tidemill.server.report.small_charts import said

#: The list of columns of one exploration may take so many bytes of the page.
_ROOM = 100_000


def exploration(found: Exploration) -> Section:
    """Findings, the gravest first, then the columns and what they have to do with each other."""
    listed, count = column_parts.overview(found.columns, found.semantic, {}, _ROOM)
    few = f'<p class="note">The first {count:,} of {len(found.columns):,} columns.</p>'
    parts = [finding_parts.findings(found.findings, {}, prefix=""), f"<h3>Columns</h3>{listed}"]
    parts += [few] if count < len(found.columns) else []
    parts += [f"<h3>The target</h3>{relation_parts.relations(found.relations, {})}"] if found.relations else []
    if found.associations:
        parts.append(f"<h3>Associations</h3>{relation_parts.associations(found.associations, {}, mapped=False)}")
    if found.missing:
        parts.append(f"<h3>Missing values</h3>{relation_parts.missing(found.missing, found, {})}")
    parts += [f"<h3>Keys</h3>{relation_parts.keys(found.keys)}"] if found.keys else []
    parts += [f"<h3>Time</h3>{relation_parts.coverage(found.coverage, {})}"] if found.coverage else []
    parts += [f"<h3>Other parts</h3>{relation_parts.drift(found.drift, {})}"] if found.drift else []
    basis = "; ".join(f"{name}: {text}" for name, text in list(found.basis.items())[:8])
    parts += [f'<p class="note">From {said(basis, 400)}.</p>'] if basis else []
    graves = sum(finding.severity == "error" for finding in found.findings)
    summary = (
        f"{found.rows:,} rows, {len(found.columns)} columns, {len(found.findings)} findings, {graves} of them errors."
    )
    return Section("Exploration", "".join(parts), summary=summary)


def validation(report: ValidationReport) -> Section:
    """The rules that rows broke, the worst first."""
    rows = [_outcome(outcome) for outcome in report.broken]
    body = table(["", "rule", "rows", "share", "such as"], rows, numeric=["rows", "share"]) if rows else ""
    kept = len(report.outcomes) - len(rows)
    summary = (
        f"{report.rows:,} rows against {len(report.outcomes)} rules: {report.valid:,} good, "
        f"{report.quarantined:,} in quarantine; {kept} rules hold everywhere."
    )
    return Section(f"Contract: {report.contract}", body, summary=summary)


def _outcome(outcome: RuleOutcome) -> tuple[object, ...]:
    mark = tag(outcome.severity, "bad" if outcome.severity == "fail" else "warn")
    return mark, outcome.rule, outcome.broken, f"{outcome.share:.2%}", shorten(list(outcome.examples), 70)


def cleaning(report: CleaningReport) -> Section:
    """What each repair did."""
    rows = [
        (o.operation.replace("_", " "), ", ".join(o.columns), o.changed, o.nulls_before, o.nulls_after, o.removed)
        for o in report.operations
    ]
    headers = ["repair", "columns", "values changed", "missing before", "missing after", "rows set aside"]
    summary = (
        f"{report.rows_before:,} rows in, {report.rows_after:,} out; every other row is in quarantine with its reason."
    )
    return Section("Cleaning", table(headers, rows, numeric=headers[2:]), summary=summary)


def join(report: JoinReport) -> Section:
    """How well two tables fitted."""
    kind = "As-of join" if report.kind == "asof" else "Lookup"
    age = "" if report.median_age is None else f"; the median reading was {report.median_age / 60:.0f} minutes old"
    keys = ", ".join(report.on) or "time"
    worst = table(["key without a partner", "rows"], report.unmatched, numeric=["rows"]) if report.unmatched else ""
    summary = f"{report.match_rate:.1%} of {report.rows:,} rows found a partner by {keys}{age}."
    return Section(
        f"{kind}: {', '.join(report.added[:4])}{'…' if len(report.added) > 4 else ''}", worst, summary=summary
    )


def leaks(found: Sequence[Leak]) -> Section:
    """Columns that are not known at the moment of prediction."""
    rows = [
        (
            leak.column,
            leak.available_at,
            f"{leak.late:.1%}",
            "never" if leak.lateness is None else f"{leak.lateness / 3600:.1f} h",
            leak.auc,
        )
        for leak in found
    ]
    headers = ["column", "known at", "too late in", "by (median)", "AUC alone"]
    summary = (
        f"{len(found)} columns are not known at the moment of prediction. That is read from when they become available "
        "in the data, not from their names; none of them may become a feature."
    )
    return Section("Leaks", table(headers, rows, numeric=headers[2:]), summary=summary)


def split(spec: SplitSpec) -> Section:
    """How the rows were divided, and what the model may see."""
    rows = [
        (part, count, *(str(moment)[:16] for moment in spec.spans.get(part, ("", ""))))
        for part, count in spec.rows.items()
    ]
    body = table(["part", "rows", "from", "to"], rows, numeric=["rows"])
    left = "; ".join(f"{count:,} rows left out ({reason})" for reason, count in spec.left_out.items())
    summary = f"Target {spec.target}, {len(spec.features)} features known at the moment of prediction. {left}"
    return Section("Training set", body, summary=summary.strip())
