"""The rows behind a model version, out of one store and into another: runs, executions, artifacts and what they say.

A row is a mapping of columns. Rows that are there already stay as they are: ids are random, so they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from tidemill.core.errors import ConflictError
from tidemill.core.ids import new_id
from tidemill.core.records import ModelVersion
from tidemill.store import lineage
from tidemill.store.database import Transaction
from tidemill.store.statement import Statement, insert_into
from tidemill.store.tables import metadata

Rows = dict[str, list[dict[str, Any]]]

#: What travels, in the order in which it is written: what others refer to first.
TABLES = (
    "contexts", "runs", "run_contexts", "executions", "fingerprints", "artifacts", "events", "params", "tags",
    "metrics", "last_metrics", "model_versions", "approvals",
)  # fmt: skip
#: What belongs to a run, and comes with it or not at all.
_OF_RUNS = ("params", "tags", "metrics", "last_metrics")
_CHECK_LAST = Statement("PRAGMA defer_foreign_keys = ON", postgresql="SET CONSTRAINTS ALL DEFERRED")


def columns(table: str) -> list[str]:
    """The columns that travel; the order of metrics is made anew."""
    return [column.name for column in _table(table).columns if (table, column.name) != ("metrics", "seq")]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds, whether that may be nothing, and whether a row can do without the column."""

    type: type
    nullable: bool
    has_default: bool


def kinds(table: str) -> dict[str, Kind]:
    """The kind of each column that travels."""
    found = _table(table).columns
    return {
        name: Kind(
            found[name].type.python_type,
            bool(found[name].nullable),
            bool(found[name].nullable) or found[name].server_default is not None,
        )
        for name in columns(table)
    }


def gather(tx: Transaction, version: ModelVersion) -> Rows:
    """Every row behind a version: what led to its package and its reports, and all of the run that registered it."""
    executions = _executions(tx, version)
    found: Rows = {name: [] for name in TABLES}
    found["executions"] = list(_by(tx, "executions", "id", sorted(executions)))
    found["runs"] = _runs(tx, {str(row["run_id"]) for row in found["executions"]} | {version.run_id or ""} - {""})
    run_ids = [row["id"] for row in found["runs"]]
    found["events"] = list(_by(tx, "events", "execution_id", sorted(executions)))
    artifacts = {row["artifact_id"] for row in found["events"]} | {version.package}
    found["artifacts"] = list(_by(tx, "artifacts", "id", sorted(artifacts)))
    found["fingerprints"] = list(_by(tx, "fingerprints", "digest", sorted({r["code"] for r in found["executions"]})))
    found["run_contexts"] = list(_by(tx, "run_contexts", "run_id", run_ids))
    found["contexts"] = _ancestors(tx, "contexts", {row["context_id"] for row in found["run_contexts"]}, ("parent_id",))
    for name in _OF_RUNS:
        found[name] = list(_by(tx, name, "run_id", run_ids))
    found["model_versions"] = list(_by(tx, "model_versions", "id", [version.id]))
    found["approvals"] = list(_by(tx, "approvals", "version_id", [version.id]))
    return found


def merge(tx: Transaction, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, int]:
    """Insert what is not there yet, except for the version itself and its approvals.

    Executions come without their cache keys: no step of this store takes the results of another one for its own.

    Returns
    -------
    dict
        How many rows of each table are new.

    Raises
    ------
    ConflictError
        When an artifact or execution of the same id is something else here.
    """
    tx.run(_CHECK_LAST)
    counts = dict.fromkeys(TABLES, 0)
    names = _merge_contexts(tx, rows["contexts"], counts)
    new_runs = {row["id"] for row in rows["runs"] if not _is_there(tx, "runs", row)}
    counts["runs"] = _insert(tx, "runs", [row for row in rows["runs"] if row["id"] in new_runs])
    placed = [{**row, "context_id": names[row["context_id"]]} for row in rows["run_contexts"]]
    counts["run_contexts"] = _insert(tx, "run_contexts", _missing(tx, "run_contexts", placed))
    keyless = [{**row, "key": ""} for row in rows["executions"]]
    counts["executions"] = _insert(tx, "executions", _missing(tx, "executions", keyless, "node"))
    for name, must_agree in (("fingerprints", ""), ("artifacts", "digest")):
        counts[name] = _insert(tx, name, _missing(tx, name, rows[name], must_agree))
    counts["events"] = _insert(tx, "events", _missing(tx, "events", rows["events"], "artifact_id"))
    for name in _OF_RUNS:
        counts[name] = _insert(tx, name, [row for row in rows[name] if row["run_id"] in new_runs])
    return counts


