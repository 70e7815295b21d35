"""Contexts: the projects, pipelines, releases and studies that runs belong to."""

from __future__ import annotations

from typing import Any

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Context, ContextKind
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import decoded, qualified, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = "id, kind, name, created_at, parent_id, attributes"
_PUT = insert_into(
    "contexts",
    _COLUMNS,
    f"""ON CONFLICT (kind, name, coalesce(parent_id, '')) DO UPDATE SET attributes = excluded.attributes
        RETURNING {_COLUMNS}""",
)
_GET = Statement(f"SELECT {_COLUMNS} FROM contexts WHERE id = :id")
_FIND = Statement(f"""
    SELECT {_COLUMNS} FROM contexts
    WHERE kind = :kind AND name = :name AND coalesce(parent_id, '') = coalesce(CAST(:parent_id AS TEXT), '')
""")
_ATTACH = insert_into("run_contexts", "run_id, context_id", "ON CONFLICT (run_id, context_id) DO NOTHING")
_OF_RUN = Statement(f"""
    SELECT {qualified(_COLUMNS, "contexts")} FROM run_contexts JOIN contexts ON contexts.id = run_contexts.context_id
    WHERE run_contexts.run_id = :run_id ORDER BY contexts.kind, contexts.name, contexts.id
""")
_RUNS = Statement("SELECT run_id FROM run_contexts WHERE context_id = :context_id ORDER BY run_id")


def put(tx: Transaction, context: Context) -> Context:
    """Store a context, or new attributes of the one that has this kind, name and parent already.

    Returns
    -------
    Context
        As it is in the store now; an existing one keeps its id and its age.
    """
    row = tx.one(
        _PUT,
        id=context.id,
        kind=context.kind,
        name=context.name,
        created_at=context.created_at,
        parent_id=context.parent_id,
        attributes=to_json(context.attributes),
    )
    assert row is not None
    return _context(row)


def get(tx: Transaction, context_id: str) -> Context:
    """The context with this id; NotFoundError if there is none."""
    row = tx.one(_GET, id=context_id)
    if row is None:
        raise NotFoundError("there is no context with this id", value=context_id, hint="Find it by kind and name.")
    return _context(row)


def find(tx: Transaction, kind: ContextKind, name: str, parent_id: str | None = None) -> Context | None:
    """The context of this kind and name under this parent; None if there is none."""
    row = tx.one(_FIND, kind=kind, name=name, parent_id=parent_id)
    return None if row is None else _context(row)


def list_contexts(tx: Transaction, kind: ContextKind | None = None, parent_id: str | None = None) -> list[Context]:
    """Contexts by kind and name; of one kind, or under one parent, if given."""
    values: dict[str, Any] = {"kind": kind, "parent_id": parent_id}
    values = {name: value for name, value in values.items() if value is not None}
    where = f"WHERE {' AND '.join(f'{name} = :{name}' for name in values)}" if values else ""
    query = Statement(f"SELECT {_COLUMNS} FROM contexts {where} ORDER BY kind, name, coalesce(parent_id, '')")
    return [_context(row) for row in tx.all(query, **values)]


def attach(tx: Transaction, run_id: str, context_id: str) -> None:
    """Put a run into a context; doing so again is harmless.

    Raises
    ------
    NotFoundError
        If the run or the context is not in the store.
    """
    tx.run(_ATTACH, run_id=run_id, context_id=context_id)


def of_run(tx: Transaction, run_id: str) -> list[Context]:
    """The contexts that a run is in."""
    return [_context(row) for row in tx.all(_OF_RUN, run_id=run_id)]


def run_ids(tx: Transaction, context_id: str) -> list[str]:
    """The ids of the runs in a context, oldest first."""
    return [row[0] for row in tx.all(_RUNS, context_id=context_id)]


def _context(row: Row) -> Context:
    return Context(*decoded(row, 5))
