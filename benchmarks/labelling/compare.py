"""A page, the next task and a label in a queue of 100,000 tasks, beside the obvious way to write it.

The obvious way keeps tasks and labels in two tables of SQLite, finds the next task by what nobody has labelled yet,
and pages by OFFSET. Label Studio cannot be measured here without its server; its issue 9637 reports more than 15
seconds for a page from 10,000 tasks on.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.measuring import Figure, figure
from tidemill.store import annotating, labelling, migrations
from tidemill.store.database import connect
from tidemill.testing.labelling_contract import a_queue

TASKS, LABELLED = 100_000, 60_000
#: Milliseconds in which an annotator gets an answer.
TARGET = 100.0


def run(runs: int, peers: bool) -> list[Figure]:
    """CPU milliseconds of each call, with 60,000 labels in the queue; seconds for adding the tasks."""
    with tempfile.TemporaryDirectory() as folder:
        figures = _ours(Path(folder), runs)
        return [*figures, *_naive(Path(folder), runs)] if peers else figures


def _ours(folder: Path, runs: int) -> list[Figure]:
    database = connect(f"sqlite:///{folder}/store.db")
    database.create(migrations.build)
    began = time.process_time()
    queue = a_queue(database, TASKS, overlap=2)
    added = time.process_time() - began
    with database.transaction() as tx:
        for number in range(1, LABELLED + 1):
            annotating.say(tx, queue, number, "ann", "label", "a")

    def reading(**filters: object) -> Callable[[], object]:
        def call() -> object:
            with database.reading() as tx:
                return labelling.page(tx, queue.id, after=LABELLED - 100, **filters)  # type: ignore[arg-type]

        return call

    def next_task() -> object:
        with database.transaction() as tx:
            now = labelling.lock(tx, queue.id)
            annotating.release(tx, now, "ann")
            return annotating.take(tx, now, "ann")

    def label() -> object:
        with database.transaction() as tx:
            now = labelling.lock(tx, queue.id)
            (task,) = annotating.take(tx, now, "bob")
            return annotating.say(tx, now, task.number, "bob", "label", "a")

    def new_order() -> object:
        with database.transaction() as tx:
            now = labelling.lock(tx, queue.id)
            labelling.set_priorities(tx, queue.id, [(TASKS, 0.0)])
            annotating.release(tx, now, "ann")
        return next_task()

    calls = {
        "a page": reading(),
        "a page by status": reading(status="started"),
        "a page of an annotator": reading(annotator="ann"),
        "the next task": next_task,
        "a task and its label": label,
        "the next task in a new order": new_order,
    }
    figures = [figure("tidemill", f"{what}: CPU", _times(call, runs * 4), "ms", TARGET) for what, call in calls.items()]
    database.close()
    return [*figures, figure("tidemill", f"{TASKS:,} tasks added: CPU", [added], "s")]


def _naive(folder: Path, runs: int) -> list[Figure]:
    with closing(sqlite3.connect(folder / "naive.db")) as db:
        db.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, data TEXT, priority REAL)")
        db.execute("CREATE TABLE labels (task INTEGER, who TEXT, label TEXT)")
        db.execute("CREATE INDEX labels_by_task ON labels (task, who)")
        began = time.process_time()
        rows = ((n, json.dumps({"n": n}), 0.0) for n in range(1, TASKS + 1))
        db.executemany("INSERT INTO tasks VALUES (?, ?, ?)", rows)
        db.commit()
        added = time.process_time() - began
        db.executemany("INSERT INTO labels VALUES (?, 'ann', 'a')", ((n,) for n in range(1, LABELLED + 1)))
        db.commit()
        free = """
            SELECT id, data FROM tasks WHERE (SELECT count(*) FROM labels WHERE task = tasks.id) < 2
                AND NOT EXISTS (SELECT 1 FROM labels WHERE task = tasks.id AND who = 'ann')
            ORDER BY priority DESC, id LIMIT 1
        """
        by_status = f"""
            SELECT id, data FROM tasks WHERE (SELECT count(*) FROM labels WHERE task = tasks.id) = 1
            ORDER BY id LIMIT 50 OFFSET {LABELLED - 100}
        """
        page = f"SELECT id, data FROM tasks ORDER BY id LIMIT 50 OFFSET {LABELLED - 100}"
        calls = {"a page": page, "a page by status": by_status, "the next task": free}
        figures = []
        for what, sql in calls.items():
            times = _times(partial(_fetch, db, sql), runs * 4)
            figures.append(figure("the obvious way", f"{what}: CPU", times, "ms"))
    return [*figures, figure("the obvious way", f"{TASKS:,} tasks added: CPU", [added], "s")]


def _fetch(db: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return db.execute(sql).fetchall()


def _times(call: Callable[[], object], runs: int) -> list[float]:
    call()
    times = []
    for _ in range(runs):
        began = time.process_time()
        call()
        times.append((time.process_time() - began) * 1e3)
    return times
