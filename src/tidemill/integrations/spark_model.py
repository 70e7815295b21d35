"""What a fitted pipeline of Spark ML knows, as JSON, and its answers by NumPy: no Spark and no Java are needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.packaging.formats import only_file

FILE = "model.spark.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class SparkModel:
    """The stages of a fitted pipeline as plain numbers.

    Parameters
    ----------
    content
        ``features``, how many columns a row has, and ``stages``, what is done to it in order.
    """

    framework: ClassVar[str] = "pyspark"

    content: Mapping[str, Any]


def save(estimator: Any) -> dict[str, bytes]:
    """JSON; equal models have equal bytes."""
    content = {"format": FORMAT, **estimator.content}
    return {FILE: json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()}


def load(files: Mapping[str, bytes]) -> Any:
    """A `SparkModel`; raises `UnsafeModelError` for anything that cannot be asked."""
    try:
        content = json.loads(only_file(files, FILE))
        if content.pop("format") != FORMAT:
            raise UnsafeModelError(
                "a Spark model of a format that this Tidemill does not read", hint="Upgrade Tidemill."
            )
        model = SparkModel(content)
        answers(model, np.zeros((1, int(content["features"])), dtype=np.float32))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnsafeModelError(f"this is not a Spark model: {error!r}", hint="Package the model again.") from error
    return model


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, classes]."""
    found = answers(estimator, matrix)
    return found[:, -1] if TASKS[task].scores == "one" else found


def answers(model: SparkModel, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n, 1] values or probabilities of the positive class, or [n, classes]."""
    rows = matrix.astype(np.float64)
    for stage in model.content["stages"]:
        if stage["kind"] == "scale":
            rows = (rows - np.array(stage["mean"])) * np.array(stage["factor"])
        elif stage["kind"] == "linear":
            rows = _linked(rows @ np.array(stage["weights"]).T + np.array(stage["intercepts"]), stage["link"])
        elif stage["kind"] == "trees":
            rows = _linked(sum(_tree_values(tree, rows) for tree in stage["trees"]), stage["link"])
        else:
            raise ValueError(f"no stage is a {stage['kind']!r}")
    return rows


def _linked(raw: Any, link: str) -> NDArray[np.float64]:
    scores = np.asarray(raw, dtype=np.float64)
    if link == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scores, -700, 700))))
    if link == "softmax":
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return scores


def _tree_values(tree: Mapping[str, Any], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the leaf that each row falls into adds; all rows go down one level at a time."""
    feature, threshold = np.array(tree["feature"]), np.array(tree["threshold"])
    left, right = np.array(tree["left"]), np.array(tree["right"])
    width = max(len(value) for value in tree["value"])
    values = np.array([value or [0.0] * width for value in tree["value"]], dtype=np.float64)
    place = np.zeros(len(rows), dtype=np.int64)
    every = np.arange(len(rows))
    for _ in range(len(left)):  # no path is longer, whatever a file says
        below = np.where(rows[every, feature[place]] <= threshold[place], left[place], right[place])
        if (below == place).all():
            break
        place = below
    return np.asarray(values[place])
