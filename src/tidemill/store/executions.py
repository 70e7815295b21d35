"""Executions of steps: begin, end with what they used and produced, and find the one that can be reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.errors import LeaseLostError
from tidemill.core.records import Artifact, Execution
from tidemill.store.database import Transaction
from tidemill.store.rows import (
    ARTIFACT,
    EXECUTION,
    artifact_values,
    clean,
    clean_or_none,
    find,
    from_json,
    qualified,
    to_artifact,
    to_execution,
    to_json,
)
from tidemill.store.statement import Statement, insert_into

Named = Sequence[tuple[str, Artifact]]

_INSERT = insert_into("executions", EXECUTION)
_FINISH = Statement("""
    UPDATE executions SET status = :status, ended_at = :ended_at, attempt = :attempt, key = :key, code = :code,
        key_parts = :key_parts, cached_from = :cached_from, executor = :executor, error = :error, log_text = :log_text,
        log = :log, seconds = :seconds, cpu_seconds = :cpu_seconds, max_rss = :max_rss
    WHERE id = :id AND status = 'running'
""")
_GET = Statement(f"SELECT {EXECUTION} FROM executions WHERE id = :id")
_OF_RUN = Statement(f"SELECT {EXECUTION} FROM executions WHERE run_id = :run_id ORDER BY started_at, id")
_LATEST = Statement(f"""
    SELECT {qualified(EXECUTION, "executions")} FROM executions JOIN runs ON runs.id = executions.run_id
    WHERE executions.node = :node AND executions.status IN ('succeeded', 'cached')
        AND runs.project = :project AND runs.pipeline = :pipeline
    ORDER BY executions.started_at DESC, executions.id DESC LIMIT 1
""")
_FIND_CACHED = Statement(f"""
    SELECT {qualified(EXECUTION, "executions")}, events.name, {qualified(ARTIFACT, "artifacts")}
    FROM executions
    LEFT JOIN events ON events.execution_id = executions.id AND events.direction = 'output'
    LEFT JOIN artifacts ON artifacts.id = events.artifact_id
    WHERE executions.id = (
        SELECT id FROM executions WHERE key = :key AND status = 'succeeded' ORDER BY ended_at DESC, id DESC LIMIT 1)
    ORDER BY events.position
