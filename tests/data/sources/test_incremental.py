"""An incremental read must give each row to the pipeline once, whatever happens to the run in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.core.records import Run
from tidemill.data.read import read
from tidemill.data.sources.incremental import Reading, begin, closed, note, position
from tidemill.data.sources.source import Window
from tidemill.engine import pipeline, step
from tidemill.engine.lease import acquire
from tidemill.project import load_project, use_project
from tidemill.store import open_store, runs

TOML = """
[project]
name = "tests"
store = "sqlite:///store.db"
artifacts = "artifacts"
[sources.events]
uri = "{uri}"
cursor = "updated_at"
{more}
"""


class Place:
    """A project with an incremental source, and a pipeline that reads it."""

    def __init__(self, root: Path, uri: str, more: str) -> None:
        self.root = root
        self.is_file = uri.endswith(".csv")
        (root / "tidemill.toml").write_text(TOML.format(uri=uri, more=more))
        self.fails = root / "fails"
        self.rows: list[tuple[int, str]] = []

    def add(self, *rows: tuple[int, str]) -> None:
        self.rows.extend(rows)
        if self.is_file:
            lines = [f"{number},{at}" for number, at in self.rows]
            (self.root / "events.csv").write_text("\n".join(["id,updated_at", *lines]) + "\n")
            return
        with sqlite3.connect(self.root / "events.db") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER, updated_at TEXT)")
            connection.executemany("INSERT INTO events VALUES (?, ?)", rows)
        connection.close()


@pytest.fixture(params=["file", "database"])
def place(request, tmp_path) -> Place:
    if request.param == "file":
        return Place(tmp_path, "events.csv", "")
    return Place(tmp_path, "sqlite:///events.db", 'table = "events"')


@pytest.fixture
def consume(place):
    project = load_project(place.root)

    @step
    def ids(events: pl.LazyFrame) -> list[int]:
        return events.collect()["id"].to_list()

    @step(cache=False)
    def finish(found: list[int]) -> list[int]:
        if place.fails.exists():
            raise OSError("the disk is full")
        return found

    @pipeline
    def consume() -> list[int]:
        return finish(ids(read("events", columns=["id"])))

    with open_store(f"sqlite:///{place.root}/store.db", str(place.root / "artifacts")) as store, use_project(project):
        yield consume.using(store=store, project="tests", root=place.root)


FIRST, SECOND, THIRD = (1, "2013-01-01 00:00:00"), (2, "2013-01-02 00:00:00"), (3, "2013-01-03 00:00:00")


def test_each_run_reads_what_came_since_the_last_one(place, consume):
    place.add(FIRST)
    assert consume() == [1]
    assert consume() == []
    place.add(SECOND, THIRD)
    assert consume() == [2, 3]
    assert consume() == []


def test_a_failed_run_does_not_move_the_cursor(place, consume):
    place.add(FIRST)
    place.fails.touch()
    assert consume.run().status == "failed"
    place.add(SECOND)
    assert consume.run().status == "failed"
    place.fails.unlink()
    assert consume() == [1, 2]
    assert consume() == []


def test_resuming_reads_the_same_window_and_the_rest_comes_next(place, consume):
    place.add(FIRST)
    place.fails.touch()
    assert consume.run().status == "failed"
    place.add(SECOND)
    place.fails.unlink()
    resumed = consume.run(resume="last")
    assert resumed.result == [1]
    assert consume() == [2]


def test_all_reads_of_one_run_read_one_window(place, consume):
    @step(cache=False)
    def grow(events: pl.LazyFrame) -> int:
        place.add(SECOND)
        return events.collect().height

    @pipeline
    def twice() -> tuple[int, list[int]]:
        first = grow(read("events")).value()
        return first, read("events", columns=["id"]).value().collect()["id"].to_list()

    place.add(FIRST)
    placed = twice.using(**consume._using)
    if place.is_file:  # its content is what it was pinned to, and has changed
        assert placed.run().status == "succeeded"
    else:
        assert placed() == (1, [1])
    assert read("events").collect().height == 2


def test_a_plan_does_not_move_the_cursor(place, consume):
    place.add(FIRST)
    consume.plan()
    assert consume() == [1]


def test_two_runs_of_one_process_are_not_mixed_up(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts")) as store:
        for name in ("01ja", "01jb"):
            with store.metadata.transaction() as tx:
                runs.insert(tx, Run(id=name, project="p", pipeline=name, status="running", started_at=1))
                acquire(tx, name, 30.0)
            if name == "01ja":
                reading = begin(store, "p", "s")
                assert reading is not None
                assert reading.run.id == "01ja"
        with pytest.raises(UsageError, match="several runs of this process are reading"):
            begin(store, "p", "s")


def test_every_pipeline_has_a_cursor_of_its_own(place, consume):
    @pipeline
    def other() -> pl.LazyFrame:
        return read("events")

    place.add(FIRST)
    assert consume() == [1]
    assert other.using(**consume._using)().collect()["id"].to_list() == [1]
    assert read("events").collect()["id"].to_list() == [1]  # outside of runs there is no cursor
    assert consume() == []


def test_a_cursor_that_goes_backwards_is_refused(place, consume):
    place.add(FIRST, THIRD)
    assert consume() == [1, 3]
    place.rows.clear()
    if not place.is_file:
        (place.root / "events.db").unlink()
    place.add(SECOND)
    failed = consume.run()
    assert isinstance(failed.error, DataError)
    assert "cursor 'updated_at' of source 'events' went backwards" in str(failed.error)


def test_kill_at_any_moment_neither_loses_nor_repeats_rows(place):
    """A process is killed while it reads, and while it works on what it has read."""
    place.add(FIRST)
    (place.root / "flow.py").write_text(
        "import os, signal\n"
        "import polars as pl\n"
        "import tidemill as tm\n"
        "from pathlib import Path\n"
        "HERE = Path(__file__).parent\n"
        "def dies(moment):\n"
        "    if os.environ.get('DIES') == moment:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "@tm.step(cache=False)\n"
        "def deliver(events: pl.LazyFrame) -> list[int]:\n"
        "    dies('before')\n"
        "    found = events.collect()['id'].to_list()\n"
        "    return found\n"
        "@tm.step(cache=False)\n"
        "def send(found: list[int]) -> list[int]:\n"
        "    dies('after')\n"
        "    return found\n"
        "@tm.pipeline\n"
        "def flow():\n"
        "    return send(deliver(tm.read('events')))\n"
    )
    script = "import sys, flow; print(flow.flow.run(resume=sys.argv[1] or None).result)"

    def run(dies: str = "", resume: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", script, resume],
            cwd=place.root,
            env={**os.environ, "DIES": dies, "PYTHONPATH": str(place.root), "OMP_NUM_THREADS": "1"},
            check=False,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.strip()

    assert run(dies="before")[0] == -signal.SIGKILL
    assert run(dies="after")[0] == -signal.SIGKILL
    place.add(SECOND)
    assert run(resume="last") == (0, "[1]")  # the window of the run that died
    assert run() == (0, "[2]")
    assert run() == (0, "[]")


@pytest.mark.parametrize("value", [7, 2.5, "b", date(2013, 1, 2), datetime(2013, 1, 2, 3, 4, 5, 6, tzinfo=UTC)])
def test_a_cursor_is_kept_as_it_is(tmp_path, value):
    with open_store(f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts")) as store:
        run = Run(id="01jcursor", project="p", pipeline="flow", status="running", started_at=1)
        with store.metadata.transaction() as tx:
            runs.insert(tx, run)
        note(store, Reading(run, None), "s", Window("c", None, value))
        assert position(store, "p", "flow", "s") is None
        with store.metadata.transaction() as tx:
            runs.finish(tx, run.id, "succeeded", 2)
        assert position(store, "p", "flow", "s") == value
        assert type(position(store, "p", "flow", "s")) is type(value)


def test_a_cursor_of_another_type_is_refused():
    with pytest.raises(DataError, match="is of another type now: 'b'"):
        closed("c", "s", 7, lambda _: "b")


def test_a_column_without_an_order_is_refused(tmp_path):
    pl.DataFrame({"c": [[1]]}).write_parquet(tmp_path / "f.parquet")
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "t"\n[sources.s]\nuri = "f.parquet"\ncursor = "c"\n')
    with use_project(load_project(tmp_path)), pytest.raises(SchemaError, match="has no order to go by: 'c'"):
        read("s")
