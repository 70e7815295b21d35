"""From a score to a decision: what the answer of each task looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidemill.core.model import Signature
from tidemill.core.tasks import middle_level

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
    >>> compile_decision(Signature(TableSchema(()), "multilabel", "tags", ("late", "warm")))([0.25, 0.75])
    {'tags': ['warm'], 'probabilities': {'late': 0.25, 'warm': 0.75}}
    >>> compile_decision(Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.5", "0.9")))([1.0, 4.0, 20.0])
    {'delay': 4.0, 'quantiles': {'0.1': 1.0, '0.5': 4.0, '0.9': 20.0}}
    >>> compile_decision(Signature(TableSchema(()), "regression", "delay"))(12.5)
    {'delay': 12.5}
    >>> compile_decision(Signature(TableSchema(()), "anomaly", "strange", threshold=0.0))(0.12)
    {'strange': True, 'score': 0.12}
    """
    target, classes, threshold = signature.target, signature.classes, signature.threshold
    match signature.task:
        case "regression" | "forecasting" | "ranking":
            return lambda score: {target: score}
        case "multiclass":
            return lambda score: _most_likely(target, classes, score)
        case "multilabel":
            return lambda score: _labels(target, classes, threshold, score)
        case "quantile":
            middle = middle_level(classes)
            return lambda score: {target: score[middle], "quantiles": dict(zip(classes, score, strict=True))}
        case "anomaly":
            return lambda score: {target: score >= threshold, "score": score}
    no, yes = (False, True) if classes in _FLAGS or len(classes) != 2 else classes
    return lambda score: {target: yes if score >= threshold else no, "probability": score}


def _labels(target: str, classes: tuple[str, ...], threshold: float, scores: list[float]) -> dict[str, Any]:
    told = dict(zip(classes, scores, strict=True))
    return {target: [label for label, score in told.items() if score >= threshold], "probabilities": told}


def _most_likely(target: str, classes: tuple[str, ...], scores: list[float]) -> dict[str, Any]:
    best = max(range(len(scores)), key=scores.__getitem__)
    return {
        target: classes[best],
        "probability": scores[best],
        "probabilities": dict(zip(classes, scores, strict=True)),
    }
