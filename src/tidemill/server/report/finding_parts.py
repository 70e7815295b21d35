"""What was found in a table, kind by kind, the gravest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tidemill.core.errors import shorten
from tidemill.data.findings.finding import Finding
from tidemill.data.interest import grouped
from tidemill.server.report.page import tag
from tidemill.server.report.small_charts import said

TONES = {"error": "bad", "warning": "warn", "note": "plain"}
_TOLD, _NAMED, _GROUPS = 3, 24, 40
_SENTENCE = 400


def findings(found: Iterable[Finding], anchors: Mapping[str, str], *, prefix: str = "f") -> str:
    """Every kind of finding with its columns, what it means and what to do.

    Parameters
    ----------
    found
        In their order.
    anchors
        Where on the page a column is shown, by name; a column that is not shown has none.
    prefix
        Of the anchors of the kinds (see `anchor_of`); empty for a page that may have them several times.
    """
    groups = grouped(found)
    shown = "".join(_group(group, anchors, prefix) for group in groups[:_GROUPS])
    left = len(groups) - _GROUPS
    return shown + (f'<p class="note">… and {left} more kinds of findings.</p>' if left > 0 else "")


def anchor_of(finding: Finding, prefix: str = "f") -> str:
    """Where on the page the kind of a finding is told."""
    return f"{prefix}-{finding.severity}-{finding.kind}"


def tally(found: Sequence[Finding]) -> str:
    """How many there are of each severity.

    >>> tally([])
    'no findings'
    """
    counts = {kind: sum(finding.severity == kind for finding in found) for kind in TONES}
    parts = [f"{count:,} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
    return ", ".join(parts) or "no findings"


def _group(group: Sequence[Finding], anchors: Mapping[str, str], prefix: str) -> str:
    first = group[0]
    many = f" in {len(group):,} columns" if len(group) > 1 else _rows(first)
    head = (
        f"{tag(first.severity, TONES[first.severity]).text} <strong>{said(first.kind.replace('_', ' '))}</strong>{many}"
    )
    told = "".join(_told(finding) for finding in group[:_TOLD])
    rest = "".join(_rest(group, anchors))
    todo = f'<p class="do">→ {said(first.suggestion, _SENTENCE)}</p>' if first.suggestion else ""
    place = f' id="{anchor_of(first, prefix)}"' if prefix else ""
    return f'<article class="finding"{place}><p>{head}</p>{told}{rest}{todo}</article>'


def _rows(finding: Finding) -> str:
    if not finding.count:
        return ""
    share = f", {finding.share:.2%}" if 0 < finding.share < 1 else ""
    return f' <span class="note">{finding.count:,} row{"s" if finding.count > 1 else ""}{share}</span>'


def _told(finding: Finding) -> str:
    examples = f' <span class="note">such as {said(_examples(finding), 120)}</span>' if finding.examples else ""
    return f"<p>{said(finding.explanation, _SENTENCE)}{examples}</p>"


def _examples(finding: Finding) -> str:
    return ", ".join(dict.fromkeys(map(_example, finding.examples[:4])))


def _example(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_example, value))})"
    return value if isinstance(value, str) else shorten(value, 60)


def _rest(group: Sequence[Finding], anchors: Mapping[str, str]) -> Iterator[str]:
    """The columns of a kind, so that each can be gone to."""
    if len(group) > _TOLD:
        links = [linked(finding.column, anchors) for finding in group[_TOLD : _TOLD + _NAMED]]
        left = len(group) - _TOLD - len(links)
        yield f'<p class="note">also in {", ".join(links)}{f" and {left:,} more" if left > 0 else ""}</p>'


def linked(column: str, anchors: Mapping[str, str], longest: int = 40) -> str:
    """The name of a column, as a link if it is shown somewhere on the page."""
    anchor = anchors.get(column)
    name = said(column, longest) or "(no name)"
    return name if anchor is None else f'<a href="#{anchor}">{name}</a>'
