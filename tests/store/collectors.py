"""What the processes of the garbage collection test do. It is run as a script: URL, artifacts, job, numbers."""

from __future__ import annotations

import sys

from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution, Run
from tidemill.store import Store, executions, open_store, runs
from tidemill.store.gc import collect


def write(store: Store, blobs: range) -> None:
    """Put blobs again, record each in a run of its own, and print their digests."""
    for number in blobs:
        blob = store.artifacts.put(b"blob %d" % number)
        run = Run(new_id(), "p", "train", "running", 1)
        execution = Execution(new_id(), run.id, "s", "s", "succeeded", 1, 2)
        made = Artifact(new_id(), blob.digest, "bytes", "m", blob.size, 1, blob=blob.digest)
        with store.metadata.transaction() as tx:
            runs.insert(tx, run)
            executions.record(tx, execution, [], [("output", made)])
        sys.stdout.write(f"{blob.digest}\n")


def main(url: str, artifacts: str, job: str, *numbers: str) -> None:
    """Write, or collect so many times and print how many were deleted."""
    with open_store(url, artifacts) as store:
        if job == "write":
            write(store, range(*map(int, numbers)))
        else:
            sys.stdout.write(f"{sum(collect(store, grace=3600.0).deleted for _ in range(int(numbers[0])))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
