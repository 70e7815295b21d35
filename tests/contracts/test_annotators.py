"""People label at the same time, from many machines, and some walk away: no task may be lost or given out too often."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tidemill.store import annotating, label_history, labelling, migrations
from tidemill.store.database import connect
from tidemill.store.statement import Statement
from tidemill.testing.labelling_contract import a_queue

PROCESSES, TASKS = 8, 2000
EXPIRE = Statement("""
    UPDATE label_places SET expires_at = 1 WHERE queue_id = :queue_id AND state = 'leased'
""")
SCRIPT = Path(__file__).with_name("annotators.py")


@pytest.fixture
def database(metadata_url):
    database = connect(metadata_url)
    database.create(migrations.build)
    yield database
    database.close()


def start(url, queue, annotator, *more):
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT), url, queue.name, annotator, *more],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [1, 2])
def test_eight_processes_share_the_tasks_and_one_that_is_killed_loses_none(database, metadata_url, overlap):
    queue = a_queue(database, TASKS, overlap=overlap)
    with start(metadata_url, queue, "gone", "walks-away") as gone:
        held = [int(number) for number in gone.stdout.readline().split()[1:]]
        gone.kill()
    assert gone.returncode == -9
    assert len(held) == 3
    annotators = [start(metadata_url, queue, f"annotator{i}") for i in range(PROCESSES)]
    done = [int(annotator.communicate(timeout=400)[0]) for annotator in annotators]
    assert [annotator.returncode for annotator in annotators] == [0] * PROCESSES
    with database.reading() as tx:
        places = label_history.places(tx, queue.id)
        kept = Counter(place.number for place in places if place.state == "labelled")
    assert set(kept.values()) <= set(range(1, overlap + 1)), "a task was labelled more often than asked"
    assert sum(kept.values()) == sum(done) + 9 == TASKS * overlap - len(held)
    assert sorted(place.number for place in places if place.state == "leased") == held

    # Time goes on: the lease of the one that was killed runs out.
    with database.transaction() as tx:
        tx.run(EXPIRE, queue_id=queue.id)
    with database.transaction() as tx:
        now = labelling.lock(tx, queue.id)
        late = "latecomer"
        assert sorted(task.number for task in annotating.take(tx, now, late, 10)) == held
        for number in held:
            annotating.say(tx, now, number, late, "label", "a")
    with database.reading() as tx:
        assert labelling.counts(tx, queue.id)["labelled"] == TASKS
        events = label_history.events(tx, queue.id, limit=TASKS * overlap + 1)
    assert [event.seq for event in events] == list(range(1, TASKS * overlap + 1))


def test_a_lease_is_measured_in_real_time(database):
    """Replaying history on a virtual clock must not take tasks away from people."""
    queue = a_queue(database, 1)
    with database.transaction() as tx:
        annotating.take(tx, labelling.lock(tx, queue.id), "ann")
        assert annotating.expire(tx, labelling.lock(tx, queue.id)) == []
        labelling.update_queue(tx, replace(queue, lease_seconds=-1.0))
        annotating.take(tx, labelling.lock(tx, queue.id), "ann")
        assert annotating.expire(tx, labelling.lock(tx, queue.id)) == [1]
