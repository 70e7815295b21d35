"""Segments as tables: one row per predicted row, features in columns of their own types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.types import polars_type
from tidemill.serving.decisions import parts_of
from tidemill.serving.log.framing import Records
from tidemill.serving.log.layout import moment_of
from tidemill.serving.log.packing import record_of, unpacked
from tidemill.serving.log.writer import LABELS, REQUEST, SCHEMA

#: Feature columns are named so, since a feature may be called ``model`` or ``ts``.
FEATURE = "features."

FIELDS: Mapping[str, pl.DataType] = {
    "request_id": pl.String(),
    "row": pl.Int32(),
    "ts": pl.Datetime("us", "UTC"),
    "model": pl.String(),
    "version": pl.Int64(),
    "variant": pl.String(),
    "schema": pl.String(),
    "prediction": pl.String(),
    "probability": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "quantiles": pl.List(pl.Float64()),
    "score": pl.Float64(),
    "decision": pl.String(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "warnings": pl.List(pl.String()),
    "status": pl.String(),
    "error": pl.String(),
    "latency_ms": pl.Float64(),
    "client": pl.String(),
    "entity": pl.String(),
    "trace": pl.String(),
    "sample": pl.Float64(),
}

#: The columns of labels as they are kept: one row for each that was told.
LABEL_FIELDS: Mapping[str, pl.DataType] = {
    "model": pl.String(),
    "request_id": pl.String(),
    "row": pl.Int32(),
    "entity": pl.String(),
    "as_of": pl.Datetime("us", "UTC"),
    "label": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "arrived": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A segment's rows, and how many bytes at its end were no whole record."""

    frame: pl.DataFrame
    torn: int


def decode(data: bytes) -> Decoded:
    """The rows of a segment."""
    records = Records(data)
    schemas: dict[str, dict[str, Any]] = {}
    requests: dict[str, list[list[Any]]] = defaultdict(list)
    for payload in records:
        record, numbers = record_of(payload)
        if record[0] == SCHEMA:
            schemas[record[1]["digest"]] = record[1]
        elif record[0] == REQUEST:
            if isinstance(record[7], dict):
                record[7] = unpacked(record[7], numbers, len(record[8]))
            requests[record[3]].append(record)
    frames = [_table(schemas[digest], group) for digest, group in requests.items()]
    frame = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame(schema=dict(FIELDS))
    return Decoded(frame.sort("ts", "request_id", "row", maintain_order=True), records.torn)


def decode_labels(data: bytes) -> Decoded:
    """The labels of a segment, in the order of their arrival."""
    records = Records(data)
    rows: list[tuple[Any, ...]] = []
    for payload in records:
        kind, arrived, model, told = orjson.loads(payload)
        if kind == LABELS:
            rows += ((model, *one, arrived) for one in told)
    raw = {name: pl.Int64() if isinstance(dtype, pl.Datetime) else dtype for name, dtype in LABEL_FIELDS.items()}
    table = pl.DataFrame(rows, schema=raw, orient="row")
    return Decoded(table.select(pl.col(name).cast(dtype) for name, dtype in LABEL_FIELDS.items()), records.torn)


def _table(schema: Mapping[str, Any], records: list[list[Any]]) -> pl.DataFrame:
    fixed: dict[str, list[Any]] = {name: [] for name in FIELDS}
    features: list[list[Any]] = []
    names = [column["name"] for column in schema["columns"]]
    target, nothing = schema["target"], [None] * len(names)
    for _, request_id, ts, digest, latency, client, entities, rows, predictions, *more in records:
        for place, (values, told) in enumerate(zip(rows, predictions, strict=True)):
            parts = parts_of(told, target)
            error = parts.get("error")
            decision = told.get(target) if error is None else None
            cells = {
                "request_id": request_id,
                "row": place,
                "ts": ts,
                "model": schema["model"],
                "version": schema["version"],
                "variant": schema["variant"],
                "schema": digest,
                "prediction": None if decision is None else _text(decision),
                "probability": parts.get("probability"),
                "probabilities": list(parts["probabilities"].values()) if "probabilities" in parts else None,
                "quantiles": list(parts["quantiles"].values()) if "quantiles" in parts else None,
                "score": parts.get("score"),
                "decision": parts.get("decision"),
                "low": parts["interval"]["low"] if "interval" in parts else None,
                "high": parts["interval"]["high"] if "interval" in parts else None,
                "warnings": parts.get("warnings"),
                "status": "answered" if error is None else "refused" if values is None else "failed",
                "error": None if error is None else _told(error),
                "latency_ms": latency / 1e3,
                "client": client,
                "entity": None if entities is None or entities[place] is None else str(entities[place]),
                "trace": (more[0] or None) if more else None,  # segments of before have none
                "sample": more[1] if len(more) > 1 else 1.0,
            }
            for name, cell in cells.items():
                fixed[name].append(cell)
            features.append(nothing if values is None else values)
    columns = {name: pl.Series(name, cells, dtype=_stored(name)) for name, cells in fixed.items()}
    columns["ts"] = columns["ts"].cast(FIELDS["ts"])
    for index, column in enumerate(schema["columns"]):
        columns[FEATURE + column["name"]] = _feature(column, [row[index] for row in features])
    return pl.DataFrame(list(columns.values()))


def _stored(name: str) -> pl.DataType:
    return pl.Int64() if name == "ts" else FIELDS[name]


def _text(decision: Any) -> str:
    if isinstance(decision, bool):
        return "true" if decision else "false"
    return orjson.dumps(decision).decode() if isinstance(decision, list) else str(decision)


def _feature(column: Mapping[str, Any], cells: list[Any]) -> pl.Series:
    name, kind = FEATURE + column["name"], column["type"]
    if kind == "date" or kind.startswith("timestamp["):
        return _moments(name, cells, kind)
    try:
        dtype = polars_type(kind)
    except SchemaError:
        dtype = pl.Float64() if kind.startswith(("decimal", "duration")) else pl.String()
    if column.get("semantic") == "category" and not isinstance(next(iter(filter(None, cells)), ""), int | float):
        dtype = pl.String()
    return pl.Series(name, cells, dtype=dtype, strict=False)


def _moments(name: str, cells: list[Any], kind: str) -> pl.Series:
    texts = pl.Series(name, cells, dtype=pl.String, strict=False)
    if kind == "date":
        return texts.str.slice(0, 10).str.to_date(strict=False)
    moments = texts.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    # Written as they were sent, with a zone or without, days too: the reader knows one way of the first of them.
    otherwise = (moments.is_null() & texts.is_not_null()).arg_true()
    if len(otherwise):
        read = pl.Series([_moment(text) for text in texts.gather(otherwise)], dtype=moments.dtype)
        moments = moments.scatter(otherwise, read)
    return moments if "," in kind else moments.dt.replace_time_zone(None)


def _moment(text: str) -> datetime | None:
    with suppress(UsageError):
        return moment_of(text, "the moment")
    return None


def _told(error: Mapping[str, Any]) -> str:
    """All that was wrong with a row."""
    return "; ".join(str(one["error"]) for one in (error, *error.get("others", ())))
