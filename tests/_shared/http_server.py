"""A real HTTP server on this machine: a test says what it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: From a request to its answer: a body, or (status, body) with headers or without; None breaks the connection off.
Answering = Callable[[BaseHTTPRequestHandler], Any]


class Server(ThreadingHTTPServer):
    """A client that has stopped waiting is no news."""

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serving(answer: Answering, *, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a server that answers until the end of the block; `headers` are those of every answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answered = answer(self)
            status, body, more = (*answered, {})[:3] if isinstance(answered, tuple) else (200, answered, {})
            if body is None:
                self.close_connection = True
                return
            data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {}), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
