"""One task of a Label Studio export: what is in it, read with care for what other tools and older versions write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tidemill.core.clock import to_us
from tidemill.core.errors import DataError

#: Types of a result that are labels of the whole task, and the field of the value that holds each.
_TYPES = {"choices": "choices", "taxonomy": "taxonomy", "number": "number", "rating": "rating"}


@dataclass(frozen=True, slots=True)
class StudioAnswer:
    """What somebody, or a model, has said about a task: names of classes or a number; None where it was skipped."""

    author: str
    value: Any
    seconds: float = 0.0
    at: int | None = None
    score: float | None = None
    is_truth: bool = False


@dataclass(frozen=True, slots=True)
class StudioTask:
    """A task: its data, the key that it was exported with, what people have said and what models have predicted."""

    shown: str
    data: Mapping[str, Any]
    key: str | None
    answers: tuple[StudioAnswer, ...]
    suggestions: tuple[StudioAnswer, ...]

    def with_values(self, change: Callable[[Any], Any]) -> StudioTask:
        """The task with every value changed."""
        answers, suggestions = (
            tuple(replace(answer, value=change(answer.value)) for answer in given)
            for given in (self.answers, self.suggestions)
        )
        return replace(self, answers=answers, suggestions=suggestions)


def studio_task(task: Any, place: int, control: str | None) -> StudioTask:
    """The `place`-th task of an export, from 1; `control` is the ``from_name`` of the answers that are meant."""
    name = f"task {task['id']!r}" if isinstance(task, Mapping) and "id" in task else f"the {place}. task"
    if not isinstance(task, Mapping):
        raise DataError(f"{name} is not an object", value=task, hint="Export it as JSON.")
    data = task.get("data")
    if not isinstance(data, Mapping) or not data:
        raise DataError(
            f"{name} has no data",
            value=sorted(task),
            hint="Export it as JSON, not JSON-MIN: each task has a field data.",
        )
    meta = task.get("meta") or {}
    key = meta.get("tidemill_key") if isinstance(meta, Mapping) else None
    answers = (_answer(one, name, control) for one in _list(task, "annotations", name))
    suggestions = (_suggestion(one, name, control) for one in _list(task, "predictions", name))
    return StudioTask(
        name,
        data,
        None if key is None else str(key),
        tuple(answer for answer in answers if answer is not None),
        tuple(answer for answer in suggestions if answer is not None),
    )


def _answer(annotation: Mapping[str, Any], task: str, control: str | None) -> StudioAnswer | None:
    skipped = bool(annotation.get("was_cancelled"))
    value = None if skipped else _value(annotation, task, control)
    if value is None and not skipped:
        return None  # nothing was answered in this control
    seconds = annotation.get("lead_time") or 0.0
    if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise DataError(f"an annotation of {task} took no number of seconds", value=seconds, hint="Mend lead_time.")
    return StudioAnswer(
        _author(annotation.get("completed_by"), task),
        value,
        float(seconds),
        _moment(annotation.get("created_at"), task),
        is_truth=bool(annotation.get("ground_truth")) and value is not None,
    )


def _suggestion(prediction: Mapping[str, Any], task: str, control: str | None) -> StudioAnswer | None:
    value = _value(prediction, task, control)
    score = prediction.get("score")
    if score is not None and not isinstance(score, int | float):
        raise DataError(f"a prediction of {task} has a score that is no number", value=score, hint="Mend it.")
    if value is None:
        return None
    return StudioAnswer(
        str(prediction.get("model_version") or "model"), value, score=None if score is None else float(score)
    )


def _list(task: Mapping[str, Any], field: str, name: str) -> Sequence[Mapping[str, Any]]:
    found = task.get(field) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(f"the {field} of {name} are not a list of objects", value=found, hint="Export it as JSON.")
    return found


def _value(answer: Mapping[str, Any], task: str, control: str | None) -> Any:
    """What was answered in the control: names of classes, a number, or None for nothing."""
    results = _list(answer, "result", f"an answer of {task}")
    labels = [one for one in results if one.get("type") in _TYPES and control in (None, one.get("from_name"))]
    controls = sorted({str(one.get("from_name")) for one in labels})
    if len(controls) > 1:
        raise DataError(f"an answer of {task} has several controls", value=controls, hint="Say which one is meant.")
    regions = sorted({str(one.get("type")) for one in results if one.get("type") not in _TYPES})
    if not labels and regions and control is None:
        raise DataError(
            f"an answer of {task} labels parts of the task, and a queue labels whole tasks",
            value=regions,
            hint=f"Types that can be read: {', '.join(_TYPES)}.",
        )
    if not labels:
        return None
    kind = str(labels[0]["type"])
    value = labels[0].get("value")
    inner = value.get(_TYPES[kind]) if isinstance(value, Mapping) else None
    return _names(inner, kind, task) if kind in ("choices", "taxonomy") else _number(inner, task)


def _names(inner: Any, kind: str, task: str) -> list[str]:
    if not isinstance(inner, list):
        raise DataError(f"an answer of {task} has no {kind}", value=inner, hint="Export it as JSON.")
    return [" / ".join(map(str, name)) if isinstance(name, list) else str(name) for name in inner]


def _number(inner: Any, task: str) -> float:
    if isinstance(inner, bool) or not isinstance(inner, int | float):
        raise DataError(f"an answer of {task} is not a number", value=inner, hint="Export it as JSON.")
    return float(inner)


def _author(completed_by: Any, task: str) -> str:
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    if completed_by in (None, ""):
        return "unknown"
    if isinstance(completed_by, bool) or not isinstance(completed_by, int | str):
        raise DataError(f"an annotation of {task} is by nobody", value=completed_by, hint="Mend completed_by.")
    return f"user {completed_by}" if isinstance(completed_by, int) else completed_by


def _moment(text: Any, task: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise DataError(f"an annotation of {task} has no time", value=text, hint="Write it in ISO 8601.") from error
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
