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

from tidemill.core.errors import InvalidRequestError, TidemillError
from tidemill.serving.predictor import Answer, Predictor

#: Rows of a request that may be explained.
MAX_ROWS = 100

_models: WeakKeyDictionary[Predictor, Any] = WeakKeyDictionary()
_lock = threading.Lock()


def explain_answer(predictor: Predictor, answer: Answer) -> list[dict[str, Any]]:
    """The predictions of an answer, each with its ``explanation``.

    An explanation has the ``base`` at which every answer starts, the ``contributions`` of the inputs, the largest
    first, which with the base sum up to the score, and the ``scale`` that all of them are on. Of several classes it is
    that of the one that was predicted. Where the library does not tell, it says so under ``error``.

    Raises
    ------
    InvalidRequestError
        For more rows than `MAX_ROWS`.
    """
    if len(answer.values) > MAX_ROWS:
        hint = f"Ask for at most {MAX_ROWS} at once."
        raise InvalidRequestError("too many rows to explain", value=len(answer.values), hint=hint)
    predictions = [dict(told) for told in answer.predictions]
    places = [place for place, row in enumerate(answer.values) if row is not None and answer.scores[place] is not None]
    if not places:
        return predictions
    rows = [answer.values[place] or () for place in places]
    try:
        found = _attribution(predictor, predictor.encoded(list(zip(*rows, strict=True))))
    except TidemillError as error:
        for place in places:
            predictions[place]["explanation"] = {"error": str(error)}
        return predictions
    for index, place in enumerate(places):
        predictions[place]["explanation"] = _told(
            found, index, _output(answer.scores[place]), dict(zip(predictor.columns, rows[index], strict=True))
        )
    return predictions


def _attribution(predictor: Predictor, matrix: Any) -> Any:
    with _lock:
        if predictor not in _models:
            _models[predictor] = predictor.trained()
    return import_module("tidemill.evaluation.contributions").attribution_of(_models[predictor], matrix)


def _told(found: Any, index: int, output: int, row: dict[str, Any]) -> dict[str, Any]:
    values = found.values[index, min(output, found.values.shape[1] - 1)]
    contributions = [
        {"column": found.inputs[place], "value": row.get(found.inputs[place]), "contribution": float(values[place])}
        for place in np.argsort(-np.abs(values), kind="stable").tolist()
    ]
    base = float(found.base[min(output, len(found.base) - 1)])
    return {"base": base, "scale": found.scale, "contributions": contributions}


def _output(score: Any) -> int:
    """The output that an answer was decided by: the likeliest class."""
    return int(np.argmax(score)) if isinstance(score, list) else 0
