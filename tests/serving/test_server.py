"""A real server process: what it answered is in its log even if it is killed, and it cuts nobody off when it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tidemill.core.errors import NotFoundError, RunError, UsageError
from tidemill.packaging.package import Package
from tidemill.packaging.validator import Policy
from tidemill.project import load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import load, predictions, start_server
from tidemill.serving.log.reading import scan_log
from tidemill.serving.log.sealing import seal
from tidemill.serving.predictor import Predictor
from tidemill.serving.sockets import listen
from tidemill.serving.starting import ServerHandle

PREDICT = "/v1/models/flight-delay/predict"


@pytest.fixture
def folder(packaged: Package, tmp_path: Path) -> Path:
    return packaged.write(tmp_path / "model")


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[ServerHandle]:
    with start_server(folders=[folder], log=tmp_path / "log") as handle:
        yield handle


def ask_until_it_dies(server: ServerHandle, row: dict[str, Any], answered: list[str], enough: threading.Event) -> None:
    with httpx.Client(base_url=server.url) as client:
        try:
            while True:
                answered.append(client.post(PREDICT, json={"rows": [row]}).json()["request_id"])
                if len(answered) >= 300:
                    enough.set()
        except (httpx.HTTPError, json.JSONDecodeError):
            return


def test_kill_9_under_load_loses_no_answer_that_left(server: ServerHandle, packaged: Package, tmp_path: Path) -> None:
    row = dict(packaged.manifest["example"])
    answered: list[str] = []
    enough = threading.Event()
    clients = [
        threading.Thread(target=ask_until_it_dies, args=(server, row, answered, enough), daemon=True) for _ in range(4)
    ]
    for client in clients:
        client.start()
    assert enough.wait(60)
    server.kill()
    for client in clients:
        client.join(30)
    logged = scan_log(tmp_path / "log").frame.collect()["request_id"].to_list()
    assert len(answered) >= 300
    assert set(answered) <= set(logged)
    assert len(logged) <= len(answered) + len(clients)  # what was logged and had not been sent yet
    seal(tmp_path / "log")
    assert sorted(predictions(tmp_path / "log").collect()["request_id"]) == sorted(logged)


def test_sigterm_lets_the_request_under_way_finish(server: ServerHandle, packaged: Package) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"rows": [packaged.manifest["example"]]}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the application is waiting for the body
        os.kill(server.process.pid, signal.SIGTERM)
        connection.sendall(body)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert server.stop() == 0


def takes_connections(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=60).close()
    except ConnectionError:
        return False
    return True


def test_a_client_that_is_about_to_ask_when_the_server_drains_is_answered_and_told_to_go(
    folder: Path, tmp_path: Path
) -> None:
    """A connection that is kept between requests is closed by the server's end only when the client is not using it."""
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n[serving]\ndrain = 600\n')
    request = b"GET /v1/models/flight-delay/example HTTP/1.1\r\nhost: x\r\n\r\n"
    with start_server(folders=[folder], project=tmp_path) as server:
        address = (server.url.partition("//")[2].rpartition(":")[0], int(server.url.rpartition(":")[2]))
        with (
            socket.create_connection(address, timeout=60) as kept,
            socket.create_connection(address, timeout=60) as halfway,
            socket.create_connection(address, timeout=60) as idle,
        ):
            for connection in (kept, halfway):
                connection.sendall(request)
                while not connection.recv(65536).endswith(b"}]}"):
                    pass
            halfway.sendall(request[:30])
            server.process.send_signal(signal.SIGTERM)
            while takes_connections(address):
                pass
            kept.sendall(request)
            halfway.sendall(request[30:])
            for connection in (kept, halfway):
                answer = b"".join(iter(lambda one=connection: one.recv(65536), b""))  # type: ignore[misc]
                assert answer.startswith(b"HTTP/1.1 200")
                assert b"connection: close" in answer
            idle.close()
        assert server.process.wait(timeout=60) == 0


