"""What a process of the concurrency test does: many runs at once in one store. It is run as a script."""

from __future__ import annotations

import sys

from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution, Metric, ModelVersion, Run
from tidemill.store import executions, leases, models, open_store, runs, values


def work(url: str, artifacts: str, worker: str, count: int) -> None:
    """Open `count` runs, take a step in each, register a model from each, close them; every call is a transaction."""
    with open_store(url, artifacts) as store:
        begin = store.metadata.transaction
        ids = [f"{worker}-{i}" for i in range(count)]
        held = {}
        for i, run_id in enumerate(ids):
            with begin() as tx:
                runs.insert(tx, Run(run_id, worker, "train", "running", i))
                held[run_id] = leases.acquire(tx, leases.RUN + run_id, worker, 600)
        for run_id in ids:
            running = Execution(new_id(), run_id, "fit", "fit", "running", 1, key=run_id)
            with begin() as tx:
                leases.check(tx, held[run_id])
                executions.start(tx, running)
            made = Artifact(new_id(), run_id, "json", "plain", 1, 1, "1")
            done = Execution(running.id, run_id, "fit", "fit", "succeeded", 1, 2, key=run_id)
            with begin() as tx:
                executions.finish(tx, done, [], [("output", made)])
                values.put_params(tx, run_id, {"trials": "5"})
                values.put_metrics(tx, [Metric(run_id, "auc", 0.5)])
                models.insert_version(tx, ModelVersion(new_id(), "late", 0, 1, run_id, running.id, made.id))
            with store.metadata.reading() as tx:
                assert executions.find_cached(tx, run_id) is not None
        for run_id in ids:
            with begin() as tx:
                leases.release(tx, leases.renew(tx, held[run_id], 600))
                runs.finish(tx, run_id, "succeeded", 3)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
