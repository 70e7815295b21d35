"""Start each server as its makers say, wait until it answers, and know what to ask it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import MeasurementError
from benchmarks.peers import BENTOML, FASTAPI, LITSERVE, MLFLOW_SERVING, MLSERVER, Peer
from benchmarks.serving import model
from benchmarks.serving.load import family, post

HERE = Path(__file__).parent
_READY_SECONDS = 180


def listening(port: int) -> None:
    """Return once somebody takes connections at a port."""
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    raise MeasurementError(f"nobody listens at {port}")


@dataclass
class Running:
    """A server that answers."""

    port: int
    process: subprocess.Popen[str]
    request: bytes
    ready_after: float

    @property
    def pids(self) -> list[int]:
        return family(self.process.pid)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    request: bytes,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Running]:
    """A server process from its start until the end of the block; it is ready when it answers the request with 200."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "OMP_NUM_THREADS": "1", **(environment or {})}
    said = Path(os.environ.get("BENCH_FOLDER", "/tmp")) / f"server-{port}.log"
    with said.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(command), env=env, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        try:
            yield Running(port, process, request, _wait(process, port, request, began, said))
        finally:
            for pid in reversed(family(process.pid)):
                _end(pid)
            process.wait()


def _wait(process: subprocess.Popen[str], port: int, request: bytes, began: float, said: Path) -> float:
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    headers = {name: value for name, value in lines if name.lower() not in ("host", "content-length")}
    while time.perf_counter() - began < _READY_SECONDS:
        if process.poll() is not None:
            break
        try:
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
            with urllib.request.urlopen(asked, timeout=10) as answer:
                if answer.status == 200:
                    return time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise MeasurementError(f"{process.args!r} did not answer: {said.read_text()[-1500:]}")


def _end(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def rows_body(folder: Path, count: int = 1) -> bytes:
    if count == 1:
        return json.dumps({"rows": [json.loads((folder / "row.json").read_text())]}).encode()
    listed = [dict(zip(model.COLUMNS, row, strict=True)) for row in model.rows(count).tolist()]
    return json.dumps({"rows": listed}).encode()


@contextmanager
def tidemill(folder: Path, log: Path, *more: str, rows: int = 1, package: str = "package") -> Iterator[Running]:
    port = free_port()
    name = json.loads((folder / package / "model.json").read_text())["name"]
    command = [sys.executable, "-m", "tidemill.serving", "--folder", str(folder / package)]
    command += ["--port", str(port), "--log", str(log), *more]
    with started(command, port, post(f"/v1/models/{name}/predict", rows_body(folder, rows))) as running:
        yield running


@contextmanager
def bare(folder: Path) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, str(HERE / "bare.py"), str(folder / "model.onnx"), str(port)]
    with started(command, port, post("/predict", rows_body(folder))) as running:
        yield running


@contextmanager
def together(which: Peer, folder: Path) -> Iterator[Running]:
    """A server that gathers requests, or answers each in a thread, with the slow model."""
    port = free_port()
    environment = dict(which.environment) | {"BENCH_MODEL": str(folder)}
    if which is BENTOML:
        command = [str(which.folder / "bin" / "bentoml"), "serve", "together_bentoml:Predict", "--port", str(port)]
    elif which is LITSERVE:
        command = [str(which.python), str(HERE / "together_litserve.py"), str(folder), str(port)]
    else:
        command = [str(which.python), str(HERE / "on_fastapi.py"), str(folder), str(port), "forest.joblib"]
    with started(command, port, post("/predict", rows_body(folder)), environment, HERE) as running:
        yield running


@contextmanager
def peer(which: Peer, folder: Path) -> Iterator[Running]:
    """One of the other tools with the same model."""
    port, row = free_port(), json.loads((folder / "row.json").read_text())
    body, path, environment, cwd = rows_body(folder), "/predict", dict(which.environment), folder
    if which in (FASTAPI, LITSERVE):
        command = [str(which.python), str(HERE / f"on_{which.name}.py"), str(folder), str(port)]
    elif which is BENTOML:
        command = [str(which.folder / "bin" / "bentoml"), "serve", "on_bentoml:Predict", "--port", str(port)]
        environment |= {"BENCH_MODEL": str(folder)}
        cwd = HERE
    elif which is MLSERVER:
        _mlserver_settings(folder / "mlserver", folder / "model.joblib", port)
        command = [str(which.folder / "bin" / "mlserver"), "start", str(folder / "mlserver")]
        tensor = {"name": "rows", "shape": [1, len(row)], "datatype": "FP32", "data": list(row.values())}
        outputs = [{"name": "predict_proba"}]
        body, path = json.dumps({"inputs": [tensor], "outputs": outputs}).encode(), "/v2/models/model/infer"
    elif which is MLFLOW_SERVING:
        if not (folder / "mlflow").exists():
            make = [str(which.python), str(HERE / "make_mlflow.py"), str(folder)]
            subprocess.run(make, check=True, env={**os.environ, **environment})
        command = [str(which.folder / "bin" / "mlflow"), "models", "serve", "-m", str(folder / "mlflow")]
        command += ["--port", str(port), "--env-manager", "local", "--workers", "1"]
        environment["PATH"] = f"{which.folder / 'bin'}:{os.environ['PATH']}"
        body, path = json.dumps({"dataframe_records": [row]}).encode(), "/invocations"
    with started(command, port, post(path, body), environment, cwd) as running:
        yield running


def _mlserver_settings(folder: Path, model: Path, port: int) -> None:
    folder.mkdir(exist_ok=True)
    settings = {
        "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0, "debug": False,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    model_settings = {
        "name": "model", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(model)},
    }  # fmt: skip
    (folder / "model-settings.json").write_text(json.dumps(model_settings))
