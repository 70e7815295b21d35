"""The tables of the metadata store: the one definition that migrations, backups and checks are measured against.

Times are integer microseconds, JSON is text, flags are 0 or 1, and text sorts by its bytes on every database. The first
schema as SQL is in ``schema/``. The hot paths never import this module: SQLAlchemy takes a fifth of a second to load.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
    func,
    text,
)

from tidemill.store import columns, label_tables, registry_tables
from tidemill.store.columns import SERIAL as _SERIAL
from tidemill.store.columns import TEXT as _TEXT
from tidemill.store.columns import count as _count
from tidemill.store.columns import free_text as _text
from tidemill.store.columns import identifier as _id
from tidemill.store.columns import json_text as _json
from tidemill.store.columns import moment as _time
from tidemill.store.columns import reference as _of
from tidemill.store.columns import reference_within as _before
from tidemill.store.columns import required_text as _required
from tidemill.store.columns import seconds as _seconds

metadata = columns.metadata

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _required("title"),
    _time("applied_at"),
)

artifacts = Table(
    "artifacts",
    metadata,
    _id(),
    _required("digest"),
    _required("type"),
    _required("materialiser"),
    _count("size"),
    _time("created_at"),
    _text("inline", default=None),
    _text("blob", default=None),
    _json("metadata"),
    Index("artifacts_by_digest", "digest", "created_at", "id"),
    Index(
        "artifacts_by_blob", "blob", sqlite_where=text("blob IS NOT NULL"), postgresql_where=text("blob IS NOT NULL")
    ),
)

contexts = Table(
    "contexts",
    metadata,
    _id(),
    _required("kind"),
    _required("name"),
    _time("created_at"),
    _before("parent_id", "contexts.id"),
    _json("attributes"),
    Index("contexts_by_parent", "parent_id"),
)
Index(
    "contexts_by_name", contexts.c.kind, contexts.c.name, func.coalesce(contexts.c.parent_id, text("''")), unique=True
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _required("project"),
    _required("pipeline"),
    _required("status"),
    _time("started_at"),
    _time("ended_at", nullable=True),
    _before("parent_id", "runs.id"),
    _before("resumed_from", "runs.id"),
    _text("user_name"),
    _text("host"),
    _text("commit_id"),
    _json("arguments"),
    _json("environment"),
    _text("error", default=None),
    Index("runs_by_time", "started_at", "id"),
    Index("runs_by_project", "project", "started_at", "id"),
    Index("runs_by_pipeline", "pipeline", "started_at", "id"),
    Index("runs_by_status", "status", "started_at", "id"),
    Index("runs_by_parent", "parent_id", "started_at", "id"),
    Index("runs_by_resumed", "resumed_from"),
)

run_contexts = Table(
    "run_contexts",
    metadata,
    _of("run_id", "runs.id", key=True),
    _of("context_id", "contexts.id", key=True),
    Index("run_contexts_by_context", "context_id", "run_id"),
    sqlite_with_rowid=False,
)

executions = Table(
    "executions",
    metadata,
    _id(),
    _of("run_id", "runs.id"),
    _required("step"),
    _required("node"),
    _required("status"),
    _time("started_at"),
    _time("ended_at", nullable=True),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    _text("key"),
    _text("code"),
    _json("key_parts"),
    _text("cached_from", default=None),
    _text("executor", default="inline"),
    _text("error", default=None),
    _text("log_text"),
    _text("log", default=None),
    _seconds("seconds"),
    _seconds("cpu_seconds"),
    _count("max_rss"),
    Index("executions_by_run", "run_id", "started_at", "id"),
    Index("executions_by_node", "node", "started_at", "id"),
    Index(
        "executions_by_key",
        "key",
        "ended_at",
        "id",
        sqlite_where=text("status = 'succeeded'"),
        postgresql_where=text("status = 'succeeded'"),
    ),
    Index("executions_by_log", "log", sqlite_where=text("log IS NOT NULL"), postgresql_where=text("log IS NOT NULL")),
)

fingerprints = Table("fingerprints", metadata, _id("digest"), _json("parts"))

events = Table(
    "events",
    metadata,
    _of("execution_id", "executions.id", key=True),
    Column("direction", _TEXT, primary_key=True),
    Column("name", _TEXT, primary_key=True),
    _of("artifact_id", "artifacts.id"),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Index("events_by_artifact", "artifact_id", "direction", "execution_id"),
    sqlite_with_rowid=False,
)

params = Table(
    "params",
    metadata,
    _of("run_id", "runs.id", key=True),
    _id("name"),
    _required("value"),
    Index("params_by_name", "name", "run_id"),
    sqlite_with_rowid=False,
)

tags = Table(
    "tags",
    metadata,
    _of("run_id", "runs.id", key=True),
    _id("name"),
    _required("value"),
    Index("tags_by_name", "name", "run_id"),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    Column("seq", _SERIAL, primary_key=True),
    _of("run_id", "runs.id"),
    _required("name"),
    Column("value", Double, nullable=True),  # NULL is NaN, which SQLite cannot hold
    _count("step"),
    _time("time"),
    _text("context"),
    _text("execution_id", default=None),
    Index("metrics_by_name", "run_id", "name", "context", "step", "time", "seq"),
)

last_metrics = Table(
    "last_metrics",
    metadata,
    _of("run_id", "runs.id", key=True),
    _id("name"),
    _id("context"),
    Column("value", Double, nullable=True),
    _count("step"),
    _time("time"),
    _text("execution_id", default=None),
    Index("last_metrics_by_value", "name", "context", "value", "run_id"),
    sqlite_with_rowid=False,
)

leases = Table(
    "leases",
    metadata,
    _id("resource"),
    _required("owner"),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index(
        "leases_by_expiry",
        "expires_at",
        "resource",
        sqlite_where=text("owner <> ''"),
        postgresql_where=text("owner <> ''"),
    ),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _time("at"),
    _required("actor"),
    _required("action"),
    _required("subject"),
    _json("details"),
    Index("audit_by_time", "at", "id"),
    Index("audit_by_subject", "subject", "at", "id"),
    Index("audit_by_action", "action", "at", "id"),
    Index("audit_by_actor", "actor", "at", "id"),
)

models = Table(
    "models",
    metadata,
    _id("name"),
    Column("last_version", Integer, nullable=False),
    _time("created_at"),
    _text("owner"),
    _text("description"),
    _json("tags"),
    Index("models_by_owner", "owner", "name"),
)

model_versions = Table(
    "model_versions",
    metadata,
    _id(),
    _of("model", "models.name"),
    Column("version", Integer, nullable=False),
    _time("created_at"),
    _of("run_id", "runs.id", nullable=True),
    _of("execution_id", "executions.id", nullable=True),
    _of("package", "artifacts.id"),
    _text("stage", default="registered"),
    _text("description"),
    _json("tags"),
    _json("metrics"),
    _json("gate"),
    Column("archived", SmallInteger, nullable=False, server_default=text("0")),
    _text("owner"),
    _text("registered_by"),
    UniqueConstraint("model", "version", name="model_versions_by_number"),
    Index("model_versions_by_time", "created_at", "id"),
    Index("model_versions_by_model", "model", "created_at", "id"),
    Index("model_versions_by_run", "run_id", "created_at", "id"),
    Index("model_versions_by_execution", "execution_id", "created_at", "id"),
    Index("model_versions_by_package", "package", "created_at", "id"),
    Index("model_versions_by_stage", "stage", "created_at", "id"),
    Index("model_versions_by_owner", "owner", "created_at", "id"),
)

aliases = Table(
    "aliases",
    metadata,
    _id("model"),
    _id("alias"),
    Column("version", Integer, nullable=False),
    _time("updated_at"),
    ForeignKeyConstraint(["model", "version"], ["model_versions.model", "model_versions.version"]),
    Index("aliases_by_version", "model", "version"),
    sqlite_with_rowid=False,
)

labelling = label_tables.TABLES
registry = registry_tables.TABLES
