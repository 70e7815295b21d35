"""What an annotator of the test does: takes tasks and labels them until there are no more. It is run as a script."""

from __future__ import annotations

import signal
import sys

from tidemill.store import annotating, labelling
from tidemill.store.database import connect


def work(url: str, name: str, annotator: str, *, walks_away: bool) -> None:
    """Label until nothing is left; who walks away stops in the middle of a task, and says so."""
    database = connect(url)
    with database.reading() as tx:
        queue = labelling.get_queue(tx, name)
    done = 0
    while True:
        with database.transaction() as tx:
            given = annotating.take(tx, labelling.lock(tx, queue.id), annotator, 3)
        if not given:
            break
        if walks_away and done >= 9:
            print("holding", *[task.number for task in given], flush=True)
            signal.pause()
        for task in given:
            with database.transaction() as tx:
                annotating.say(tx, labelling.lock(tx, queue.id), task.number, annotator, "label", "ab"[task.number % 2])
            done += 1
    print(done, flush=True)
    database.close()


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], sys.argv[3], walks_away=sys.argv[4:] == ["walks-away"])
