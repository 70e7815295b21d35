"""From a score to a decision: what the answer of each task looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tidemill.core.model import Signature
from tidemill.core.tasks import middle_level

Decide = Callable[[Any], dict[str, Any]]

#: What else an answer may hold, and what the answer is called while it is made where its target is called so.
_PARTS = {"probability", "probabilities", "quantiles", "score", "decision", "interval", "warnings", "error"}
_ANSWER = "answer"
#: Classes that mean no and yes, in this order; their answer is false or true.
FLAGS = {("0", "1"), ("false", "true"), ("False", "True")}


def compile_decision(signature: Signature) -> Decide:
    """A function from an engine's score to what a caller is told.

    Where an answer is yes or no, so is the decision: to ``act`` or to ``decline``, or to ``refer`` the case to a
    person, where the canvas says what that costs and it is less than what either error costs on average.

    >>> from tidemill.core.schema import TableSchema
    >>> compile_decision(Signature(TableSchema(()), "binary", "late", ("false", "true"), threshold=0.4))(0.41)
    {'late': True, 'probability': 0.41, 'decision': 'act'}
    >>> compile_decision(Signature(TableSchema(()), "binary", "late", ("false", "true"), referred=(0.3, 0.6)))(0.41)
    {'late': False, 'probability': 0.41, 'decision': 'refer'}
    >>> compile_decision(Signature(TableSchema(()), "binary", "decision", ("false", "true")))(0.41)
    {'decision': False, 'probability': 0.41}
    >>> compile_decision(Signature(TableSchema(()), "multiclass", "gate", ("A", "B")))([0.25, 0.75])
    {'gate': 'B', 'probability': 0.75, 'probabilities': {'A': 0.25, 'B': 0.75}}
    >>> compile_decision(Signature(TableSchema(()), "multilabel", "tags", ("late", "warm")))([0.25, 0.75])
    {'tags': ['warm'], 'probabilities': {'late': 0.25, 'warm': 0.75}}
    >>> compile_decision(Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.5", "0.9")))([1.0, 4.0, 20.0])
    {'delay': 4.0, 'quantiles': {'0.1': 1.0, '0.5': 4.0, '0.9': 20.0}}
    >>> compile_decision(Signature(TableSchema(()), "regression", "delay"))(12.5)
    {'delay': 12.5}
    >>> compile_decision(Signature(TableSchema(()), "regression", "delay", interval=(0.9, 4.0)))(12.5)
    {'delay': 12.5, 'interval': {'low': 8.5, 'high': 16.5, 'covers': 0.9}}
    >>> compile_decision(Signature(TableSchema(()), "anomaly", "strange", threshold=0.0))(0.12)
    {'strange': True, 'score': 0.12, 'decision': 'act'}
    """
    if signature.target in _PARTS:
        return _under_its_own_name(signature)
    target, classes, threshold = signature.target, signature.classes, signature.threshold
    match signature.task:
        case "regression" | "forecasting" | "ranking":
            return _value(target, signature.interval)
        case "multiclass":
            return lambda score: _most_likely(target, classes, score)
        case "multilabel":
            return lambda score: _labels(target, classes, threshold, score)
        case "quantile":
            middle = middle_level(classes)
            return lambda score: {target: score[middle], "quantiles": dict(zip(classes, score, strict=True))}
        case "anomaly":
            return lambda score: {
                target: score >= threshold,
                "score": score,
                "decision": "act" if score >= threshold else "decline",
            }
    return _yes_or_no(signature)


def _under_its_own_name(signature: Signature) -> Decide:
    """The decision of a target that is called as a part of an answer is: the answer keeps the name, the part goes."""
    target = signature.target
    decide = compile_decision(replace(signature, target=_ANSWER))

    def renamed(score: Any) -> dict[str, Any]:
        told = decide(score)
        return {target: told.pop(_ANSWER)} | {name: part for name, part in told.items() if name != target}

    return renamed


def parts_of(told: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    """What a caller was told of a row beside the decision, whose name may be that of a part.

    A refusal is a mapping, alone under its name; a decision is none.

    >>> parts_of({"error": 12.5, "interval": {"low": 8.5}}, "error"), parts_of({"error": {"row": 0}}, "error")
    ({'interval': {'low': 8.5}}, {'error': {'row': 0}})
    """
    if target not in _PARTS or (len(told) == 1 and isinstance(told.get("error"), Mapping)):
        return told
    return {name: part for name, part in told.items() if name != target}


def _value(target: str, interval: tuple[float, float] | None) -> Decide:
    if interval is None:
        return lambda score: {target: score}
    covers, distance = interval
    return lambda score: {
        target: score,
        "interval": {"low": score - distance, "high": score + distance, "covers": covers},
    }


def _yes_or_no(signature: Signature) -> Decide:
    target, classes, threshold = signature.target, signature.classes, signature.threshold
    no, yes = (False, True) if classes in FLAGS or len(classes) != 2 else classes
    low, high = signature.referred or (1.0, 0.0)

    def decide(score: Any) -> dict[str, Any]:
        if score >= threshold:
            answer, decision = yes, "act"
        else:
            answer, decision = no, "decline"
        return {target: answer, "probability": score, "decision": "refer" if low < score < high else decision}

    return decide


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
