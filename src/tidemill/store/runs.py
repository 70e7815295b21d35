"""Runs: begin, end, find, list."""

from __future__ import annotations

from typing import Any

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Run, RunStatus
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean_or_none, decoded, find, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = (
    "id, project, pipeline, status, started_at, ended_at, parent_id, resumed_from, user_name, host, commit_id, "
    "arguments, environment, error"
)
_INSERT = insert_into("runs", _COLUMNS)
_FINISH = Statement("UPDATE runs SET status = :status, ended_at = :ended_at, error = :error WHERE id = :id")
_GET = Statement(f"SELECT {_COLUMNS} FROM runs WHERE id = :id")
_CHILDREN = Statement(f"SELECT {_COLUMNS} FROM runs WHERE parent_id = :id ORDER BY started_at, id")


def insert(tx: Transaction, run: Run) -> None:
    """Store a new run.

    Raises
    ------
    ConflictError
        If a run has its id already.
    NotFoundError
        If its parent or the run that it resumes is not in the store.
    """
    tx.run(
        _INSERT,
        id=run.id,
        project=run.project,
        pipeline=run.pipeline,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        parent_id=run.parent_id,
        resumed_from=run.resumed_from,
        user_name=run.user,
        host=run.host,
        commit_id=run.commit,
        arguments=to_json(run.arguments),
        environment=to_json(run.environment),
        error=clean_or_none(run.error),
    )


def finish(tx: Transaction, run_id: str, status: RunStatus, ended_at: int, error: str | None = None) -> None:
    """Record how a run ended, at microseconds since the epoch.

    Raises
    ------
    NotFoundError
        If there is no such run.
    """
    if not tx.run(_FINISH, id=run_id, status=status, ended_at=ended_at, error=clean_or_none(error)):
        raise NotFoundError("there is no run with this id", value=run_id, hint="Store the run before it ends.")


def get(tx: Transaction, id_or_prefix: str) -> Run:
    """The run with this id, or with the only id that starts so.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If several start so; the message lists them.
    """
    return find(tx, "run", _GET, id_or_prefix, _run)


def children(tx: Transaction, run_id: str) -> list[Run]:
    """The runs that this run started, oldest first."""
    return [_run(row) for row in tx.all(_CHILDREN, id=run_id)]


def list_runs(
    tx: Transaction,
    *,
    project: str | None = None,
    pipeline: str | None = None,
    status: RunStatus | None = None,
    limit: int = 50,
    before: str | None = None,
    trials: bool = True,
) -> list[Run]:
    """Runs, newest first.

    Parameters
    ----------
    tx
        An open transaction.
    project, pipeline, status
        Keep only these.
    limit
        At most so many.
    before
        Go on after this run of an earlier list (its id): no run is skipped or repeated, also when many started in the
        same microsecond.
    trials
        Whether to list the trials of tuning studies too.
    """
    filters = {"project": project, "pipeline": pipeline, "status": status}
    values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    if not trials:
        conditions.append("pipeline <> 'trial'")
    if before is not None:
        last = get(tx, before)
        conditions.append("(started_at, id) < (:started_at, :id)")
        values.update(started_at=last.started_at, id=last.id)
    return [_run(row) for row in tx.all(_listing(" AND ".join(conditions)), limit=limit, **values)]


def _listing(condition: str) -> Statement:
    where = f"WHERE {condition}" if condition else ""
    return Statement(f"SELECT {_COLUMNS} FROM runs {where} ORDER BY started_at DESC, id DESC LIMIT :limit")


def _run(row: Row) -> Run:
    return Run(*decoded(row, 11, 12))
