"""What of an exploration to look at first, where there is not room for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidemill.data.explore import Exploration
from tidemill.data.findings.finding import Finding
from tidemill.data.relations.associations import Association

#: What a finding adds to the interest of its column; what missing values, a relation or an association add is below 1.
_WEIGHTS = {"error": 100.0, "warning": 10.0, "note": 1.0}


def grouped(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """Findings of one kind and severity together, in the order in which the kinds come.

    >>> def found(kind, column):
    ...     return Finding(kind, column, "note", 1, 0.1, (), "", "")
    >>> found = grouped([found("constant", "a"), found("id_like", "b"), found("constant", "c")])
    >>> [[finding.column for finding in group] for group in found]
    [['a', 'c'], ['b']]
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.kind), []).append(finding)
    return tuple(map(tuple, groups.values()))


def strongest(associations: Iterable[Association]) -> tuple[Association, ...]:
    """The strongest association of each two columns, in the given order: two numbers have two measures.

    >>> two = [Association("a", "b", measure, 0.9, 10) for measure in ("spearman", "pearson")]
    >>> [found.measure for found in strongest(two)]
    ['spearman']
    """
    kept: dict[frozenset[str], Association] = {}
    for item in associations:
        pair = frozenset((item.left, item.right))
        known = kept.get(pair)
        if known is None or abs(item.value) > abs(known.value):
            kept[pair] = item
    return tuple(kept.values())


def most_interesting(found: Exploration, most: int) -> tuple[str, ...]:
    """The columns to show in full, at most so many, in the order of the table.

    Those with the gravest findings come first, then those that tell most about the target, that go together with
    others, and that have missing values; then the first ones.
    """
    names = [column.name for column in found.columns]
    if len(names) <= most:
        return tuple(names)
    interest = dict.fromkeys(names, 0.0)
    for finding in found.findings:
        _add(interest, [finding.column], _WEIGHTS[finding.severity])
    for relation in found.relations:
        _add(interest, [relation.column], abs(relation.value))
    for item in found.associations:
        _add(interest, [item.left, item.right], abs(item.value) / len(found.associations))
    for column in found.columns:
        _add(interest, [column.name], 0.5 * column.nulls / max(1, column.rows))
    chosen = set(sorted(names, key=lambda name: -interest[name])[:most])
    return tuple(name for name in names if name in chosen)


def _add(interest: dict[str, float], columns: Sequence[str], weight: float) -> None:
    for column in columns:
        if column in interest:
            interest[column] += weight
