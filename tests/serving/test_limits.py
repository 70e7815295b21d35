"""A server among strangers: keys, TLS, limits and clients that never come to the point."""

from __future__ import annotations

import json
import resource
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tidemill.core.errors import ConfigError
from tidemill.packaging.package import Package
from tidemill.project import load_project
from tidemill.serving import start_server
from tidemill.serving.options import ServerOptions, server_options
from tidemill.serving.starting import ServerHandle

PREDICT = "/v1/models/flight-delay/predict"


@pytest.fixture
def folder(packaged: Package, tmp_path: Path) -> Path:
    return packaged.write(tmp_path / "model")


def started(folder: Path, written: str) -> ServerHandle:
    project = folder.parent / "project"
    project.mkdir(exist_ok=True)
    (project / "tidemill.toml").write_text(f'[project]\nname = "flights"\n[serving]\n{written}\n')
    return start_server(folders=[folder], project=project, timeout=60)


def test_a_server_with_keys_answers_those_who_have_one(
    folder: Path, packaged: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_KEY", "a key of the planners")
    body = {"rows": [packaged.manifest["example"]]}
    with started(folder, 'keys = ["${env:SERVING_KEY}"]\nadmin_keys = ["the key of the admins"]') as server:

        def ask(**headers: str) -> int:
            return httpx.post(server.url + PREDICT, json=body, headers=headers).status_code

        unload = "/v2/repository/models/flight-delay/unload"
        planner, admin = {"x-api-key": "a key of the planners"}, {"authorization": "Bearer the key of the admins"}
        assert ask() == 401
        assert ask(authorization="Bearer a key of somebody") == 403
        assert ask(**planner) == ask(**admin) == 200
        assert httpx.get(server.url + "/ready").status_code == 200
        assert httpx.get(server.url + "/v1/models").status_code == 401
        assert httpx.post(server.url + unload, headers=planner).status_code == 403
        assert httpx.post(server.url + unload, headers=admin).status_code == 200
        assert ask(**planner) == 404


def test_files_that_are_none_for_tls_are_refused_at_the_start_with_their_names(tmp_path: Path) -> None:
    """An operator must not read about a defect in Tidemill, nor be asked for a password that nobody can type."""
    authority = trustme.CA()
    mine, other = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "mine.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    key = load_pem_private_key(mine.private_key_pem.bytes(), None)
    secret = BestAvailableEncryption(b"a password")
    (tmp_path / "locked.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    (tmp_path / "notes.txt").write_text("no certificate")
    files = {path.stem: str(path) for path in tmp_path.iterdir()}
    for certificate, private_key in (("mine", "other"), ("mine", "locked"), ("notes", "key"), ("mine", "notes")):
        with pytest.raises(ConfigError, match="these are no certificate and key for TLS") as refused:
            ServerOptions(certificate=files[certificate], private_key=files[private_key])
        assert files[private_key] in str(refused.value)
    right = {"certificate": files["mine"], "private_key": files["key"]}
    with pytest.raises(ConfigError, match=r"this is no authority.*notes\.txt"):
        ServerOptions(**right, client_authority=files["notes"])
    assert ServerOptions(**right, client_authority=files["mine"]).certificate == files["mine"]


def test_tls_asks_and_is_asked_for_certificates(folder: Path, packaged: Package, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    mine = authority.issue_cert("127.0.0.1")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = f'certificate = "{tmp_path}/certificate.pem"\nprivate_key = "{tmp_path}/key.pem"\n'
    with started(folder, files + f'client_authority = "{tmp_path}/authority.pem"') as server:
        assert server.url.startswith("https://")
        answers, body = [], {"rows": [packaged.manifest["example"]]}
        for issuer in (authority, stranger):
            context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
            issuer.issue_cert("planner@example.org").configure_cert(context)
            try:
                answers.append(httpx.post(server.url + PREDICT, json=body, verify=context).status_code)
            except httpx.HTTPError:
                answers.append(0)
        assert answers == [200, 0]


def test_ten_thousand_silent_connections_leave_others_answered_and_are_closed(folder: Path, packaged: Package) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = min(10_000, most - 500)
    assert wanted > 3000
    with started(folder, "timeout = 20") as server:
        host, port = server.url.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port)), timeout=60) for _ in range(wanted)]
        for connection in silent[::2]:
            connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode())  # and never comes to the point
        for _ in range(20):
            answer = httpx.post(server.url + PREDICT, json={"rows": [packaged.manifest["example"]]}, timeout=60)
            assert answer.status_code == 200
        for connection in (silent[0], silent[1], silent[-2], silent[-1]):
            assert connection.recv(100) in (b"", b"HTTP/1.1 408 Request Timeout\r\n")
        for connection in silent:
            connection.close()
        assert httpx.get(server.url + "/ready").status_code == 200
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_body_that_does_not_come_is_not_waited_for(folder: Path) -> None:
    with started(folder, "timeout = 0.5") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_second_request_that_never_comes_to_the_point_ends_its_connection(folder: Path, packaged: Package) -> None:
    with started(folder, "timeout = 1") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(1000)
            connection.sendall(b"GET /live HTTP/1.1\r\nHost:")
            assert connection.recv(1000) == b""


