"""The record of a table of labels that leaves the store: what was written, from which tables, by whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from tidemill.core import clock
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution
from tidemill.data.labels.answers import Pinned
from tidemill.data.labels.tasks import stored_table
from tidemill.engine.notebook import surrounding_run
from tidemill.project import Project
from tidemill.store import Store, audit, executions

#: What the step of such a record is called: as if a pipeline had read the labels.
STEP = "read_labels"


def record_export(
    store: Store, project: Project, queue: Pinned, tables: Sequence[Artifact], frame: pl.DataFrame
) -> Artifact:
    """Store a table of labels, with its lineage to the tables that the tasks came from, and return its artifact."""
    run_id = surrounding_run(store, project.name, project.root)
    now = clock.now_us()
    with store.metadata.transaction() as tx:
        artifact = stored_table(tx, store, frame)
        execution = Execution(new_id(), run_id, STEP, STEP, "succeeded", now, now)
        inputs = {table.id: (f"tables[{place}]", table.id) for place, table in enumerate(tables)}
        executions.record(tx, execution, list(inputs.values()), [("output", artifact)])
        details = {**asdict(queue), "rows": frame.height, "table": artifact.digest}
        audit.record(tx, "labels.export", f"labels:{queue.name}", details)
    return artifact
