"""Answers as tables, cell by cell: what the code that makes whole columns is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tidemill.core.model import Signature
from tidemill.serving.scoring.answers import _labels, _names, answer_columns, reason_of


def flat_answers(signature: Signature, answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Answers as a table of predictions has them."""
    kinds = answer_columns(signature)
    lines = {
        **dict(zip(_names("probabilities", signature.classes), signature.classes, strict=True)),
        **dict(zip(_names("quantiles", signature.classes), signature.classes, strict=True)),
    }
    columns = {name: [_cell(signature, lines, name, answer) for answer in answers] for name in kinds}
    return pl.DataFrame(columns, schema=kinds)


def told_answers(answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Answers as a file has them."""
    return pl.DataFrame([_told(answer) for answer in answers], infer_schema_length=None)


def _told(answer: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in answer.items():
        if name == "error" and isinstance(value, Mapping):
            others = value.get("others", [])
            whole = {**value, "error": "; ".join(one["error"] for one in (value, *others))}
            told |= {f"error.{key}": item for key, item in whole.items() if key != "others"}
        elif isinstance(value, dict):
            told |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            told[name] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return told


def _cell(signature: Signature, lines: Mapping[str, str], name: str, answer: Mapping[str, Any]) -> Any:
    refused = isinstance(answer.get("error"), Mapping) and len(answer) == 1
    if name == "error":
        return reason_of(answer["error"]) if refused else None
    if refused:
        return None
    if name == "prediction":
        found = answer[signature.target]
        return _labels(found) if isinstance(found, list) else found
    if name == "warnings":
        said = None if signature.target == "warnings" else answer.get("warnings")
        return _labels(said) if isinstance(said, list) else None
    part, _, key = name.partition(".")
    return answer[part][lines.get(name, key)] if key else answer[part]
