"""The rows of the registry: models, their numbered versions and their movable aliases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Alias, ModelVersion
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean, decoded, find, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = (
    "id, model, version, created_at, run_id, execution_id, package, stage, description, tags, metrics, gate, archived"
)
_ALIAS = "model, alias, version, updated_at"
# The model's row is locked until the transaction ends: numbers have no gaps and nobody gets the same one.
_NEXT = insert_into(
    "models",
    "name, last_version, created_at",
    "ON CONFLICT (name) DO UPDATE SET last_version = models.last_version + 1 RETURNING last_version",
)
_INSERT = insert_into("model_versions", _COLUMNS)
_BY_ID = Statement(f"SELECT {_COLUMNS} FROM model_versions WHERE id = :id")
_BY_NUMBER = Statement(f"SELECT {_COLUMNS} FROM model_versions WHERE model = :model AND version = :version")
_BY_ALIAS = Statement(f"""
    SELECT {_COLUMNS} FROM model_versions WHERE model = :model
        AND version = (SELECT version FROM aliases WHERE model = :model AND alias = :alias)
""")
_LATEST = Statement(f"""
    SELECT {_COLUMNS} FROM model_versions WHERE model = :model AND archived = 0 ORDER BY version DESC LIMIT 1
""")
_UPDATE = Statement("""
    UPDATE model_versions SET stage = :stage, description = :description, tags = :tags, metrics = :metrics,
        gate = :gate, archived = :archived
    WHERE id = :id
""")
_MODELS = Statement("SELECT name FROM models ORDER BY name")
_GET_ALIAS = Statement(f"SELECT {_ALIAS} FROM aliases WHERE model = :model AND alias = :alias")
_SET_ALIAS = insert_into(
    "aliases",
    _ALIAS,
    "ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at",
)
_DELETE_ALIAS = Statement("DELETE FROM aliases WHERE model = :model AND alias = :alias")
_ALIASES = Statement(f"SELECT {_ALIAS} FROM aliases ORDER BY model, alias")
_ALIASES_OF = Statement(f"SELECT {_ALIAS} FROM aliases WHERE model = :model ORDER BY alias")


def insert_version(tx: Transaction, version: ModelVersion) -> ModelVersion:
    """Store a new version of a model under the model's next number, and the model itself if it is new.

    Parameters
    ----------
    tx
        An open write transaction.
    version
        The record; its `version` is ignored.

    Returns
    -------
    ModelVersion
        The record with its number. Numbers start at 1 and have no gaps, whoever registers at the same time.

    Raises
    ------
    NotFoundError
        If its package, run or execution is not in the store.
    """
    row = tx.one(_NEXT, name=version.model, last_version=1, created_at=version.created_at)
    assert row is not None
    numbered = replace(version, version=row[0])
    tx.run(
        _INSERT,
        model=numbered.model,
        version=numbered.version,
        created_at=numbered.created_at,
        run_id=numbered.run_id,
        execution_id=numbered.execution_id,
        package=numbered.package,
        **_mutable(numbered),
    )
    return numbered


def get_version(tx: Transaction, model: str, version: int | str) -> ModelVersion:
    """The version of a model with this number or alias; ``"latest"`` is the newest that is not archived.

    Raises
    ------
    NotFoundError
        If there is none; the message says which versions and aliases there are.
    """
    if isinstance(version, int) or version.isdecimal():
        row = tx.one(_BY_NUMBER, model=model, version=int(version))
    else:
        row = tx.one(_BY_ALIAS, model=model, alias=version)
        if row is None and version == "latest":
            row = tx.one(_LATEST, model=model)
    if row is None:
        raise NotFoundError(f"there is no version {version} of model {model!r}", hint=_what_there_is(tx, model))
    return _version(row)


def get_version_by_id(tx: Transaction, id_or_prefix: str) -> ModelVersion:
    """The version with this id, or with the only id that starts so; errors as for `runs.get`."""
    return find(tx, "model version", _BY_ID, id_or_prefix, _version)


def update_version(tx: Transaction, version: ModelVersion) -> None:
    """Store the fields of a version that may change: stage, description, tags, metrics, gate and archived.

    Raises
    ------
    NotFoundError
        If the version is not in the store.
    """
    if not tx.run(_UPDATE, **_mutable(version)):
        raise NotFoundError("there is no model version with this id", value=version.id, hint="Insert it first.")


def list_models(tx: Transaction) -> list[str]:
    """The names of all models."""
    return [row[0] for row in tx.all(_MODELS)]


def list_versions(
    tx: Transaction,
    model: str | None = None,
    *,
    run_id: str | None = None,
    execution_id: str | None = None,
    package: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[ModelVersion]:
    """Model versions, newest first, filtered; `before` (a version's id) goes on after the last of an earlier list."""
    filters = {"model": model, "run_id": run_id, "execution_id": execution_id, "package": package}
    values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    if before is not None:
        last = get_version_by_id(tx, before)
        conditions.append("(created_at, id) < (:created_at, :id)")
        values.update(created_at=last.created_at, id=last.id)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = Statement(f"SELECT {_COLUMNS} FROM model_versions {where} ORDER BY created_at DESC, id DESC LIMIT :limit")
    return [_version(row) for row in tx.all(query, limit=limit, **values)]


def set_alias(tx: Transaction, alias: Alias) -> Alias | None:
    """Point an alias at a version.

    Returns
    -------
    Alias or None
        Where it pointed before.

    Raises
    ------
    NotFoundError
        If there is no such version.
    """
    get_version(tx, alias.model, alias.version)
    row = tx.one(_GET_ALIAS, model=alias.model, alias=alias.alias)
    tx.run(_SET_ALIAS, model=alias.model, alias=alias.alias, version=alias.version, updated_at=alias.updated_at)
    return None if row is None else Alias(*row)


def delete_alias(tx: Transaction, model: str, alias: str) -> bool:
    """Remove an alias, and say whether it was there; its version stays."""
    return tx.run(_DELETE_ALIAS, model=model, alias=alias) > 0


def aliases(tx: Transaction, model: str | None = None) -> list[Alias]:
    """The aliases of one model, or of all."""
    rows = tx.all(_ALIASES) if model is None else tx.all(_ALIASES_OF, model=model)
    return [Alias(*row) for row in rows]


def _mutable(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "stage": version.stage,
        "description": clean(version.description),
        "tags": to_json(version.tags),
        "metrics": to_json(version.metrics),
        "gate": to_json(version.gate),
        "archived": int(version.archived),
    }


def _version(row: Row) -> ModelVersion:
    values = decoded(row, 9, 10, 11)
    values[-1] = bool(values[-1])
    return ModelVersion(*values)


def _what_there_is(tx: Transaction, model: str) -> str:
    versions = [str(version.version) for version in list_versions(tx, model, limit=10)]
    if not versions:
        return f"Models are: {', '.join(list_models(tx)) or 'none yet'}."
    named = [f"{alias.alias} -> {alias.version}" for alias in aliases(tx, model)]
    return f"Its newest versions are {', '.join(versions)}; its aliases: {', '.join(named) or 'none'}."
