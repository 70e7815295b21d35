"""What a request costs a server: CPU microseconds, with validation and a prediction log, beside other model servers.

One model (gradient boosting, 100 trees, 20 columns), one row a request as JSON, 16 connections that wait for each
answer. CPU time is that of the server's processes, so that the load generator's does not count. Tidemill validates
every row and writes it to a log that survives kill -9 before its answer leaves; with ``durable`` it is on the disk, one
fsync for many. No other server here keeps a log of predictions; each runs as its makers' first page says, one worker.

What two workers cost is measured at one rate of requests for one and for two: a server that is never idle reads many
requests at a time, and the second worker, with a load generator on the same cores, is never as busy as the only one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.measuring import BENCH, Figure, figure
from benchmarks.peers import BENTOML, FASTAPI, LITSERVE, MLFLOW_SERVING, MLSERVER
from benchmarks.serving import model, servers
from benchmarks.serving.load import Load, cpu_seconds, measure, memory_mb
from tidemill.serving.grpc.polling import choose_polling

HERE = Path(__file__).parent
SECONDS, WARM_SECONDS, CONNECTIONS, MANY, RATE = 4.0, 1.0, 16, 32, 500.0
TURNS, TURN_SECONDS = 11, 1.0
PEERS = (FASTAPI, LITSERVE, MLFLOW_SERVING, MLSERVER, BENTOML)

Start = Callable[[], AbstractContextManager[servers.Running]]


def run(runs: int, peers: bool) -> list[Figure]:
    """Medians over runs; every run starts each server anew."""
    folder = BENCH / "serving-model"
    if not (folder / "slow" / "model.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model.make(folder)
    with tempfile.TemporaryDirectory(prefix="tidemill-serving-") as scratch:
        log = Path(scratch)
        starts: dict[str, Start] = {
            "bare ASGI, no checks, no log": lambda: servers.bare(folder),
            "tidemill": lambda: servers.tidemill(folder, log / "plain"),
            "tidemill durable": lambda: servers.tidemill(folder, log / "durable", "--durable"),
            "tidemill 2 workers": lambda: servers.tidemill(folder, log / "two", "--workers", "2"),
        }
        if peers:
            for one in PEERS:
                one.install()
                starts[f"{one.name} {one.version}"] = lambda one=one: servers.peer(one, folder)  # type: ignore[misc]
        samples: dict[tuple[str, str], list[float]] = {}
        for _ in range(runs):
            for who, start in starts.items():
                for what, value in _measured(start).items():
                    samples.setdefault((who, what), []).append(value)
            others = (*_at_one_rate(folder, log), *_grpc(folder, log), *_forest(folder, log))
            for who, what, value in (*others, *_together(folder, log, peers)):
                samples.setdefault((who, what), []).append(value)
    return [
        figure(who, what, values, _unit(what), _TARGETS.get((who, what))) for (who, what), values in samples.items()
    ]


_TARGETS = {
    ("tidemill", "one row over REST"): 130.0,
    ("tidemill", "from start to the first answer"): 1.5,
    ("tidemill", "memory"): 150.0,
}


def _unit(what: str) -> str:
    return {
        "from start to the first answer": "s",
        "memory": "MB",
        "median of an answer": "ms wall",
        "and the median of an answer": "ms wall",
    }.get(what, "µs CPU")


def _measured(start: Start) -> dict[str, float]:
    with start() as running:
        measure(running.port, running.request, running.pids, connections=CONNECTIONS, seconds=WARM_SECONDS)
        load = measure(running.port, running.request, running.pids, connections=CONNECTIONS, seconds=SECONDS)
        _all_answered(load)
        return {
            "one row over REST": load.cpu_us,
            "median of an answer": load.milliseconds(0.5),
            "memory": memory_mb(running.pids),
            "from start to the first answer": running.ready_after,
        }


def _all_answered(load: Load) -> None:
    if set(load.statuses) != {200}:
        raise servers.MeasurementError(f"not every request was answered: {load.statuses}")


def _at_one_rate(folder: Path, log: Path) -> list[tuple[str, str, float]]:
    out = []
    for who, more in (("tidemill", ()), ("tidemill 2 workers", ("--workers", "2"))):
        with servers.tidemill(folder, log / f"rate {who}", *more) as running:
            asked = {"connections": CONNECTIONS, "rate": RATE}
            measure(running.port, running.request, running.pids, seconds=WARM_SECONDS, **asked)
            load = measure(running.port, running.request, running.pids, seconds=SECONDS, **asked)
            _all_answered(load)
            out.append((who, f"one row, {RATE:.0f} requests a second", load.cpu_us))
    return out


def _grpc(folder: Path, log: Path) -> list[tuple[str, str, float]]:
    """One row over gRPC, as one tensor of bytes, beside a bare handler: by turns, since the machine has moods.

    The bare handler is asked twice: as gRPC comes, and reading from its connections in the way that Tidemill chooses.
    """
    port, chosen = servers.free_port(), dict[str, str]()
    choose_polling(chosen)
    with (
        servers.tidemill(folder, log / "grpc", "--grpc-port", str(port)) as running,
        _grpc_bare(folder, {}) as bare,
        _grpc_bare(folder, chosen) as bare_chosen,
    ):
        asked = {
            "tidemill": (port, running.pids),
            "bare grpcio handler": bare,
            "bare grpcio handler, polling as tidemill": bare_chosen,
        }
        for at, _ in asked.values():
            _grpc_load(at, folder, WARM_SECONDS)
        turns = [{who: _grpc_cpu(at, folder, pids) for who, (at, pids) in asked.items()} for _ in range(TURNS)]
    return [(who, "one row over gRPC", float(np.median([turn[who] for turn in turns]))) for who in asked]


@contextmanager
def _grpc_bare(folder: Path, more: dict[str, str]) -> Iterator[tuple[int, list[int]]]:
    port = servers.free_port()
    command = [sys.executable, str(HERE / "grpc_bare.py"), str(folder / "model.onnx"), str(port)]
    with subprocess.Popen(command, env={**os.environ, **more, "PYTHONPATH": str(HERE.parent.parent)}) as process:
        try:
            servers.listening(port)
            yield port, [process.pid]
        finally:
            process.kill()


def _grpc_load(port: int, folder: Path, seconds: float) -> int:
    """How many requests a server answered in so many seconds."""
    command = [sys.executable, str(HERE / "grpc_load.py"), f"127.0.0.1:{port}", model.NAME, str(folder / "row.json")]
    done = subprocess.run([*command, str(seconds)], check=True, capture_output=True, text=True)
    answered: int = servers.json.loads(done.stdout)["answered"]
    return answered


def _grpc_cpu(port: int, folder: Path, pids: list[int]) -> float:
    before = cpu_seconds(pids)
    answered = _grpc_load(port, folder, TURN_SECONDS)
    return (cpu_seconds(pids) - before) / answered * 1e6


def _together(folder: Path, log: Path, peers: bool) -> list[tuple[str, str, float]]:
    """One row a request to a forest as its library has it, some milliseconds a row, from many clients at once."""
    starts: dict[str, Start] = {"tidemill": lambda: servers.tidemill(folder, log / "slow", package="slow")}
    for one in (FASTAPI, LITSERVE, BENTOML) if peers else ():
        starts[f"{one.name} {one.version}"] = lambda one=one: servers.together(one, folder)  # type: ignore[misc]
    out = []
    for who, start in starts.items():
        with start() as running:
            asked = {"connections": MANY}
            measure(running.port, running.request, running.pids, seconds=WARM_SECONDS, **asked)
            load = measure(running.port, running.request, running.pids, seconds=SECONDS, **asked)
            _all_answered(load)
            out.append((who, f"a slow forest, {MANY} clients", load.cpu_us))
            out.append((who, "and the median of an answer", load.milliseconds(0.5)))
    return out


def _forest(folder: Path, log: Path) -> list[tuple[str, str, float]]:
    """A thousand rows in one request to a random forest, beside the library's own predict on the same rows."""
    what = "1,000 rows of a forest"
    with servers.tidemill(folder, log / "forest", rows=1000, package="forest") as running:
        measure(running.port, running.request, running.pids, connections=1, seconds=WARM_SECONDS)
        load = measure(running.port, running.request, running.pids, connections=1, seconds=SECONDS)
        _all_answered(load)
        served = load.cpu_us
    forest = model.forest(folder)
    matrix = model.rows(1000)
    samples = []
    for _ in range(20):
        before = time.process_time()
        forest.predict_proba(matrix)
        samples.append(time.process_time() - before)
    return [("tidemill", what, served), ("scikit-learn in process", what, float(np.median(samples)) * 1e6)]
