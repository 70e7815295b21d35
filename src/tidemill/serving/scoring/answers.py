"""What a table of predictions holds, and the decisions by whole columns, the same as those of each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.core.tasks import middle_level
from tidemill.serving.decisions import FLAGS

#: Names that databases cut off; a class with a longer name is called by its place.
_LONGEST = 63
_ONE = ("regression", "forecasting", "ranking")


def answer_columns(signature: Signature) -> dict[str, pl.DataType]:
    """The columns of an answer, in order, for models of this signature.

    >>> from tidemill.core.schema import TableSchema
    >>> list(answer_columns(Signature(TableSchema(()), "multiclass", "gate", ("A", "B"))))
    ['prediction', 'probability', 'probabilities.A', 'probabilities.B', 'warnings', 'error']
    """
    number, text = pl.Float64(), pl.String()
    task = signature.task
    is_flag = task == "anomaly" or (task == "binary" and _flags(signature))
    is_number = task in _ONE or task == "quantile"
    kinds: dict[str, pl.DataType] = {"prediction": pl.Boolean() if is_flag else number if is_number else text}
    if task in _ONE and signature.interval is not None:
        kinds |= dict.fromkeys(("interval.low", "interval.high", "interval.covers"), number)
    elif task == "quantile":
        kinds |= dict.fromkeys(_names("quantiles", signature.classes), number)
    elif task == "anomaly":
        kinds |= {"score": number, "decision": text}
    elif task in ("multiclass", "multilabel"):
        kinds |= {"probability": number} if task == "multiclass" else {}
        kinds |= dict.fromkeys(_names("probabilities", signature.classes), number)
    elif task not in _ONE:
        kinds |= {"probability": number, "decision": text}
    own = signature.target  # a part that the target is called like is not told
    kept = {name: kind for name, kind in kinds.items() if name.partition(".")[0] != own or name == "prediction"}
    return kept | {"warnings": text, "error": text}


def decide_columns(signature: Signature, scores: NDArray[Any]) -> pl.DataFrame:
    """The answers to finite scores, as `tidemill.serving.decisions` gives them.

    >>> from tidemill.core.schema import TableSchema
    >>> signature = Signature(TableSchema(()), "binary", "late", ("false", "true"), threshold=0.4)
    >>> decide_columns(signature, np.array([0.41])).to_dicts()[0] | {"warnings": "", "error": ""}
    {'prediction': True, 'probability': 0.41, 'decision': 'act', 'warnings': '', 'error': ''}
    """
    kinds = answer_columns(signature)
    if not len(scores):
        return pl.DataFrame(schema=kinds)
    columns = _decided(signature, np.asarray(scores, dtype=np.float64), _names, _labels)
    made = pl.DataFrame({name: columns[name] for name in list(kinds)[:-2]}, schema=dict(list(kinds.items())[:-2]))
    return made.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in ("warnings", "error"))


def told_columns(signature: Signature, scores: NDArray[Any]) -> pl.DataFrame:
    """The same for people: the answer under the target's name, classes under their own, labels as text.

    >>> from tidemill.core.schema import TableSchema
    >>> signature = Signature(TableSchema(()), "multilabel", "tags", ("late", "warm"), threshold=0.4)
    >>> told_columns(signature, np.array([[0.5, 0.75]])).to_dicts()
    [{'tags': 'late; warm', 'probabilities.late': 0.5, 'probabilities.warm': 0.75}]
    """
    columns = _decided(signature, np.asarray(scores, dtype=np.float64), _plain_names, "; ".join)
    target = signature.target
    parts = {name: values for name, values in columns.items() if name.partition(".")[0] != target}
    return pl.DataFrame({target: columns["prediction"]} | {name: parts[name] for name in parts if name != "prediction"})


def _decided(
    signature: Signature,
    scores: NDArray[np.float64],
    names: Callable[[str, Sequence[str]], Sequence[str]],
    labels: Callable[[Sequence[str]], str],
) -> dict[str, Any]:
    task, classes = signature.task, signature.classes

    def spread(part: str) -> dict[str, Any]:
        return {name: scores[:, place] for place, name in enumerate(names(part, classes))}

    if task in _ONE:
        if signature.interval is None:
            return {"prediction": scores}
        covers, distance = signature.interval
        low, high = scores - distance, scores + distance
        return {
            "prediction": scores, "interval.low": low, "interval.high": high,
            "interval.covers": np.full(len(scores), covers),
        }  # fmt: skip
    if task == "quantile":
        return {"prediction": scores[:, middle_level(classes)], **spread("quantiles")}
    if task == "multiclass":
        best = scores.argmax(axis=1)
        told = pl.Series(classes, dtype=pl.String).gather(best)
        return {
            "prediction": told, "probability": scores[np.arange(len(scores)), best],
            **spread("probabilities"),
        }  # fmt: skip
    if task == "multilabel":
        chosen = [labels([c for c, hit in zip(classes, row, strict=True) if hit]) for row in _hits(signature, scores)]
        return {"prediction": pl.Series(chosen, dtype=pl.String), **spread("probabilities")}
    hits = scores >= signature.threshold
    decision = pl.when(pl.Series(hits)).then(pl.lit("act")).otherwise(pl.lit("decline"))
    if task == "anomaly":
        return {"prediction": hits, "score": scores, "decision": pl.select(decision).to_series()}
    least, most = signature.referred or (1.0, 0.0)
    if least < most:
        decision = pl.when(pl.Series((least < scores) & (scores < most))).then(pl.lit("refer")).otherwise(decision)
    answer: Any = hits
    if not _flags(signature):
        named = pl.when(pl.Series(hits)).then(pl.lit(classes[1])).otherwise(pl.lit(classes[0]))
        answer = pl.select(named).to_series()
    return {"prediction": answer, "probability": scores, "decision": pl.select(decision).to_series()}


def answer_of(signature: Signature, row: Mapping[str, Any]) -> dict[str, Any]:
    """The answer that a row of the table was made from.

    >>> from tidemill.core.schema import TableSchema
    >>> signature = Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.5", "0.9"))
    >>> answer_of(signature, {"prediction": 4.0, "quantiles.0.1": 1.0, "quantiles.0.5": 4.0, "quantiles.0.9": 20.0})
    {'delay': 4.0, 'quantiles': {'0.1': 1.0, '0.5': 4.0, '0.9': 20.0}}
    """
    if row.get("error") is not None:
        return {"error": {"error": row["error"]}}
    kinds = answer_columns(signature)
    prediction = row["prediction"]
    if signature.task == "multilabel":
        prediction = json.loads(prediction)
    answer: dict[str, Any] = {signature.target: bool(prediction) if kinds["prediction"] == pl.Boolean else prediction}
    classes = iter(signature.classes)
    for name in list(kinds)[1:-2]:
        part, _, key = name.partition(".")
        if part == signature.target:  # which is not written over
            continue
        if not key:
            answer[part] = row.get(name)
        else:
            answer.setdefault(part, {})[key if part == "interval" else next(classes)] = row.get(name)
    if row.get("warnings") and signature.target != "warnings":
        answer["warnings"] = json.loads(row["warnings"])
    return answer


def reason_of(problem: Mapping[str, Any]) -> str:
    """Why a row was not scored, in one line: what is wrong, what was sent, what is allowed, column by column."""
    return ", and ".join(map(_reason, (problem, *problem.get("others", ()))))


def _reason(problem: Mapping[str, Any]) -> str:
    more = [f"got {problem['value']}"] if problem.get("value") else []
    more += [f"allowed: {problem['allowed']}"] if problem.get("allowed") else []
    return str(problem["error"]) + (f" ({'; '.join(more)})" if more else "")


def _names(part: str, classes: Sequence[str]) -> list[str]:
    """Column names of classes; one that a database would confuse or cut off goes by its place."""
    names = [f"{part}.{name}" for name in classes]
    folded = [name.casefold() for name in names]
    return [
        name if folded.count(low) == 1 and len(name.encode()) <= _LONGEST else f"{part}.{place}"
        for place, (name, low) in enumerate(zip(names, folded, strict=True))
    ]


def _plain_names(part: str, classes: Sequence[str]) -> list[str]:
    return [f"{part}.{name}" for name in classes]


def _hits(signature: Signature, scores: NDArray[np.float64]) -> list[list[bool]]:
    hits: list[list[bool]] = (scores >= signature.threshold).tolist()
    return hits


def _labels(texts: Sequence[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)


def _flags(signature: Signature) -> bool:
    return signature.classes in FLAGS or len(signature.classes) != 2
