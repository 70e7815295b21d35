"""Several processes that answer at one port: started together, watched, replaced when one dies, stopped together."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from tidemill.core import clock
from tidemill.core.errors import RunError
from tidemill.serving.options import ServerOptions

#: A worker that dies sooner than this after its start is replaced only after as long.
_SOON_SECONDS = 2.0
_log = logging.getLogger("tidemill.serving")


@dataclass(frozen=True, slots=True)
class Work:
    """What every worker serves.

    Parameters
    ----------
    references, folders
        As for `tidemill.serving.serve`.
    project, profile
        The project's folder, and the profile in use.
    place
        URLs of the metadata and artifact stores, instead of the project's.
    """

    references: tuple[str, ...]
    folders: tuple[str, ...]
    project: str
    profile: str | None
    place: tuple[str, str] | None


class _Worker:
    """One process; its standard output is one line of JSON, then silence until its end."""

    def __init__(self, order: dict[str, Any], environment: dict[str, str], events: queue.SimpleQueue[Any]) -> None:
        command = [sys.executable, "-m", "tidemill.serving", "--worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.started = clock.elapsed()
        self.said: dict[str, Any] = {}
        self._events = events
        if self.process.stdin is not None:  # left open: its end tells the worker that we are gone
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        threading.Thread(target=self._watch, name=f"worker {self.process.pid}", daemon=True).start()

    def _watch(self) -> None:
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        self.said = json.loads(line) if line.strip() else {}
        if "line" in self.said:
            self._events.put(("ready", self))
        self.process.wait()
        self._events.put(("ended", self))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)


def supervise(work: Work, options: ServerOptions, ports: Sequence[int], announce: Callable[[str], object]) -> None:
    """Keep as many workers as the options say until SIGTERM or SIGINT, then let all of them drain.

    Parameters
    ----------
    work
        What they serve.
    options
        How; `ports` replace its ports.
    ports
        The reserved ports of HTTP and, if there is one, of gRPC.
    announce
        Called with one line when all are ready.

    Raises
    ------
    RunError
        When one of the first workers cannot start; the message is what it said.
    """
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    alone = replace(options, workers=1, port=ports[0], grpc_port=ports[1] if len(ports) > 1 else None)
    with tempfile.TemporaryDirectory(prefix="tidemill-workers-") as folder, _signals(events):
        order = {"work": asdict(work), "options": asdict(alone), "journal": str(Path(folder) / "journal")}
        environment = {"PROMETHEUS_MULTIPROC_DIR": folder, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        workers = [_Worker(order, environment, events) for _ in range(options.workers)]
        try:
            _until_stopped(workers, lambda: _Worker(order, environment, events), events, announce, folder)
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.process.wait()


def _until_stopped(
    workers: list[_Worker],
    another: Callable[[], _Worker],
    events: queue.SimpleQueue[Any],
    announce: Callable[[str], object],
    folder: str,
) -> None:
    ready: set[_Worker] = set()
    announced = False
    while True:
        what, worker = events.get()
        if what == "stop":
            return
        if what == "ready":
            ready.add(worker)
            if not announced and len(ready) == len(workers):
                announced = True
                announce(f"{worker.said['line']} with {len(workers)} workers")
            continue
        code = worker.process.wait()
        if not announced:
            said = worker.said.get("error") or f"a worker ended with code {code} before it was ready"
            failure = RunError(str(said))
            failure.exit_code = code if "error" in worker.said else failure.exit_code  # as without workers
            raise failure
        _log.warning("worker %s ended with code %s; another takes its place", worker.process.pid, code)
        mark_process_dead(worker.process.pid, folder)  # type: ignore[no-untyped-call]
        if clock.elapsed() - worker.started < _SOON_SECONDS and _stopped_within(_SOON_SECONDS, events):
            return
        workers[workers.index(worker)] = another()


def _stopped_within(seconds: float, events: queue.SimpleQueue[Any]) -> bool:
    """Wait, unless it is time to stop; what else happens meanwhile is kept for later."""
    kept, until = [], clock.elapsed() + seconds
    stopped = False
    while not stopped and (left := until - clock.elapsed()) > 0:
        try:
            event = events.get(timeout=left)
        except queue.Empty:
            break
        stopped = event[0] == "stop"
        kept.append(event)
    for event in kept:
        events.put(event)
    return stopped


@contextmanager
def _signals(events: queue.SimpleQueue[Any]) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        del number, frame
        events.put(("stop", None))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
