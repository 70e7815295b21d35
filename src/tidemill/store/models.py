"""The rows of the registry: models, their numbered versions, what they are searched by, and their movable aliases."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.core.errors import ConflictError, NotFoundError
from tidemill.core.records import Alias, ModelVersion, RegisteredModel
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean, decoded, find, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = (
    "id, model, version, created_at, run_id, execution_id, package, stage, description, tags, metrics, gate, archived, "
    "owner, registered_by"
)
_ALIAS = "model, alias, version, updated_at"
_MODEL = "name, created_at, last_version, owner, description, tags"
# The model's row is locked until the transaction ends: numbers have no gaps and nobody gets the same one.
_NEXT = insert_into(
    "models",
    "name, last_version, created_at",
    "ON CONFLICT (name) DO UPDATE SET last_version = models.last_version + 1 RETURNING last_version",
)
_AT_LEAST = insert_into(
    "models",
    "name, last_version, created_at",
    """ON CONFLICT (name) DO UPDATE SET last_version = CASE WHEN models.last_version < excluded.last_version
        THEN excluded.last_version ELSE models.last_version END""",
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
        gate = :gate, archived = :archived, owner = :owner
    WHERE id = :id
""")
_MODELS = Statement("SELECT name FROM models ORDER BY name")
_GET_MODEL = Statement(f"SELECT {_MODEL} FROM models WHERE name = :name")
_UPDATE_MODEL = Statement("""
    UPDATE models SET owner = :owner, description = :description, tags = :tags WHERE name = :name
""")
# SQLite lets in one writer anyway; on PostgreSQL the row is locked until the transaction ends.
_LOCK = Statement(
    "SELECT name FROM models WHERE name = :name", postgresql="SELECT name FROM models WHERE name = :name FOR UPDATE"
)
_RESERVE = insert_into(
    "models", "name, last_version, created_at", "ON CONFLICT (name) DO UPDATE SET last_version = models.last_version"
)
_DROP_TAGS = Statement("DELETE FROM registry_tags WHERE model = :model AND version = :version")
_PUT_TAG = insert_into("registry_tags", "model, version, name, value")
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
    _insert(tx, numbered)
    return numbered


def insert_numbered(tx: Transaction, version: ModelVersion) -> None:
    """Store a version under the number that it has, such as one from an archive.

    Raises
    ------
    ConflictError
        If another version of the model has the number.
    """
    tx.run(_AT_LEAST, name=version.model, last_version=version.version, created_at=version.created_at)
    if tx.one(_BY_NUMBER, model=version.model, version=version.version) is not None:
        raise ConflictError(
            f"there is another version {version.version} of {version.model!r} already", hint="Give it the next number."
        )
    _insert(tx, version)


def get_version(tx: Transaction, model: str, version: int | str) -> ModelVersion:
    """The version of a model with this number or alias; ``"latest"`` is the newest that is not archived.

    Raises
    ------
    NotFoundError
        If there is none; the message says which versions and aliases there are.
    """
    if isinstance(version, int) or version.isdecimal():
        row = tx.one(_BY_NUMBER, model=model, version=int(version)) if len(str(version)) < 10 else None
    else:
        row = tx.one(_BY_ALIAS, model=model, alias=version)
        if row is None and version == "latest":
            row = tx.one(_LATEST, model=model)
    if row is None:
        hint = _what_there_is(tx, model, asked=str(version))
        raise NotFoundError(f"there is no version {version} of model {model!r}", hint=hint)
    return _version(row)


def get_version_by_id(tx: Transaction, id_or_prefix: str) -> ModelVersion:
    """The version with this id, or with the only id that starts so; errors as for `runs.get`."""
    return find(tx, "model version", _BY_ID, id_or_prefix, _version)


def update_version(tx: Transaction, version: ModelVersion) -> None:
    """Store the fields of a version that may change: stage, description, tags, metrics, gate, archived and owner.

    Raises
    ------
    NotFoundError
        If the version is not in the store.
    """
    if not tx.run(_UPDATE, **_mutable(version)):
        raise NotFoundError("there is no model version with this id", value=version.id, hint="Insert it first.")
    _put_tags(tx, version.model, version.version, version.tags)


def lock(tx: Transaction, model: str) -> None:
    """Keep others from changing a model, its versions and aliases until the transaction ends."""
    tx.one(_LOCK, name=model)


def reserve(tx: Transaction, model: str, created_at: int) -> None:
    """`lock` a model that a version is about to be registered for; it is made if it is new."""
    tx.run(_RESERVE, name=model, last_version=0, created_at=created_at)


def get_model(tx: Transaction, name: str) -> RegisteredModel:
    """The model of this name.

    Raises
    ------
    NotFoundError
        If there is none; the message says which there are.
    """
    row = tx.one(_GET_MODEL, name=name)
    if row is None:
        raise NotFoundError(f"there is no model {name!r}", hint=_what_there_is(tx, name))
    return RegisteredModel(*decoded(row, 5))


def update_model(tx: Transaction, model: RegisteredModel) -> None:
    """Store the fields of a model that may change: owner, description and tags."""
    values = {"owner": clean(model.owner), "description": clean(model.description), "tags": to_json(model.tags)}
    if not tx.run(_UPDATE_MODEL, name=model.name, **values):
        raise NotFoundError(f"there is no model {model.name!r}", hint=_what_there_is(tx, model.name))
    _put_tags(tx, model.name, 0, model.tags)


