"""How records and rows become each other: JSON as text, free text made storable, identifiers found by their prefix."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tidemill.core.errors import NotFoundError, UsageError
from tidemill.core.records import Artifact, Execution
from tidemill.store.database import Row, Transaction
from tidemill.store.statement import Statement

Record = TypeVar("Record")

ARTIFACT = "id, digest, type, materialiser, size, created_at, inline, blob, metadata"
EXECUTION = (
    "id, run_id, step, node, status, started_at, ended_at, attempt, key, code, key_parts, cached_from, executor, "
    "error, log_text, log, seconds, cpu_seconds, max_rss"
)
_TABLE = {"run": "runs", "execution": "executions", "artifact": "artifacts", "model version": "model_versions"}
_BY_PREFIX = {
    what: Statement(f"SELECT id FROM {table} WHERE id >= :low AND id < :high ORDER BY id LIMIT 4")
    for what, table in _TABLE.items()
}


def qualified(columns: str, table: str) -> str:
    """The columns, each with its table's name in front.

    >>> qualified("id, name", "runs")
    'runs.id, runs.name'
    """
    return ", ".join(f"{table}.{name.strip()}" for name in columns.split(","))


def to_json(value: Mapping[str, Any]) -> str:
    """JSON text of a mapping; ASCII, so that every database can hold it."""
    return json.dumps(value, separators=(",", ":")) if value else "{}"


def from_json(text: str) -> dict[str, Any]:
    """The mapping that `to_json` wrote."""
    if text == "{}":
        return {}
    value: dict[str, Any] = json.loads(text)
    return value


def decoded(row: Row, *columns: int) -> list[Any]:
    """The row with the JSON in these columns read."""
    values = list(row)
    for column in columns:
        values[column] = from_json(values[column])
    return values


def clean(text: str) -> str:
    r"""Free text as every database can hold it: no NUL, no lone surrogates.

    >>> clean("a\x00b")
    'a␀b'
    """
    if text.isascii():
        return text.replace("\0", "␀") if "\0" in text else text
    return text.replace("\0", "␀").encode("utf-8", "replace").decode("utf-8")


def clean_or_none(text: str | None) -> str | None:
    """`clean` for text that may be absent."""
    return None if text is None else clean(text)


def artifact_values(artifact: Artifact) -> dict[str, Any]:
    """The row of an artifact."""
    return {
        "id": artifact.id,
        "digest": artifact.digest,
        "type": artifact.type,
        "materialiser": artifact.materialiser,
        "size": artifact.size,
        "created_at": artifact.created_at,
        "inline": artifact.inline,
        "blob": artifact.blob,
        "metadata": to_json(artifact.metadata),
    }


def to_artifact(row: Row) -> Artifact:
    """The artifact of a row of `ARTIFACT` columns."""
    return Artifact(*decoded(row, 8))


def to_execution(row: Row) -> Execution:
    """The execution of a row of `EXECUTION` columns."""
    return Execution(*decoded(row, 10))


def full_id(tx: Transaction, what: str, prefix: str) -> str:
    """The one identifier that starts with `prefix`.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If there are several.
    """
    low = prefix.lower()
    found: list[str] = []
    if low.isalnum() and low.isascii():
        found = [row[0] for row in tx.all(_BY_PREFIX[what], low=low, high=low + "~")]
    if not found:
        raise NotFoundError(f"there is no {what} with this id", value=prefix, hint=_WHERE_TO_LOOK[what])
    if len(found) > 1 and found[0] != low:
        shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise UsageError(f"several {what}s have an id that starts so", value=prefix, hint=f"Write more of it: {shown}.")
    return found[0]


def find(tx: Transaction, what: str, by_id: Statement, prefix: str, make: Callable[[Row], Record]) -> Record:
    """The record whose identifier is, or starts with, `prefix`."""
    row = tx.one(by_id, id=clean(prefix)) or tx.one(by_id, id=full_id(tx, what, prefix))
    assert row is not None
    return make(row)


_WHERE_TO_LOOK = {
    "run": "List them with: tidemill runs",
    "execution": "Look at its run with: tidemill show RUN",
    "artifact": "Look at its run with: tidemill show RUN",
    "model version": "List them with: tidemill models",
}
