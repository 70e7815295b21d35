"""Killed with -9 at any moment, an incremental pipeline must in the end have read each row of any source once."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest

from tidemill.data.sources.incremental import _window
from tidemill.store import open_store, runs, values

pytestmark = pytest.mark.slow

FLOW = """
import polars as pl
import tidemill as tm

@tm.step
def ids(events: pl.LazyFrame) -> list[int]:
    return events.collect()["id"].to_list()

@tm.step(cache=False)
def deliver(found: list[int]) -> list[int]:
    return sorted(found)

@tm.pipeline
def flow():
    return deliver(ids(tm.read("events")))
"""
#: Runs the pipeline, and dies at the moment when it opens, connects, renames or removes for the given time.
SCRIPT = """
import json, os, signal, sys
import flow
from tidemill.data import read
left, resume = int(sys.argv[1]), sys.argv[2] or None
seen = 0
def hook(event, args):
    global seen
    if event.startswith(("open", "os.", "sqlite3.", "socket.connect", "tempfile.", "shutil.")):
        seen += 1
        if seen == left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
done = flow.flow.run(resume=resume)
print(json.dumps([done.status, str(done.error), done.result, seen]))
"""


class Place:
    """A project with an incremental source of some kind, to which rows are added."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind = root, kind
        self.rows: list[int] = []
        self.url = ""

    def declare(self) -> None:
        uri, more = {
            "file": ("events.csv", ""),
            "sqlite": ("sqlite:///events.db", 'table = "events"'),
            "duckdb": ("duckdb:///events.duckdb", 'table = "events"'),
            "rest": (
                self.url,
                'resource = "events"\ncursor_param = "since"\nschema.id = "int64"\npagination.kind = "page"',
            ),
        }[self.kind]
        (self.root / "tidemill.toml").write_text(
            f'[project]\nname = "tests"\nstore = "sqlite:///store.db"\nartifacts = "artifacts"\n'
            f'[sources.events]\nuri = "{uri}"\ncursor = "moment"\n{more}\n'
        )
        (self.root / "flow.py").write_text(FLOW)

    def add(self, *numbers: int) -> None:
        self.rows.extend(numbers)
        if self.kind == "file":
            text = "".join(f"{number},{number * 10}\n" for number in self.rows)
            (self.root / "events.csv").write_text(f"id,moment\n{text}")
        elif self.kind != "rest":
            with closing(self._connection()) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER, moment INTEGER)")
                for number in numbers:
                    connection.execute(f"INSERT INTO events VALUES ({number}, {number * 10})")

    def _connection(self):
        if self.kind == "duckdb":
            return duckdb.connect(str(self.root / "events.duckdb"))
        return sqlite3.connect(self.root / "events.db", isolation_level=None)

    def run(self, dies: int = 0, resume: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(dies), resume],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
        return done.returncode, done.stdout

    def windows(self) -> list[tuple[int, int]]:
        """The windows of the runs that succeeded, in order."""
        with (
            open_store(f"sqlite:///{self.root}/store.db", str(self.root / "artifacts")) as store,
            store.metadata.reading() as tx,
        ):
            found = runs.list_runs(tx, project="tests", pipeline="flow", status="succeeded", limit=100)
            windows = [_window(values.tags(tx, run.id), "events") for run in reversed(found)]
        return [(window.after or 0, window.upto) for window in windows if window is not None]


@pytest.fixture(params=["file", "sqlite", "duckdb", "rest"])
def place(request, tmp_path) -> Iterator[Place]:
    made = Place(tmp_path, request.param)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            query = dict(parse_qsl(urlsplit(self.path).query))
            since, page = int(query.get("since", 0)), int(query["page"])
            found = [{"id": row, "moment": row * 10} for row in made.rows if row * 10 > since]
            data = json.dumps(found[(page - 1) * 2 : page * 2]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # who asked is dead

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.declare()
        yield made
        server.shutdown()
        thread.join()


def test_rows_are_read_once_whenever_the_process_dies(place):
    place.add(1, 2, 3)
    status, error, result, moments = json.loads(place.run()[1])
    assert (status, result) == ("succeeded", [1, 2, 3]), error
    read: list[int] = list(result)
    points = random.Random(place.kind).sample(range(1, moments), 2)
    for number, point in enumerate(points):
        place.add(10 * number + 11, 10 * number + 12)
        code, printed = place.run(dies=point)
        if code == 0:
            read += json.loads(printed)[2]
        place.add(10 * number + 13)
        code, printed = place.run(resume="last" if number % 2 and code else "")
        assert json.loads(printed)[0] == "succeeded", (point, printed)
        read += json.loads(printed)[2]
    read += json.loads(place.run()[1])[2]
    assert len(read) == len(set(read)), f"read twice, killed at {points}"
    windows = place.windows()
    assert [after for after, _ in windows] == [0, *(upto for _, upto in windows[:-1])], f"a gap, killed at {points}"
    assert windows[-1][1] == place.rows[-1] * 10
    # A run that was killed after it had succeeded has read its window too, and could not say so.
    told = {row for row in place.rows if row in read}
    silent = set(place.rows) - told
    assert silent <= {10 * number + extra for number in range(2) for extra in (11, 12)}
