"""Fixture: a real HTTP server that a test tells how to answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Receiver:
    """A receiver of webhooks; `answer` gets the handler and replies, or does not."""

    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: reply(handler, 204)
    released: threading.Event = field(default_factory=threading.Event)


def reply(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    """An answer without a body."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def close(handler: BaseHTTPRequestHandler) -> None:
    """Hang up without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on a free port of this machine."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            try:
                state.answer(self)
            except OSError:
                self.close_connection = True

        def do_GET(self) -> None:
            state.requests.append((self.path, {}, b""))
            reply(self, 200)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def drip(state: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer one byte at a time, each in time, and never end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not state.released.wait(0.02):
            handler.wfile.write(b"x")

    return answer


def hang(state: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    """Never answer."""
    return lambda handler: (state.released.wait(60), None)[1]


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