def list_models(tx: Transaction) -> list[str]:
    """The names of all models."""
    return [row[0] for row in tx.all(_MODELS)]


def search_models(
    tx: Transaction,
    *,
    owner: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    limit: int = 50,
    after: str | None = None,
) -> list[RegisteredModel]:
    """Models by name, filtered; `after` (a name) goes on after the last of an earlier list. Tags as for versions."""
    values: dict[str, Any] = {} if owner is None else {"owner": owner}
    conditions = [f"{name} = :{name}" for name in values]
    if after is not None:
        conditions.append("name > :after")
        values["after"] = after
    for place, (name, value) in enumerate((tags or {}).items()):
        conditions.append(f"name IN (SELECT model FROM registry_tags WHERE version = 0 AND {_tag(place, value)})")
        values |= _tag_values(place, name, value)
    query = Statement(f"SELECT {_MODEL} FROM models {_where(conditions)} ORDER BY name LIMIT :limit")
    return [RegisteredModel(*decoded(row, 5)) for row in tx.all(query, limit=limit, **values)]


def list_versions(
    tx: Transaction,
    model: str | None = None,
    *,
    run_id: str | None = None,
    execution_id: str | None = None,
    package: str | None = None,
    stage: str | None = None,
    owner: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[ModelVersion]:
    """Model versions, newest first, filtered; `before` (a version's id) goes on after the last of an earlier list.

    Of `tags`, every name must be there, with the value unless that is None.
    """
    filters = {
        "model": model, "run_id": run_id, "execution_id": execution_id, "package": package, "stage": stage,
        "owner": owner,
    }  # fmt: skip
    values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    for place, (name, value) in enumerate((tags or {}).items()):
        tagged = f"SELECT model, version FROM registry_tags WHERE version > 0 AND {_tag(place, value)}"
        conditions.append(f"(model, version) IN ({tagged})")
        values |= _tag_values(place, name, value)
    if before is not None:
        last = get_version_by_id(tx, before)
        conditions.append("(created_at, id) < (:created_at, :id)")
        values.update(created_at=last.created_at, id=last.id)
    query = Statement(f"""
        SELECT {_COLUMNS} FROM model_versions {_where(conditions)} ORDER BY created_at DESC, id DESC LIMIT :limit
    """)
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
    before = get_alias(tx, alias.model, alias.alias)
    tx.run(_SET_ALIAS, model=alias.model, alias=alias.alias, version=alias.version, updated_at=alias.updated_at)
    return before


def get_alias(tx: Transaction, model: str, alias: str) -> Alias | None:
    """Where an alias points; None if there is none."""
    row = tx.one(_GET_ALIAS, model=model, alias=alias)
    return None if row is None else Alias(*row)


def delete_alias(tx: Transaction, model: str, alias: str) -> bool:
    """Remove an alias, and say whether it was there; its version stays."""
    return tx.run(_DELETE_ALIAS, model=model, alias=alias) > 0


def aliases(tx: Transaction, model: str | None = None) -> list[Alias]:
    """The aliases of one model, or of all."""
    rows = tx.all(_ALIASES) if model is None else tx.all(_ALIASES_OF, model=model)
    return [Alias(*row) for row in rows]


def _insert(tx: Transaction, version: ModelVersion) -> None:
    tx.run(
        _INSERT,
        model=version.model,
        version=version.version,
        created_at=version.created_at,
        run_id=version.run_id,
        execution_id=version.execution_id,
        package=version.package,
        registered_by=clean(version.registered_by),
        **_mutable(version),
    )
    if version.tags:
        _put_tags(tx, version.model, version.version, version.tags)


def _put_tags(tx: Transaction, model: str, version: int, tags: Mapping[str, str]) -> None:
    tx.run(_DROP_TAGS, model=model, version=version)
    rows = [{"model": model, "version": version, "name": clean(n), "value": clean(v)} for n, v in tags.items()]
    if rows:
        tx.many(_PUT_TAG, rows)


def _tag(place: int, value: str | None) -> str:
    return f"name = :tag{place}" + ("" if value is None else f" AND value = :value{place}")


def _tag_values(place: int, name: str, value: str | None) -> dict[str, str]:
    return {f"tag{place}": clean(name)} | ({} if value is None else {f"value{place}": clean(value)})


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _mutable(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "stage": version.stage,
        "description": clean(version.description),
        "tags": to_json(version.tags),
        "metrics": to_json(version.metrics),
        "gate": to_json(version.gate),
        "archived": int(version.archived),
        "owner": clean(version.owner),
    }


def _version(row: Row) -> ModelVersion:
    values = decoded(row, 9, 10, 11)
    values[12] = bool(values[12])
    return ModelVersion(*values)


def _what_there_is(tx: Transaction, model: str, asked: str = "") -> str:
    versions = [str(version.version) for version in list_versions(tx, model, limit=10)]
    if not versions:
        names = list_models(tx)
        near = difflib.get_close_matches(model, names, n=1)
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return f"Did you mean {near[0]!r}? Models are: {shown}." if near else f"Models are: {shown or 'none yet'}."
    named = {alias.alias: f"{alias.alias} -> {alias.version}" for alias in aliases(tx, model)}
    near = difflib.get_close_matches(asked, named, n=1)
    told = f"Did you mean {near[0]!r}? " if near else ""
    if asked == "champion":
        told = f"Promote one first (tidemill models promote {model}@{versions[0]}), or name one by its number. "
    return f"{told}Its newest versions are {', '.join(versions)}; its aliases: {', '.join(named.values()) or 'none'}."
