"""The tables around model versions: what they are searched by, who agreed to them, and what is to be told of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from tidemill.store.columns import (
    count,
    free_text,
    identifier,
    index_where,
    json_text,
    metadata,
    moment,
    reference,
    required_text,
)

#: Tags once more, by name; version 0 is the model itself.
registry_tags = Table(
    "registry_tags",
    metadata,
    reference("model", "models.name", key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    identifier("name"),
    required_text("value"),
    Index("registry_tags_by_name", "name", "model", "version"),
    sqlite_with_rowid=False,
)

approvals = Table(
    "approvals",
    metadata,
    identifier(),
    reference("version_id", "model_versions.id"),
    free_text("alias"),
    required_text("actor"),
    moment("at"),
    free_text("note"),
    required_text("evidence"),
    Index("approvals_by_version", "version_id", "at", "id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    identifier(),
    required_text("webhook"),
    required_text("event_id"),
    required_text("event"),
    moment("at"),
    json_text("payload"),
    free_text("status", default="waiting"),
    count("attempts"),
    Column("next_at", BigInteger, nullable=False),
    free_text("error"),
    moment("delivered_at", nullable=True),
    Index("webhook_deliveries_by_event", "event_id", "webhook", unique=True),
    Index("webhook_deliveries_by_time", "at", "id"),
    Index("webhook_deliveries_by_webhook", "webhook", "at", "id"),
    Index("webhook_deliveries_by_status", "status", "at", "id"),
    index_where("webhook_deliveries_due", "next_at", "id", condition="status = 'waiting'"),
)

TABLES = (registry_tags, approvals, webhook_deliveries)
