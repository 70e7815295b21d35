"""From a score to a decision: what the answer of each task looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidemill.core.model import Signature

Decide = Callable[[Any], dict[str, Any]]

#: Classes that mean no and yes, in this order; their answer is false or true.
_FLAGS = {("0", "1"), ("false", "true"), ("False", "True")}


def compile_decision(signature: Signature) -> Decide:
    """A function from an engine's score to what a caller is told.

    >>> from tidemill.core.schema import TableSchema
    >>> compile_decision(Signature(TableSchema(()), "binary", "late", ("false", "true"), threshold=0.4))(0.41)
    {'late': True, 'probability': 0.41}
    >>> compile_decision(Signature(TableSchema(()), "multiclass", "gate", ("A", "B")))([0.25, 0.75])
    {'gate': 'B', 'probability': 0.75, 'probabilities': {'A': 0.25, 'B': 0.75}}
    >>> compile_decision(Signature(TableSchema(()), "regression", "delay"))(12.5)
    {'delay': 12.5}
    """
    target, classes, threshold = signature.target, signature.classes, signature.threshold
    if signature.task == "regression":
        return lambda score: {target: score}
    if signature.task == "multiclass":
        return lambda score: _most_likely(target, classes, score)
    no, yes = (False, True) if classes in _FLAGS or len(classes) != 2 else classes
    return lambda score: {target: yes if score >= threshold else no, "probability": score}


def _most_likely(target: str, classes: tuple[str, ...], scores: list[float]) -> dict[str, Any]:
    best = max(range(len(scores)), key=scores.__getitem__)
    return {
        target: classes[best],
        "probability": scores[best],
        "probabilities": dict(zip(classes, scores, strict=True)),
    }
