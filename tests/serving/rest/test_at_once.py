"""The short way of a request over a real connection: what HTTP promises holds on it as on the long one."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tidemill.packaging.package import Package
from tidemill.serving import start_server
from tidemill.serving.rest import at_once
from tidemill.serving.rest.wire import Response, respond

PATH = "/v1/models/flight-delay/predict"


@pytest.fixture(scope="module")
def served(packaged: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = packaged.write(tmp_path_factory.mktemp("served") / "model")
    with start_server(folders=[folder], timeout=60) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        yield host, int(port)


def _request(body: bytes, *headers: str, path: str = PATH, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: here", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _rows(packaged: Package, count: int = 1) -> bytes:
    return json.dumps({"rows": [packaged.manifest["example"]] * count}).encode()


def _told(connection: socket.socket, answers: int = 1) -> list[tuple[int, bytes, Any]]:
    """Status, head and body of so many answers of a connection."""
    data, out = b"", []
    while len(out) < answers:
        piece = connection.recv(1 << 16)
        assert piece, f"closed after {data!r}"
        data += piece
        while (found := re.match(rb"(?s)HTTP/1.1 (\d+) .*?content-length: (\d+).*?\r\n\r\n", data)) is not None:
            end = found.end() + int(found[2])
            if len(data) < end:
                break
            out.append((int(found[1]), found[0], json.loads(data[found.end() : end])))
            data = data[end:]
    assert data == b""
    return out


def test_requests_that_are_sent_without_waiting_are_answered_in_their_order(
    served: tuple[str, int], packaged: Package
) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        sent = [_rows(packaged, count) for count in (1, 3, 2)]
        connection.sendall(b"".join(map(_request, sent)))
        told = _told(connection, 3)
    assert [len(body["predictions"]) for _, _, body in told] == [1, 3, 2]
    assert len({body["request_id"] for _, _, body in told}) == 3


def test_a_body_that_comes_a_byte_at_a_time_and_a_large_one_are_read_whole(
    served: tuple[str, int], packaged: Package
) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _request(_rows(packaged)):
            connection.sendall(bytes([byte]))
        assert _told(connection)[0][0] == 200
        large = _rows(packaged, 4000)
        assert len(large) > 1 << 18
        connection.sendall(_request(large))
        assert len(_told(connection)[0][2]["predictions"]) == 4000
        connection.sendall(_request(_rows(packaged)))
        assert _told(connection)[0][0] == 200


def test_who_wants_the_connection_closed_gets_it_closed(served: tuple[str, int], packaged: Package) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        connection.sendall(_request(_rows(packaged), "connection: close"))
        status, head, _ = _told(connection)[0]
        assert (status, b"connection: close" in head) == (200, True)
        assert connection.recv(1) == b""


def test_who_asks_before_it_sends_a_body_is_told_to_go_on(served: tuple[str, int], packaged: Package) -> None:
    request = _request(_rows(packaged), "expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    with socket.create_connection(served, timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert _told(connection)[0][0] == 200


def test_a_head_alone_is_answered_without_a_body(served: tuple[str, int]) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        connection.sendall(_request(b"", "connection: close", path="/ready", method="HEAD"))
        said = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert said.startswith(b"HTTP/1.1 ")
    assert said.endswith(b"\r\n\r\n")


def test_every_answer_says_when_and_what_it_is(served: tuple[str, int], packaged: Package) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        for body, status in ((_rows(packaged), 200), (b"{", 400)):
            connection.sendall(_request(body))
            answer = _told(connection)[0]
            assert answer[0] == status
            assert re.search(rb"\r\ndate: \w{3}, .* GMT\r\n", answer[1])
            assert b"\r\ncontent-type: application/json\r\n" in answer[1]


class _OtherServer:
    """The receive and send of a server that is not uvicorn."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


def test_another_server_is_served_by_the_steps_of_asgi() -> None:
    other = _OtherServer()
    assert at_once.whole_body(other.receive) is None
    assert not at_once.reply(other.send, 200, b"application/json", b"{}")
    asyncio.run(respond(other.send, Response(200, b"{}")))
    assert [message["type"] for message in other.sent] == ["http.response.start", "http.response.body"]
    assert other.sent[1]["body"] == b"{}"


def test_the_uvicorn_that_is_installed_is_known() -> None:
    """Else every request would go the long way, unnoticed."""
    assert at_once._IS_KNOWN
