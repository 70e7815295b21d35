"""How far annotators agree beyond chance: the kappas of Cohen and Fleiss, Krippendorff's alpha."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from tidemill.core.errors import DataError, UsageError

Distance = Literal["nominal", "interval", "jaccard"]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two annotators: the tasks that both have labelled, the share on which they agree, and Cohen's kappa."""

    left: str
    right: str
    tasks: int
    observed: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the annotators of a queue agree; a value is None where it is not defined.

    Parameters
    ----------
    tasks
        Tasks with at least two labels.
    observed
        The share of pairs of labels of one task that are equal.
    fleiss
        Fleiss' kappa, over the tasks with the most usual number of labels.
    alpha
        Krippendorff's alpha over all tasks with at least two labels: also where annotators have labelled different
        tasks. Distances are those of the schema: equal or not, squared differences of numbers, Jaccard distances of
        sets.
    pairs
        Every two annotators with a task in common.
    """

    tasks: int
    observed: float | None
    fleiss: float | None
    alpha: float | None
    pairs: tuple[PairAgreement, ...] = ()


def cohen_kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float | None:
    """The agreement of two annotators on the same items, 1 at best, 0 as by chance; None if both gave one answer only.

    Source: J. Cohen, A Coefficient of Agreement for Nominal Scales, Educational and Psychological Measurement 20
    (1960).

    >>> round(cohen_kappa(["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15), 2)
    0.4
    """
    if len(left) != len(right):
        raise DataError(
            "both annotators label the same items", value=(len(left), len(right)), hint="Leave out the others."
        )
    if not left:
        return None
    items = len(left)
    observed = sum(a == b for a, b in zip(left, right, strict=True)) / items
    first, second = Counter(left), Counter(right)
    expected = sum(first[answer] * second[answer] for answer in first) / items**2
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(items: Sequence[Sequence[Hashable]]) -> float | None:
    """The agreement of several annotators, the same number for each item, who need not be the same people.

    Source: J. L. Fleiss, Measuring Nominal Scale Agreement Among Many Raters, Psychological Bulletin 76 (1971).

    >>> fleiss_kappa([["a", "a", "a"], ["b", "b", "b"]])
    1.0
    """
    sizes = {len(item) for item in items}
    if not items:
        return None
    if len(sizes) > 1 or min(sizes) < 2:
        raise DataError(
            "each item needs the same number of labels, two or more",
            value=sorted(sizes),
            hint="Use krippendorff_alpha.",
        )
    raters = sizes.pop()
    counts = [Counter(item) for item in items]
    observed = sum(sum(n * (n - 1) for n in count.values()) for count in counts) / (len(items) * raters * (raters - 1))
    totals: Counter[Hashable] = sum(counts, Counter())
    expected = sum((n / (len(items) * raters)) ** 2 for n in totals.values())
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(items: Sequence[Sequence[Any]], distance: Distance = "nominal") -> float | None:
    """The agreement of any number of annotators, also where some have not labelled some items.

    Items with fewer than two labels say nothing and are left out; None if all labels are equal.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, University of Pennsylvania (2011).

    Parameters
    ----------
    items
        The labels of each item.
    distance
        ``"nominal"``: equal or not; ``"interval"``: squared differences of numbers; ``"jaccard"``: of sets, one minus
        the share of common members.

    Examples
    --------
    >>> round(krippendorff_alpha([[1, 1], [2, 2], [3, 4], [5]], "interval"), 3)
    0.878
    """
    paired = [item for item in items if len(item) >= 2]
    labels = [label for item in paired for label in item]
    if not labels:
        return None
    total = _TOTALS.get(distance)
    if total is None:
        raise UsageError("not a distance of labels", value=distance, hint=f"Use one of {', '.join(_TOTALS)}.")
    expected = total(labels) / (len(labels) - 1)
    observed = sum(total(item) / (len(item) - 1) for item in paired)
    return None if expected <= 0 else 1 - observed / expected


def agreement(labels: Sequence[Mapping[str, Any]], kind: str = "class") -> Agreement:
    """The agreement on tasks, each given as the labels by annotator.

    For numbers, kappas say nothing and are None; the alpha measures how far they are apart.

    Parameters
    ----------
    labels
        For each task, its labels by annotator.
    kind
        Of the labels: ``"class"``, ``"multi_label"`` or ``"number"``.

    Examples
    --------
    >>> found = agreement([{"ann": "a", "bob": "a"}, {"ann": "a", "bob": "b"}, {"ann": "b", "bob": "b"}])
    >>> found.tasks, round(found.observed, 2), round(found.pairs[0].kappa, 2)
    (3, 0.67, 0.4)
    """
    several = [{who: _hashable(label) for who, label in task.items()} for task in labels if len(task) >= 2]
    if not several:
        return Agreement(0, None, None, None)
    items = [list(task.values()) for task in several]
    agreeing = sum(sum(n * (n - 1) for n in Counter(item).values()) for item in items)
    pairs = sum(len(item) * (len(item) - 1) for item in items)
    is_number = kind == "number"
    usual = Counter(len(item) for item in items).most_common(1)[0][0]
    distance: Distance = "interval" if is_number else "jaccard" if kind == "multi_label" else "nominal"
    return Agreement(
        len(items),
        agreeing / pairs,
        None if is_number else fleiss_kappa([item for item in items if len(item) == usual]),
        krippendorff_alpha(items, distance),
        _pairs(several, is_number=is_number),
    )


def _pairs(tasks: Sequence[Mapping[str, Hashable]], *, is_number: bool) -> tuple[PairAgreement, ...]:
    common: dict[tuple[str, str], list[tuple[Hashable, Hashable]]] = {}
    for task in tasks:
        for left, right in combinations(sorted(task), 2):
            common.setdefault((left, right), []).append((task[left], task[right]))
    return tuple(
        PairAgreement(
            left,
            right,
            len(both),
            sum(a == b for a, b in both) / len(both),
            None if is_number else cohen_kappa([a for a, _ in both], [b for _, b in both]),
        )
        for (left, right), both in sorted(common.items())
    )


def _hashable(label: Any) -> Hashable:
    return frozenset(label) if isinstance(label, list) else label


def _nominal(labels: Sequence[Any]) -> float:
    """Over all ordered pairs of labels, how many differ."""
    return float(len(labels) ** 2 - sum(n * n for n in Counter(labels).values()))


def _interval(labels: Sequence[Any]) -> float:
    """Over all ordered pairs of numbers, the sum of squared differences; centred first, so that no digits are lost."""
    mean = sum(labels) / len(labels)
    return float(2 * len(labels) * sum((label - mean) ** 2 for label in labels))


def _jaccard(labels: Sequence[Any]) -> float:
    counts = Counter(frozenset(label) for label in labels)
    return float(
        sum(
            2 * counts[left] * counts[right] * (1 - len(left & right) / len(left | right))
            for left, right in combinations(counts, 2)
        )
    )


_TOTALS: dict[str, Callable[[Sequence[Any]], float]] = {
    "nominal": _nominal,
    "interval": _interval,
    "jaccard": _jaccard,
}
