"""A linear model that tells a missing value from other columns, stored as plain numbers.

Rows and columns are computed with the same operations in the same order, so that both give the same bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.data.operations import FillModelled
from tidemill.data.repairs.values import Columns, Repair, Values, category_of, floats, is_missing, listed

Numbers: TypeAlias = NDArray[np.float64]

_MOST_CATEGORIES = 20


def fit_imputation(operation: FillModelled, columns: Columns) -> dict[str, Any]:
    """Learn the weights from the rows in which the column is there."""
    if not operation.inputs or operation.column in operation.inputs:
        raise UsageError(
            "fill_modelled tells a column from others",
            value=operation.inputs,
            hint=f"Name columns other than {operation.column!r} as inputs.",
        )
    wanted = listed(columns[operation.column])
    present = np.array([not is_missing(value) for value in wanted], dtype=np.bool_)
    known = [value for value in wanted if not is_missing(value)]
    terms = [term for name in operation.inputs for term in _terms(name, columns[name])]
    design = np.column_stack([np.ones(len(wanted)), *(_term(term, columns) for term in terms)])[present]
    is_number = all(isinstance(value, int | float) for value in known)
    truths: dict[str, Numbers] = {}
    if is_number:
        truths[""] = np.asarray(known, dtype=np.float64)
    else:
        names = [category_of(value) for value in known]
        most = [name for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], str(item[0])))]
        truths = {str(name): np.array([item == name for item in names], dtype=np.float64) for name in most[:50]}
    penalty = operation.ridge * len(known) * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    solved = np.linalg.lstsq(design.T @ design + penalty, design.T @ np.column_stack(list(truths.values())), rcond=None)
    outputs = [
        {"value": name, "intercept": float(weights[0]), "weights": weights[1:].tolist()}
        for name, weights in zip(truths, solved[0].T, strict=True)
    ]
    return {
        "kind": "model", "column": operation.column, "terms": terms, "outputs": outputs,
        "range": [float(truths[""].min()), float(truths[""].max())] if is_number else None,
        "indicator": f"{operation.column}__missing" if operation.indicator else None,
    }  # fmt: skip


def _terms(name: str, values: Values) -> list[dict[str, Any]]:
    """What a column contributes: a number brought to a common scale, or a flag for each category."""
    known = [value for value in listed(values) if not is_missing(value)]
    if all(isinstance(value, int | float) for value in known):
        numbers = np.asarray(known, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        mean, width = (float(numbers.mean()), float(numbers.std())) if numbers.size else (0.0, 1.0)
        return [{"column": name, "mean": mean, "width": width or 1.0}]
    if not all(isinstance(value, str | bool) for value in known):
        raise UsageError(
            "fill_modelled tells a column from numbers and text", value=name, hint="Derive a number from it first."
        )
    tally = Counter(category_of(value) for value in known)
    most = sorted(tally, key=lambda value: (-tally[value], str(value)))[:_MOST_CATEGORIES]
    return [{"column": name, "category": value} for value in most]


def _term(term: Mapping[str, Any], columns: Columns) -> Numbers:
    values = columns[term["column"]]
    if "category" in term:
        return np.array([category_of(value) == term["category"] for value in listed(values)], dtype=np.float64)
    scaled = (floats(values) - term["mean"]) / term["width"]
    return np.where(np.isfinite(scaled), scaled, 0.0)


def imputed(columns: Columns, repair: Repair) -> list[Any]:
    """What the model says of every row."""
    terms = [_term(term, columns) for term in repair["terms"]]
    rows = len(columns[repair["column"]])
    scores = []
    for output in repair["outputs"]:
        score = np.full(rows, output["intercept"])
        for weight, term in zip(output["weights"], terms, strict=True):
            score = score + weight * term
        scores.append(score)
    if repair["range"] is not None:
        low, high = repair["range"]
        clipped: list[Any] = np.minimum(np.maximum(scores[0], low), high).tolist()
        return clipped
    values = [output["value"] for output in repair["outputs"]]
    return [values[place] for place in np.argmax(np.stack(scores), axis=0).tolist()]


def compile_imputation(repair: Repair) -> Callable[[Mapping[str, Any]], Any]:
    """What the model says of one row of plain values."""
    terms = [_row_term(term) for term in repair["terms"]]
    outputs = [(output["value"], output["intercept"], output["weights"]) for output in repair["outputs"]]

    def scores(row: Mapping[str, Any]) -> list[float]:
        numbers = [term(row) for term in terms]
        out = []
        for _, intercept, weights in outputs:
            score = intercept
            for weight, number in zip(weights, numbers, strict=True):
                score = score + weight * number
            out.append(score)
        return out

    if repair["range"] is not None:
        low, high = repair["range"]
        return lambda row: min(max(scores(row)[0], low), high)

    def likeliest(row: Mapping[str, Any]) -> Any:
        found: Sequence[float] = scores(row)
        return outputs[found.index(max(found))][0]

    return likeliest


def _row_term(term: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], float]:
    column = term["column"]
    if "category" in term:
        category = term["category"]
        return lambda row: float(category_of(row.get(column)) == category)
    mean, width = term["mean"], term["width"]

    def scaled(row: Mapping[str, Any]) -> float:
        value = row.get(column)
        if is_missing(value):
            return 0.0
        number = (float(value) - mean) / width  # type: ignore[arg-type]  # a missing one is 0
        return number if abs(number) != float("inf") else 0.0

    return scaled
