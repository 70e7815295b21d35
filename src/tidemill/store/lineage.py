"""Lineage: what an execution used and made, and everything before or after an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Artifact, Direction, Execution
from tidemill.store.database import Transaction
from tidemill.store.rows import ARTIFACT, EXECUTION, full_id, qualified, to_artifact, to_execution
from tidemill.store.statement import Statement


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """One event on the way from or to an artifact: an execution of a step used or produced `artifact_id`."""

    execution_id: str
    run_id: str
    step: str
    node: str
    artifact_id: str
    direction: Direction
    name: str


_EVENTS = Statement(f"""
    SELECT events.name, {qualified(ARTIFACT, "artifacts")} FROM events
    JOIN artifacts ON artifacts.id = events.artifact_id
    WHERE events.execution_id = :id AND events.direction = :direction ORDER BY events.position
""")
_BY_ID = Statement(f"SELECT {ARTIFACT} FROM artifacts WHERE id = :id")
_BY_DIGEST = Statement(f"""
    SELECT {ARTIFACT} FROM artifacts WHERE digest = :digest ORDER BY created_at DESC, id DESC LIMIT 1
""")
_PRODUCER = Statement(f"""
    SELECT {qualified(EXECUTION, "executions")} FROM events JOIN executions ON executions.id = events.execution_id
    WHERE events.artifact_id = :id AND events.direction = 'output'
    ORDER BY executions.cached_from IS NOT NULL, executions.started_at, executions.id LIMIT 1
""")
_USERS = Statement(f"""
    SELECT {qualified(EXECUTION, "executions")} FROM executions WHERE id IN (
        SELECT execution_id FROM events WHERE artifact_id = :id AND direction = 'input')
    ORDER BY executions.started_at, executions.id
""")
_BLOBS = Statement("""
    SELECT blob FROM artifacts WHERE blob IS NOT NULL UNION SELECT log FROM executions WHERE log IS NOT NULL
""")


def _walk(start: Direction, end: Direction) -> Statement:
    """The query that follows executions from their `start` artifacts to their `end` artifacts, from one artifact on.

    Executions that only reused the outputs of another are left out: they add no ancestors and no descendants.
    """
    return Statement(f"""
        WITH RECURSIVE reached (id) AS (
            SELECT id FROM artifacts WHERE id = :id
            UNION
            SELECT far.artifact_id FROM reached
            JOIN events near ON near.artifact_id = reached.id AND near.direction = '{start}'
            JOIN executions ON executions.id = near.execution_id AND executions.cached_from IS NULL
            JOIN events far ON far.execution_id = near.execution_id AND far.direction = '{end}'
        )
        SELECT executions.id, executions.run_id, executions.step, executions.node,
            events.artifact_id, events.direction, events.name
        FROM executions JOIN events ON events.execution_id = executions.id
        WHERE executions.cached_from IS NULL
            AND executions.id IN (
                SELECT execution_id FROM events JOIN reached ON reached.id = events.artifact_id
                WHERE direction = '{start}')
            AND (events.direction = '{end}' OR events.artifact_id IN (SELECT id FROM reached))
        ORDER BY executions.started_at, executions.id, events.direction, events.position
    """)


_UPSTREAM = _walk("output", "input")
_DOWNSTREAM = _walk("input", "output")


def inputs(tx: Transaction, execution_id: str) -> list[tuple[str, Artifact]]:
    """What an execution used: names and artifacts, in order."""
    return [(row[0], to_artifact(row[1:])) for row in tx.all(_EVENTS, id=execution_id, direction="input")]


def outputs(tx: Transaction, execution_id: str) -> list[tuple[str, Artifact]]:
    """What an execution produced (or, if it was cached, reused): names and artifacts, in order."""
    return [(row[0], to_artifact(row[1:])) for row in tx.all(_EVENTS, id=execution_id, direction="output")]


def get_artifact(tx: Transaction, id_prefix_or_digest: str) -> Artifact:
    """The artifact with this id, with the only id that starts so, or the newest one with this digest.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If several ids start so.
    """
    row = tx.one(_BY_ID, id=id_prefix_or_digest) or tx.one(_BY_DIGEST, digest=id_prefix_or_digest)
    if row is None:
        row = tx.one(_BY_ID, id=full_id(tx, "artifact", id_prefix_or_digest))
    assert row is not None
    return to_artifact(row)


def producer(tx: Transaction, artifact_id: str) -> Execution:
    """The execution that made an artifact.

    Raises
    ------
    NotFoundError
        If no execution did: the artifact is not in the store, or was put there by hand.
    """
    row = tx.one(_PRODUCER, id=artifact_id)
    if row is None:
        raise NotFoundError(
            "no execution has made this artifact", value=artifact_id, hint="Give the whole id of a step's output."
        )
    return to_execution(row)


def users(tx: Transaction, artifact_id: str) -> list[Execution]:
    """The executions that used an artifact, oldest first."""
    return [to_execution(row) for row in tx.all(_USERS, id=artifact_id)]


def upstream(tx: Transaction, artifact_id: str) -> list[LineageEdge]:
    """Every event that led to an artifact, oldest execution first: who made it, from what, and so on to the sources."""
    return [LineageEdge(*row) for row in tx.all(_UPSTREAM, id=artifact_id)]


def downstream(tx: Transaction, artifact_id: str) -> list[LineageEdge]:
    """Every event that an artifact led to, oldest execution first: who used it, for what, and so on to the end."""
    return [LineageEdge(*row) for row in tx.all(_DOWNSTREAM, id=artifact_id)]


def referenced_blobs(tx: Transaction) -> Iterator[str]:
    """The digests of all blobs that a record needs: artifacts' bytes and long logs."""
    return (row[0] for row in tx.all(_BLOBS))
