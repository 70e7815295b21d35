"""The store: one record of every run, execution, artifact and model version, and the artifacts' bytes.

Comes in: records of `tidemill.core` and bytes. Goes out: the same records, found again by id, digest, key or name. The
functions are grouped by what they keep (`runs`, `executions`, `lineage`, `values`, `leases`, `audit`, `contexts`,
`models`) and take an open transaction first.

SQL is written here and nowhere else, by hand, once for both databases (`statement`), and runs on the bare driver. The
tables are declared with SQLAlchemy Core (`tables`), which only tools and tests load: the declaration is what migrations
and backups are measured against, and a test compares it with the schema that the migrations really make.
"""

from __future__ import annotations

from tidemill.store.store import Store, open_store

__all__ = ["Store", "open_store"]
