"""What a model of this project should do: answers that rise or fall with a column, and answers to known rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.data.types import require_columns
from tidemill.evaluation.behaviours import Behaviour, shown
from tidemill.evaluation.scoring import Scored
from tidemill.training.prediction import predict

#: A direction is tried on at most this many rows, at so many values of the column.
ROWS, STEPS = 500, 11


@dataclass(frozen=True, slots=True)
class Monotone:
    """The answer should only rise, or only fall, when a number rises and all else stays; see `monotone`."""

    column: str
    direction: Literal["up", "down"]
    tolerance: float = 0.0
    allow: float = 0.0
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Case:
    """What the answer to one known row should be; see `case`."""

    row: Mapping[str, Any] = field(default_factory=dict)
    at_least: float | None = None
    at_most: float | None = None
    is_: str | None = None
    name: str = ""


Expectation = Monotone | Case


def monotone(
    column: str,
    direction: Literal["up", "down"],
    *,
    tolerance: float = 0.0,
    allow: float = 0.0,
    severity: Literal["error", "warning"] = "error",
) -> Monotone:
    """Expect the answer to only rise (``"up"``), or only fall (``"down"``), when a column rises and all else stays.

    Parameters
    ----------
    column
        A number among the model's inputs.
    direction
        ``"up"`` or ``"down"``.
    tolerance
        By how much the answer may go the other way between two neighbouring values; models of trees are rarely smooth.
    allow
        The share of rows that may go the other way all the same.
    severity
        ``"warning"`` for a check that is told and fails nothing.

    Examples
    --------
    >>> monotone("wind", "up").direction
    'up'
    """
    if direction not in ("up", "down"):
        raise UsageError("a direction is 'up' or 'down'", value=direction, hint="Say which way the answer should go.")
    if tolerance < 0 or not 0 <= allow < 1:
        raise UsageError(
            "a tolerance is not negative, and a share lies from 0 to below 1",
            value=(tolerance, allow),
            hint="Leave out.",
        )
    return Monotone(column, direction, tolerance, allow, severity)


def case(
    row: Mapping[str, Any],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    is_: object = None,
    name: str = "",
) -> Case:
    """Expect a certain answer to a row that any model of worth gets right.

    Parameters
    ----------
    row
        The inputs by name; those left out are missing.
    at_least, at_most
        Bounds of the answer: a probability, or a number.
    is_
        The class that should be given.
    name
        What to call it.

    Examples
    --------
    >>> case({"wind": 40.0, "carrier": "EV"}, at_least=0.5, name="storm").at_least
    0.5
    """
    if at_least is None and at_most is None and is_ is None:
        raise UsageError("a case says no answer", value=dict(row), hint="Give at_least, at_most or is_.")
    return Case(dict(row), at_least, at_most, None if is_ is None else str(is_).lower(), name)


def check_expectations(scored: Scored, expected: Sequence[Expectation] | Expectation) -> tuple[Behaviour, ...]:
    """Ask the model, and say which rows went another way."""
    found = []
    listed = [expected] if isinstance(expected, Monotone | Case) else expected
    for place, entry in enumerate(listed, start=1):
        if isinstance(entry, Monotone):
            found.append(_direction(scored, entry))
        elif isinstance(entry, Case):
            found.append(_case(scored.model, entry, place))
        else:
            raise UsageError("this is no expectation", value=entry, hint="Use tm.monotone(…) or tm.case(…).")
    return tuple(found)


def _direction(scored: Scored, expected: Monotone) -> Behaviour:
    model, column = scored.model, expected.column
    require_columns(pl.DataFrame(schema=list(model.signature.inputs.names)), [column], purpose="tm.monotone")
    if scored.scores.ndim != 1:
        raise UsageError(
            "tm.monotone needs one answer per row", value=model.signature.task, hint="Write a test instead."
        )
    frame = scored.frame.head(ROWS)
    if not frame.schema[column].is_numeric():
        raise UsageError(f"tm.monotone needs a number, and {column!r} is none", value=str(frame.schema[column]))
    known = frame[column].cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    values = np.unique(np.quantile(known, np.linspace(0, 1, STEPS), method="nearest")) if len(known) else np.empty(0)
    sentence = f"the answer only goes {expected.direction} with {column}"
    answers = np.stack(
        [predict(model, frame.with_columns(pl.lit(value).cast(frame.schema[column]).alias(column))) for value in values]
        or [np.zeros(frame.height)]
    )
    steps = np.diff(answers, axis=0) if len(values) > 1 else np.zeros((1, frame.height))
    wrong = -steps if expected.direction == "up" else steps
    worst = wrong.max(axis=0)
    failed = np.flatnonzero(worst > expected.tolerance)
    share = len(failed) / max(frame.height, 1)
    examples = []
    for row in failed[np.argsort(-worst[failed])][:5].tolist():
        step = int(wrong[:, row].argmax())
        told = {name: str(frame[name][row]) for name in model.signature.inputs.names if name != column}
        told[column] = f"{values[step]:g} to {values[step + 1]:g}"
        examples.append({**told, "answer": f"{answers[step, row]:.4g} to {answers[step + 1, row]:.4g}"})
    detail = "" if len(values) > 1 else f"{column} has fewer than two values here"
    if len(failed):
        detail = f"{len(failed)} of {frame.height} rows go the other way, by up to {float(worst.max()):.4g}"
    return Behaviour(
        name=f"{column}_{expected.direction}",
        kind="direction",
        passed=len(values) > 1 and share <= expected.allow,
        expected=sentence,
        measured=share,
        bound=expected.allow,
        detail=detail,
        severity=expected.severity,
        rows=frame.height,
        failed=len(failed),
        examples=tuple(examples),
    )


def _case(model: Model, expected: Case, place: int) -> Behaviour:
    names = model.signature.inputs.names
    unknown = sorted(set(expected.row) - set(names))
    if unknown:
        raise UsageError("a case has columns that are no inputs", value=unknown, hint=f"Inputs: {', '.join(names)}.")
    frame = pl.DataFrame({name: [expected.row.get(name)] for name in names})
    answer = predict(model, frame)
    classes = model.signature.classes
    if answer.ndim == 2:
        number, given = float(answer[0].max()), classes[int(answer[0].argmax())]
    else:
        number = float(answer[0])
        given = classes[int(number >= model.signature.threshold)] if len(classes) == 2 else f"{number:.4g}"
    wanted = [
        *([f"at least {expected.at_least:g}"] if expected.at_least is not None else []),
        *([f"at most {expected.at_most:g}"] if expected.at_most is not None else []),
        *([expected.is_] if expected.is_ is not None else []),
    ]
    passed = (
        (expected.at_least is None or number >= expected.at_least)
        and (expected.at_most is None or number <= expected.at_most)
        and (expected.is_ is None or given.lower() == expected.is_)
    )
    row = {name: str(value) for name, value in expected.row.items()}
    return Behaviour(
        name=expected.name or f"case_{place}",
        kind="example",
        passed=passed,
        expected=f"{', '.join(f'{name} {value}' for name, value in row.items())}: {' and '.join(wanted)}",
        measured=number,
        bound=expected.at_least if expected.at_least is not None else expected.at_most,
        detail="" if passed else f"answered {given}" if expected.is_ is not None else f"answered {number:.4g}",
        rows=1,
        failed=int(not passed),
        examples=() if passed else shown(frame, names),
    )