def test_a_client_that_breaks_off_or_lies_about_its_length_harms_nobody(
    server: ServerHandle, packaged: Package
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for request in (
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode(),
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n{{}}".encode(),
        b"\x00\x01\x02\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(request)
    response = httpx.post(server.url + PREDICT, json={"rows": [packaged.manifest["example"]]})
    assert response.status_code == 200


def test_answers_are_the_predictors(server: ServerHandle, packaged: Package) -> None:
    predictor = Predictor(packaged)
    rows = [{**predictor.example(), "distance": 100 * number, "carrier": "Ü1"} for number in range(1, 40)]
    response = httpx.post(server.url + PREDICT, json={"rows": rows})
    assert response.json()["predictions"] == predictor.predict(rows)


def test_a_server_that_cannot_start_says_why(folder: Path, tmp_path: Path, server: ServerHandle) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(RunError, match="cannot listen there"):
        start_server(folders=[folder], port=port, log=tmp_path / "other")
    with pytest.raises(RunError) as refused:
        start_server(folders=[folder], grpc_port=port, log=tmp_path / "other")
    assert "cannot listen there: [Errno 98] Address already in use" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    with pytest.raises(UsageError, match="Give an address of this machine"):
        listen("192.0.2.1", 0)  # one of those that are nobody's
    with pytest.raises(RunError, match=r"the prediction log cannot be there: .*model\.json.*--log"):
        start_server(folders=[folder], log=folder / "model.json")
    (folder / "model.onnx").write_bytes(b"x")
    with pytest.raises(RunError, match=r"digest of model\.onnx"):
        start_server(folders=[folder], log=tmp_path / "other")
    with pytest.raises(RunError, match="nothing to serve"):
        start_server(log=tmp_path / "other")


@pytest.mark.parametrize("workers", [1, 2])
def test_grpc_that_is_not_installed_is_named_with_its_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    (tmp_path / "without" / "grpc").mkdir(parents=True)
    missing = "raise ModuleNotFoundError(\"No module named 'grpc'\", name='grpc')"
    (tmp_path / "without" / "grpc" / "__init__.py").write_text(missing)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"), prepend=os.pathsep)
    with pytest.raises(RunError, match=r"gRPC needs the package 'grpc'.*tidemill\[grpc\]") as caught:
        start_server(folders=[folder], grpc_port=0, workers=workers, log=tmp_path / "log")
    assert "Traceback" not in str(caught.value)


def test_packages_of_grpc_that_do_not_fit_each_other_are_no_defect(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other" / "grpc").mkdir(parents=True)
    raising = "from google.protobuf.runtime_version import VersionError\nraise VersionError('gencode 7 runtime 6')"
    (tmp_path / "other" / "grpc" / "__init__.py").write_text(raising)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"), prepend=os.pathsep)
    with pytest.raises(RunError, match="packages of gRPC do not fit each other: gencode 7 runtime 6") as caught:
        start_server(folders=[folder], grpc_port=0, log=tmp_path / "log")
    assert "Traceback" not in str(caught.value)


def test_the_champion_of_a_project_is_served_and_logged_there(packaged: Package, tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n')
    with use_project(load_project(tmp_path)) as project:
        store = open_project_store(project)
        register_version(store, packaged)
        with pytest.raises(NotFoundError, match="champion"):
            load("flight-delay")
        promote_version(store, "flight-delay@1")
        predictor = load("flight-delay", policy=Policy(unseen_category="ignore"))
        assert (predictor.version, predictor.alias) == (1, "champion")
        assert load("flight-delay@1").alias is None
    with start_server("flight-delay@champion", project=tmp_path) as server:
        assert server.line == f"serving flight-delay@champion v1 on {server.url}"
        body = httpx.post(server.url + PREDICT, json={"rows": [predictor.example()]}).json()
    assert body["predictions"] == [predictor.predict(predictor.example())]
    logged = predictions(tmp_path / ".tidemill" / "predictions").collect()
    assert logged.select("request_id", "version", "variant").rows() == [(body["request_id"], 1, "champion")]
