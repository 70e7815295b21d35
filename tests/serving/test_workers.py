"""Several processes at one port: none of them matters alone, and together they count as one server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tidemill.core.errors import RunError
from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.starting import ServerHandle

PREDICT = "/v1/models/flight-delay/predict"


@pytest.fixture(scope="module")
def folder(packaged: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged.write(tmp_path_factory.mktemp("package") / "model")


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Any:
    with start_server(folders=[folder], log=tmp_path / "log", workers=2, timeout=60) as handle:
        yield handle


def workers_of(server: ServerHandle) -> list[psutil.Process]:
    return [one for one in psutil.Process(server.process.pid).children() if is_worker(one)]


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a worker that lives: one that was killed stays a zombie for a moment."""
    try:
        return "--worker" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def until(true: Callable[[], bool]) -> None:
    """Ask again until it is so; pytest's own limit ends a test that waits in vain."""
    while not true():
        os.sched_yield()


def ask(server: ServerHandle, row: dict[str, Any]) -> dict[str, Any]:
    """Over a connection of its own, which any worker may get."""
    return httpx.post(server.url + PREDICT, json={"rows": [row]}).json()


def test_all_answers_are_counted_and_logged_together(server: ServerHandle, packaged: Package, tmp_path: Path) -> None:
    row = dict(packaged.manifest["example"])
    ids = {ask(server, row)["request_id"] for _ in range(40)}
    assert server.line.endswith("with 2 workers")
    assert {one.pid for one in workers_of(server)} != set()
    counted = httpx.get(server.url + "/metrics").text
    line = next(
        text for text in counted.splitlines() if text.startswith("model_predictions_total{") and "answered" in text
    )
    assert float(line.rpartition(" ")[2]) == 40
    assert set(predictions(tmp_path / "log").collect()["request_id"]) == ids
    assert len(list((tmp_path / "log").rglob("*.log"))) == 2  # both answered


def test_a_worker_that_is_killed_is_replaced(server: ServerHandle, packaged: Package) -> None:
    row = dict(packaged.manifest["example"])
    before = {one.pid for one in workers_of(server)}
    victim = sorted(before)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len({one.pid for one in workers_of(server)} - before) == 1)
    assert ask(server, row)["model"] == "flight-delay"
    assert victim not in {one.pid for one in workers_of(server)}
    assert server.stop() == 0


def test_the_end_of_the_first_process_is_the_end_of_all(server: ServerHandle) -> None:
    workers = workers_of(server)
    server.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_port_that_another_server_shares_is_refused(server: ServerHandle, folder: Path, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(RunError, match="cannot listen there"):
        start_server(folders=[folder], log=tmp_path / "other", workers=2, port=port)


def test_a_worker_that_cannot_start_says_why(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(folder), str(broken)], check=True)
    (broken / "model.onnx").write_bytes(b"x")
    with pytest.raises(RunError, match=r"digest of model\.onnx"):
        start_server(folders=[broken], log=tmp_path / "log", workers=2)
    command = [sys.executable, "-m", "tidemill.serving", "--folder", broken, "--log", tmp_path / "log", "--port", "0"]
    codes = [subprocess.run([*command, "--workers", many], check=False, timeout=120).returncode for many in ("1", "2")]
    assert codes == [5, 5]  # of a model that cannot be used


def test_what_one_worker_unloads_is_gone_from_all(server: ServerHandle) -> None:
    assert httpx.post(f"{server.url}/v2/repository/models/flight-delay/unload").status_code == 200
    served: list[set[int]] = []

    def all_say_so() -> bool:
        served.append({httpx.get(f"{server.url}/v1/models/flight-delay").status_code for _ in range(12)})
        return served[-1] == {404}

    until(all_say_so)
    assert served[-1] == {404}


def test_sigterm_drains_every_worker(server: ServerHandle, packaged: Package) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"rows": [packaged.manifest["example"]]}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
    connections = [socket.create_connection((host, int(port)), timeout=30) for _ in range(8)]
    for connection in connections:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
    os.kill(server.process.pid, signal.SIGTERM)
    for connection in connections:
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()
    assert server.stop() == 0


def test_a_worker_alone_is_told_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidemill.serving", "--port", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nothing to serve" in done.stderr
