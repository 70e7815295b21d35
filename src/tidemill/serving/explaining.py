"""Explanations on request: what each input added to an answer, exactly as the model's own library tells it.

The libraries are loaded when the first explanation is asked for, in a thread beside the server's; a prediction never
waits for them.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tidemill.core.errors import InvalidRequestError, TidemillError, UsageError
from tidemill.core.model import Signature
from tidemill.core.tasks import middle_level
from tidemill.data.repairs import apply_repairs
from tidemill.data.repairs.values import is_missing, listed
from tidemill.serving.predictor import Answer, Predictor

#: Rows of a request that may be explained.
MAX_ROWS = 100

_models: WeakKeyDictionary[Predictor, Any] = WeakKeyDictionary()
_lock = threading.Lock()


def explain_answer(predictor: Predictor, answer: Answer) -> list[dict[str, Any]]:
    """The predictions of an answer, each with its ``explanation``.

    An explanation has the ``base`` at which every answer starts, the ``contributions`` of the inputs, the largest
    first, which with the base sum up to the score, and the ``scale`` that all of them are on. Where a model gives
    several scores it is ``of`` one: the class that was predicted, the likeliest label, the level nearest to the median.
    Where the library does not tell, it says so under ``error``.

    Raises
    ------
    InvalidRequestError
        For more rows than `MAX_ROWS`.
    """
    require_few_explained(len(answer.values))
    predictions = [dict(told) for told in answer.predictions]
    places = [place for place, row in enumerate(answer.values) if row is not None and answer.scores[place] is not None]
    if not places:
        return predictions
    columns = list(zip(*(answer.values[place] or () for place in places), strict=True))
    try:
        found = _attribution(predictor, predictor.encoded(columns))
    except UsageError as error:
        return _untold(predictions, places, f"{error.what}. In Python, tm.explain does, with a background of rows.")
    except TidemillError as error:
        return _untold(predictions, places, str(error))
    values = _values(predictor, columns)
    classes = len(predictor.signature.classes) if predictor.signature.task == "multiclass" else 0
    for index, place in enumerate(places):
        row = {name: column[index] for name, column in values.items()}
        output = _output(predictor.signature, found, index, answer.scores[place])
        told = _told(found, index, output, row, classes)
        predictions[place]["explanation"] = told | _of(predictor.signature, output)
    return predictions


def require_few_explained(rows: int) -> None:
    """Refuse to explain more rows than can be: before they are scored, whoever can.

    Raises
    ------
    InvalidRequestError
        For more rows than `MAX_ROWS`.
    """
    if rows > MAX_ROWS:
        hint = f"Ask for at most {MAX_ROWS} at once."
        raise InvalidRequestError("too many rows to explain", value=rows, hint=hint)


def _untold(predictions: list[dict[str, Any]], places: list[int], why: str) -> list[dict[str, Any]]:
    for place in places:
        predictions[place]["explanation"] = {"error": why}
    return predictions


def _values(predictor: Predictor, columns: list[Any]) -> dict[str, list[Any]]:
    """What rows hold: the inputs as they were sent, and what was computed from them."""
    sent = dict(zip(predictor.columns, columns, strict=True))
    held = {**apply_repairs(sent, predictor.manifest["cleaning"]), **sent}
    return {name: [None if is_missing(value) else value for value in listed(held[name])] for name in held}


def _attribution(predictor: Predictor, matrix: Any) -> Any:
    with _lock:
        if predictor not in _models:
            _models[predictor] = predictor.trained()
    return import_module("tidemill.evaluation.contributions").attribution_of(_models[predictor], matrix)


def _told(found: Any, index: int, output: int, row: dict[str, Any], classes: int) -> dict[str, Any]:
    outputs = found.values.shape[1]
    # Of two classes many a library tells the score of the second alone; the first one's is its negative.
    sign = -1.0 if (outputs, classes, output) == (1, 2, 0) else 1.0
    values = sign * found.values[index, min(output, outputs - 1)]
    contributions = [
        {"column": found.inputs[place], "value": row.get(found.inputs[place]), "contribution": float(values[place])}
        for place in np.argsort(-np.abs(values), kind="stable").tolist()
    ]
    base = sign * float(found.base[min(output, len(found.base) - 1)])
    return {"base": base, "scale": found.scale, "contributions": contributions}


def _output(signature: Signature, found: Any, index: int, score: Any) -> int:
    """The output that an answer was decided by: the likeliest class, or what became the middle one of the quantiles."""
    if signature.task == "quantile":
        return int(np.argsort(found.scores[index])[middle_level(signature.classes)])
    return int(np.argmax(score)) if isinstance(score, list) else 0


def _of(signature: Signature, output: int) -> dict[str, str]:
    if signature.task == "quantile":
        return {"of": signature.classes[middle_level(signature.classes)]}
    return {"of": signature.classes[output]} if signature.task in ("multiclass", "multilabel") else {}
