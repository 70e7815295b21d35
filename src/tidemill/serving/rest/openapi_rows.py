"""The JSON schemas of a model's rows and of its answers, from its signature."""

from __future__ import annotations

from typing import Any

from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.validator import Policy

Schema = dict[str, Any]

_BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64}
_FLOAT32 = 3.4028234663852886e38
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def row_schema(signature: Signature, policy: Policy, example: dict[str, Any]) -> Schema:
    """What a row is: only what is refused is a rule of the schema, what is warned of is said in words.

    >>> from tidemill.core.schema import TableSchema
    >>> column = Column("distance", "int16", nullable=False, minimum=80, maximum=4983, unit="mi")
    >>> schema = row_schema(Signature(TableSchema((column,)), "binary", "late"), Policy(), {"distance": 500})
    >>> schema["required"], schema["additionalProperties"]
    (['distance'], False)
    >>> schema["properties"]["distance"]
    {'type': 'integer', 'minimum': -32768, 'maximum': 32767, 'description': 'In mi. From 80 to 4983 in training.'}
    """
    columns = tuple(signature.inputs)
    return {
        "type": "object",
        "properties": {column.name: column_schema(column, policy) for column in columns},
        "required": [column.name for column in columns if not column.nullable],
        "additionalProperties": policy.unknown_column != "reject",
        "examples": [example],
    }


def column_schema(column: Column, policy: Policy) -> Schema:
    """What a value of a column is."""
    schema = _typed(column, policy)
    if column.nullable:
        schema["type"] = [*([schema["type"]] if isinstance(schema["type"], str) else schema["type"]), "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    said = _described(column)
    return schema | ({"description": said} if said else {})


def answer_schema(signature: Signature) -> Schema:
    """What an answered row is told, by the kind of question."""
    parts = _answers(signature)
    told = {signature.target: parts.pop("answer")} | {k: v for k, v in parts.items() if k != signature.target}
    more: Schema = {
        "warnings": {"type": "array", "items": {"type": "string"}},
        "explanation": {"$ref": "#/components/schemas/Explanation"},
    }
    return {"type": "object", "properties": more | told, "required": list(told)}


def _answers(signature: Signature) -> Schema:
    labels: Schema = {"type": "string", "enum": list(signature.classes)} if signature.classes else {"type": "string"}
    shares = {"type": "object", "properties": dict.fromkeys(signature.classes, SHARE)}
    decision: Schema = {"type": "string", "enum": ["act", "decline", "refer"]}
    match signature.task:
        case "multiclass":
            return {"answer": labels, "probability": SHARE, "probabilities": shares}
        case "multilabel":
            return {"answer": {"type": "array", "items": labels}, "probabilities": shares}
        case "quantile":
            numbers = {"type": "object", "properties": dict.fromkeys(signature.classes, NUMBER)}
            return {"answer": NUMBER, "quantiles": numbers}
        case "anomaly":
            return {"answer": {"type": "boolean"}, "score": NUMBER, "decision": decision}
        case "binary":
            return {"answer": {"type": ["boolean", "string"]}, "probability": SHARE, "decision": decision}
    if signature.interval is None:
        return {"answer": NUMBER}
    parts = {"low": NUMBER, "high": NUMBER, "covers": SHARE}
    return {"answer": NUMBER, "interval": {"type": "object", "properties": parts, "required": list(parts)}}


def _typed(column: Column, policy: Policy) -> Schema:
    kind = column.type
    if column.categories is not None or kind.startswith(("categorical", "enum[")) or column.semantic == "category":
        listed = column.categories is not None and policy.unseen_category == "reject"
        return {"type": "string"} | ({"enum": list(column.categories or ())} if listed else {})
    if kind == "string":
        return {"type": "string"}
    if kind == "bool":
        return {"type": "boolean"}
    if kind == "date":
        return {"type": "string", "format": "date"}
    if kind.startswith("timestamp["):
        return {"type": "string", "format": "date-time"}
    if kind in _BITS:
        least, most = (0 if kind[0] == "u" else -(1 << _BITS[kind])), (1 << _BITS[kind]) - 1
        return {"type": "integer", **_range(column, policy, least, most)}
    return {"type": "number", **_range(column, policy, -_FLOAT32, _FLOAT32)}


def _range(column: Column, policy: Policy, least: float, most: float) -> Schema:
    if policy.out_of_range == "reject":
        least = least if column.minimum is None else max(least, column.minimum)
        most = most if column.maximum is None else min(most, column.maximum)
    return {"minimum": least, "maximum": most}


def _described(column: Column) -> str:
    said = [column.description.rstrip(".") + "."] if column.description else []
    if column.unit:
        said.append(f"In {column.unit}.")
    if column.minimum is not None and column.maximum is not None:
        said.append(f"From {column.minimum:g} to {column.maximum:g} in training.")
    if column.categories is not None:
        shown = ", ".join(column.categories[:20])
        said.append(
            f"In training one of {len(column.categories)}: {shown}{', …' if len(column.categories) > 20 else '.'}"
        )
    return " ".join(said)
