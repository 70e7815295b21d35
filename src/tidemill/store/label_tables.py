"""The tables of labelling: queues, the batches and tasks in them, annotators' places, and events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKeyConstraint, Index, Integer, Table, text

from tidemill.store.columns import (
    count,
    flag,
    free_text,
    identifier,
    index_where,
    json_text,
    metadata,
    moment,
    reference,
    required_text,
    seconds,
)

label_queues = Table(
    "label_queues",
    metadata,
    identifier(),
    required_text("name"),
    moment("created_at"),
    json_text("label_schema"),
    free_text("guidelines"),
    Column("overlap", Integer, nullable=False, server_default=text("1")),
    Column("lease_seconds", Double, nullable=False),
    count("events"),
    Index("label_queues_by_name", "name", unique=True),
)

label_batches = Table(
    "label_batches",
    metadata,
    reference("queue_id", "label_queues.id", key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    reference("artifact_id", "artifacts.id", nullable=True),
    moment("added_at"),
    required_text("added_by"),
    count("tasks"),
    Index("label_batches_by_artifact", "artifact_id"),
    sqlite_with_rowid=False,
)

label_tasks = Table(
    "label_tasks",
    metadata,
    identifier("queue_id"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    required_text("key"),
    json_text("data"),
    Column("batch", Integer, nullable=False),
    count("source_row"),
    seconds("sort_rank"),  # minus the priority: the lowest comes first
    Column("labels", Integer, nullable=False, server_default=text("0")),
    Column("leases", Integer, nullable=False, server_default=text("0")),
    flag("is_open", 1),
    free_text("status", default="waiting"),
    flag("disputed"),
    flag("flagged"),
    free_text("decision", default=None),
    free_text("decided_by", default=None),
    moment("decided_at", nullable=True),
    ForeignKeyConstraint(["queue_id", "batch"], ["label_batches.queue_id", "label_batches.number"]),
    Index("label_tasks_by_key", "queue_id", "key", unique=True),
    Index("label_tasks_by_status", "queue_id", "status", "number"),
    index_where("label_tasks_open", "queue_id", "sort_rank", "number", condition="is_open = 1"),
    index_where("label_tasks_disputed", "queue_id", "number", condition="disputed = 1"),
    index_where("label_tasks_flagged", "queue_id", "number", condition="flagged = 1"),
)

label_places = Table(
    "label_places",
    metadata,
    identifier("queue_id"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    identifier("annotator"),
    required_text("state"),
    free_text("value", default=None),
    seconds("expires_at"),
    moment("at"),
    ForeignKeyConstraint(["queue_id", "number"], ["label_tasks.queue_id", "label_tasks.number"]),
    Index("label_places_by_annotator", "queue_id", "annotator", "number"),
    index_where("label_places_leased", "queue_id", "expires_at", condition="state = 'leased'"),
    index_where("label_places_held", "queue_id", "annotator", "number", condition="state = 'leased'"),
    sqlite_with_rowid=False,
)

label_events = Table(
    "label_events",
    metadata,
    identifier("queue_id"),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    required_text("annotator"),
    required_text("action"),
    free_text("value", default=None),
    free_text("comment"),
    seconds("seconds"),
    Column("score", Double, nullable=True),
    moment("at"),
    flag("undone"),
    ForeignKeyConstraint(["queue_id", "number"], ["label_tasks.queue_id", "label_tasks.number"]),
    Index("label_events_by_annotator", "queue_id", "annotator", "seq"),
    Index("label_events_by_task", "queue_id", "number", "seq"),
)

label_cursors = Table(
    "label_cursors",
    metadata,
    reference("queue_id", "label_queues.id", key=True),
    identifier("annotator"),
    Column("sort_rank", Double, nullable=False),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

TABLES = (label_queues, label_batches, label_tasks, label_places, label_events, label_cursors)
