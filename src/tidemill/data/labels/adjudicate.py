"""Which label counts where annotators differ: the majority's, or that of those who are right most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import numpy as np

from tidemill.core.errors import UsageError
from tidemill.data.labels.schema import LabelSchema
from tidemill.data.labels.weak import dawid_skene

Method = Literal["majority", "dawid_skene"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A settled label, and the share of the annotators that gave it (majority) or its probability (Dawid–Skene)."""

    label: Any
    share: float


@dataclass(frozen=True, slots=True)
class Adjudication:
    """What was settled.

    Parameters
    ----------
    method
        How.
    decisions
        The decision for each task, by number.
    left
        The tasks that stay open to dispute: equal votes, or no label that is likely enough.
    accuracies
        Of each annotator, as Dawid–Skene estimates it without knowing the truth; None under the majority.
    """

    method: Method
    decisions: Mapping[int, Decision]
    left: tuple[int, ...]
    accuracies: Mapping[str, float] | None = field(default=None)


def settled(
    labels: Mapping[int, Mapping[str, Any]], tasks: Sequence[int], schema: LabelSchema, method: Method, at_least: float
) -> Adjudication:
    """The decisions for `tasks`; `labels` are those of all tasks, by task and annotator.

    >>> labels = {1: {"ann": "a", "bob": "a", "eve": "b"}, 2: {"ann": "a", "bob": "b"}}
    >>> settled(labels, [1, 2], LabelSchema(("a", "b")), "majority", 0.5).decisions[1].label
    'a'
    """
    accuracies = None
    if method == "majority":
        found = {number: _majority(list(labels[number].values()), schema) for number in tasks}
    elif method == "dawid_skene":
        found, accuracies = _by_accuracy(labels, tasks, schema, at_least)
    else:
        raise UsageError("not a way to settle disputes", value=method, hint="Use majority or dawid_skene.")
    decisions = {number: decision for number, decision in found.items() if decision is not None}
    return Adjudication(method, decisions, tuple(number for number in tasks if number not in decisions), accuracies)


def _majority(labels: Sequence[Any], schema: LabelSchema) -> Decision | None:
    if schema.kind == "number":
        return Decision(float(median(labels)), 1.0)
    if schema.kind == "multi_label":
        counts = Counter(name for label in labels for name in label)
        shares = {name: counts[name] / len(labels) for name in schema.classes}
        if 0.5 in shares.values():
            return None
        chosen = [name for name, share in shares.items() if share > 0.5]
        return Decision(chosen, min(max(share, 1 - share) for share in shares.values()))
    (label, most), *others = Counter(labels).most_common()
    return None if others and others[0][1] == most else Decision(label, most / len(labels))


def _by_accuracy(
    labels: Mapping[int, Mapping[str, Any]], tasks: Sequence[int], schema: LabelSchema, at_least: float
) -> tuple[dict[int, Decision | None], dict[str, float]]:
    if schema.kind != "class":
        raise UsageError("Dawid-Skene settles labels of one class only", value=schema.kind, hint="Use majority.")
    if not 0 <= at_least < 1:
        raise UsageError("a probability lies between 0 and 1", value=at_least, hint="Try 0.5.")
    numbers = sorted(labels)
    annotators = sorted({who for task in labels.values() for who in task})
    if not numbers:
        return {}, {}
    votes = np.full((len(numbers), len(annotators)), -1, dtype=np.int64)
    column = {who: place for place, who in enumerate(annotators)}
    code = {name: place for place, name in enumerate(schema.classes)}
    for row, number in enumerate(numbers):
        for who, label in labels[number].items():
            votes[row, column[who]] = code[label]
    probabilities, accuracies = dawid_skene(votes, len(schema.classes))
    place = {number: row for row, number in enumerate(numbers)}
    found: dict[int, Decision | None] = {}
    for number in tasks:
        chances = probabilities[place[number]]
        best = int(chances.argmax())
        found[number] = Decision(schema.classes[best], float(chances[best])) if chances[best] > at_least else None
    return found, {who: float(accuracies[place]) for who, place in column.items()}