def test_a_client_that_does_not_read_its_answer_ends_its_connection(folder: Path, packaged: Package) -> None:
    rows = [packaged.manifest["example"]] * 60_000
    body = json.dumps({"rows": rows}).encode()
    with started(folder, "timeout = 2") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert connection.recv(12) == b"HTTP/1.1 200"
            mine, process = connection.getsockname()[1], psutil.Process(server.process.pid)
            deadline = time.monotonic() + 60
            while any(one.raddr and one.raddr.port == mine for one in process.net_connections()):
                assert time.monotonic() < deadline, "the connection is kept for a client that does not read"
                assert httpx.get(server.url + "/live").status_code == 200
        assert httpx.get(server.url + "/ready").status_code == 200


def test_more_requests_than_a_server_takes_are_told_when_to_come_again(folder: Path, packaged: Package) -> None:
    with started(folder, "requests = 2\ntimeout = 20") as server:
        host, port = server.url.removeprefix("http://").split(":")
        waiting = [socket.create_connection((host, int(port)), timeout=60) for _ in range(2)]
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n".encode()
        for connection in waiting:
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # under way: the body is waited for
        refused = httpx.post(server.url + PREDICT, json={"rows": [packaged.manifest["example"]]})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx.get(server.url + "/live").status_code == 200
        for connection in waiting:
            connection.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if httpx.post(server.url + PREDICT, json={"rows": [packaged.manifest["example"]]}).status_code == 200:
                break
        else:
            pytest.fail("the two that hung up still count")


def test_a_request_whose_time_is_over_is_not_scored(folder: Path, packaged: Package) -> None:
    body = {"rows": [packaged.manifest["example"]]}
    with started(folder, "") as server:
        late = httpx.post(server.url + PREDICT, json=body, headers={"x-request-timeout-ms": "0"})
        assert late.status_code == 504
        assert httpx.post(server.url + PREDICT, json=body, headers={"x-request-timeout-ms": "soon"}).status_code == 400
        assert httpx.post(server.url + PREDICT, json=body, headers={"x-request-timeout-ms": "60000"}).status_code == 200


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("workres = 2", "Did you mean 'workers'"),
        ("workers = 0", "out of range"),
        ('workers = "two"', "takes a whole number"),
        ("together = 1.5", "takes a whole number"),
        ("timeout = true", "takes a number"),
        ('body_limit = "a lot"', "not a size"),
        ('when_log_fails = "shrug"', "refuse or serve"),
        ('certificate = "missing.pem"', "TLS needs both files"),
        ('certificate = "missing.pem"\nprivate_key = "missing.pem"', "there is no such file"),
        ('keys = ["short"]', "too short to be secret"),
        ('keys = "a key that is long enough"', "list of texts"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(tmp_path: Path, written: str, complaint: str) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "x"\n[serving]\n{written}\n')
    with pytest.raises(ConfigError, match=complaint):
        server_options(load_project(tmp_path))


def test_settings_come_from_the_file_unless_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "x"\n[serving]\nport = 9000\nbody_limit = "1 MiB"\n')
    options: Any = server_options(load_project(tmp_path), port=9001, host=None)
    assert (options.port, options.body_limit, options.host) == (9001, 1 << 20, "127.0.0.1")
    assert options.log == str(tmp_path / ".tidemill" / "predictions")