""")
_PUT_ARTIFACT = insert_into("artifacts", ARTIFACT, "ON CONFLICT (id) DO NOTHING")
_PUT_EVENT = insert_into("events", "execution_id, direction, name, artifact_id, position")
_PUT_FINGERPRINT = insert_into("fingerprints", "digest, parts", "ON CONFLICT (digest) DO NOTHING")
_GET_FINGERPRINT = Statement("SELECT parts FROM fingerprints WHERE digest = :digest")
_WIDTH = EXECUTION.count(",") + 1


def start(tx: Transaction, execution: Execution) -> None:
    """Store a new execution, usually one that is running.

    Raises
    ------
    ConflictError
        If an execution has its id already.
    NotFoundError
        If its run is not in the store.
    """
    tx.run(
        _INSERT,
        run_id=execution.run_id,
        step=execution.step,
        node=execution.node,
        started_at=execution.started_at,
        **_outcome(execution),
    )


def finish(
    tx: Transaction,
    execution: Execution,
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Named = (),
) -> None:
    """Record how a running execution ended, what it used and what it produced.

    Parameters
    ----------
    tx
        An open write transaction.
    execution
        The record with its final status, times and log.
    inputs
        Names and ids of the artifacts that it used; they are in the store.
    outputs
        Names and artifacts that it produced; those that are not in the store yet are inserted.

    Raises
    ------
    LeaseLostError
        If the execution is no longer running: another process has ended it or marked it as interrupted.
    NotFoundError
        If the execution, or an input, is not in the store.
    """
    if not tx.run(_FINISH, **_outcome(execution)):
        found = get(tx, execution.id)
        raise LeaseLostError(
            f"the execution of step {found.step!r} is not running any more",
            value=found.status,
            hint="Another process took over its run: leave it to that one, or run again with --resume.",
        )
    put_events(tx, execution.id, inputs, outputs)


def record(
    tx: Transaction,
    execution: Execution,
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Named = (),
) -> None:
    """Store an execution that has ended already, such as one whose outputs were cached; arguments as for `finish`."""
    start(tx, execution)
    put_events(tx, execution.id, inputs, outputs)


def put_events(tx: Transaction, execution_id: str, inputs: Sequence[tuple[str, str]], outputs: Named) -> None:
    """Record the artifacts that an execution used (names and ids) and produced (names and artifacts)."""
    put_artifacts(tx, [artifact for _, artifact in outputs])
    used = [("input", name, artifact_id) for name, artifact_id in inputs]
    made = [("output", name, artifact.id) for name, artifact in outputs]
    rows = [
        {"execution_id": execution_id, "direction": direction, "name": name, "artifact_id": id_, "position": position}
        for events in (used, made)
        for position, (direction, name, id_) in enumerate(events)
    ]
    if rows:
        tx.many(_PUT_EVENT, rows)


def put_artifacts(tx: Transaction, artifacts: Sequence[Artifact]) -> None:
    """Insert the artifacts that are not in the store yet."""
    # In one order everywhere, so that two writers of the same artifacts cannot wait for each other.
    rows = [artifact_values(artifact) for artifact in sorted(artifacts, key=lambda artifact: artifact.id)]
    if rows:
        tx.many(_PUT_ARTIFACT, rows)


def get(tx: Transaction, id_or_prefix: str) -> Execution:
    """The execution with this id, or with the only id that starts so; errors as for `runs.get`."""
    return find(tx, "execution", _GET, id_or_prefix, to_execution)


def of_run(tx: Transaction, run_id: str) -> list[Execution]:
    """The executions of a run in the order in which they started."""
    return [to_execution(row) for row in tx.all(_OF_RUN, run_id=run_id)]


def latest(tx: Transaction, project: str, pipeline: str, node: str) -> Execution | None:
    """The last execution of a node that succeeded or was cached: what ``plan --why`` compares with."""
    row = tx.one(_LATEST, project=project, pipeline=pipeline, node=node)
    return None if row is None else to_execution(row)


def find_cached(tx: Transaction, key: str) -> tuple[Execution, list[tuple[str, Artifact]]] | None:
    """The execution with this cache key that succeeded last, and its outputs in order; None if there is none."""
    rows = tx.all(_FIND_CACHED, key=key)
    if not rows:
        return None
    outputs = [(row[_WIDTH], to_artifact(row[_WIDTH + 1 :])) for row in rows if row[_WIDTH] is not None]
    return to_execution(rows[0][:_WIDTH]), outputs


def put_fingerprint(tx: Transaction, digest: str, parts: Mapping[str, str]) -> None:
    """Keep the parts of a code fingerprint under its digest; once is enough."""
    tx.run(_PUT_FINGERPRINT, digest=digest, parts=to_json(parts))


def get_fingerprint(tx: Transaction, digest: str) -> dict[str, str] | None:
    """The parts of a code fingerprint; None if it is not in the store."""
    row = tx.one(_GET_FINGERPRINT, digest=digest)
    return None if row is None else from_json(row[0])


def _outcome(execution: Execution) -> dict[str, Any]:
    """The columns that change between the beginning and the end."""
    return {
        "id": execution.id,
        "status": execution.status,
        "ended_at": execution.ended_at,
        "attempt": execution.attempt,
        "key": execution.key,
        "code": execution.code,
        "key_parts": to_json(execution.key_parts),
        "cached_from": execution.cached_from,
        "executor": execution.executor,
        "error": clean_or_none(execution.error),
        "log_text": clean(execution.log_text),
        "log": execution.log,
        "seconds": execution.seconds,
        "cpu_seconds": execution.cpu_seconds,
        "max_rss": execution.max_rss,
    }