def _executions(tx: Transaction, version: ModelVersion) -> set[str]:
    seeds = {version.package}
    found: set[str] = set()
    if version.execution_id is not None:
        found.add(version.execution_id)
        seeds |= {artifact.id for _, artifact in lineage.inputs(tx, version.execution_id)}
    if version.run_id is not None:
        for row in _by(tx, "executions", "run_id", [version.run_id]):
            found |= {row["id"], row["cached_from"] or row["id"]}
    for seed in sorted(seeds):
        found |= {edge.execution_id for edge in lineage.upstream(tx, seed)}
    return found


def _runs(tx: Transaction, ids: set[str]) -> list[dict[str, Any]]:
    return _ancestors(tx, "runs", ids, ("parent_id", "resumed_from"))


def _ancestors(tx: Transaction, table: str, ids: set[str], links: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows and those that they refer to in the same table, by id."""
    found: dict[str, dict[str, Any]] = {}
    waiting = set(ids)
    while waiting:
        for row in _by(tx, table, "id", sorted(waiting)):
            found[row["id"]] = row
        waiting = {row[link] for row in found.values() for link in links if row[link]} - set(found)
    return [found[id_] for id_ in sorted(found)]


def _by(tx: Transaction, table: str, column: str, values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    names = columns(table)
    order = ", ".join(key.name for key in _table(table).primary_key)
    query = Statement(f"SELECT {', '.join(names)} FROM {table} WHERE {column} = :value ORDER BY {order}")
    for value in values:
        for row in tx.all(query, value=value):
            yield dict(zip(names, row, strict=True))


def _merge_contexts(
    tx: Transaction, rows: Iterable[Mapping[str, Any]], counts: dict[str, int]
) -> dict[str | None, str | None]:
    """Contexts by their kind and name: those of the same name are the same; returns ids there -> ids here."""
    find = Statement("""
        SELECT id FROM contexts WHERE kind = :kind AND name = :name
            AND coalesce(parent_id, '') = coalesce(CAST(:parent_id AS TEXT), '')
    """)
    waiting = {row["id"]: row for row in rows}
    names: dict[str | None, str | None] = {None: None}
    while waiting:
        ready = [row for row in waiting.values() if row["parent_id"] in names]
        if not ready:
            raise ConflictError("contexts refer to each other in a circle, or to none", value=sorted(waiting)[:3])
        for row in ready:
            del waiting[row["id"]]
            parent = names[row["parent_id"]]
            found = tx.one(find, kind=row["kind"], name=row["name"], parent_id=parent)
            names[row["id"]] = found[0] if found else row["id"]
            if found is None:
                id_ = new_id() if _is_there(tx, "contexts", row) else row["id"]
                names[row["id"]] = id_
                counts["contexts"] += _insert(tx, "contexts", [{**row, "id": id_, "parent_id": parent}])
    return names


def _missing(
    tx: Transaction, table: str, rows: Iterable[Mapping[str, Any]], must_agree: str = ""
) -> Iterator[Mapping[str, Any]]:
    """The rows that are not there; one that is must have the same value in the column `must_agree`."""
    for row in rows:
        found = _here(tx, table, row)
        if found is None:
            yield row
        elif must_agree and found[must_agree] != row[must_agree]:
            raise ConflictError(
                f"a row of {table} with the same id is something else in this store",
                value=row.get("id", row.get("execution_id")),
                hint="One of the two was not made by Tidemill: restore into an empty store and look.",
            )


def _is_there(tx: Transaction, table: str, row: Mapping[str, Any]) -> bool:
    return _here(tx, table, row) is not None


def _here(tx: Transaction, table: str, row: Mapping[str, Any]) -> dict[str, Any] | None:
    keys = [column.name for column in _table(table).primary_key]
    names = columns(table)
    query = Statement(f"SELECT {', '.join(names)} FROM {table} WHERE {' AND '.join(f'{key} = :{key}' for key in keys)}")
    found = tx.one(query, **{key: row[key] for key in keys})
    return None if found is None else dict(zip(names, found, strict=True))


def _insert(tx: Transaction, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Insert rows, all with the same columns; what an older schema did not have gets its default."""
    listed = [dict(row) for row in rows]
    if listed:
        tx.many(insert_into(table, ", ".join(listed[0])), listed)
    return len(listed)


def _table(name: str) -> Table:
    return metadata.tables[name]
