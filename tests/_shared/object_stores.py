"""Fixtures: servers that speak the protocols of object stores, and a wire to them that can be cut."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hadoop import free_ports, pause

AZURITE = next((Path(__file__).resolve().parents[2] / ".bench").glob("azurite-*/node_modules/.bin/azurite-blob"), None)
#: The account and key that every Azurite has; they are published.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Wire:
    """A TCP port that leads to another; a limit cuts each answer after so many bytes."""

    def __init__(self, target: int) -> None:
        self.limit: int | None = None
        self.cuts = 0
        wire = self

        class Pass(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", target)) as beyond:
                    up = threading.Thread(target=copy, args=(self.request, beyond))
                    up.start()
                    copy(beyond, self.request, wire)
                    hang_up(beyond, self.request)
                    up.join()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def copy(source: socket.socket, target: socket.socket, wire: Wire | None = None) -> None:
    """Pass bytes on until one side hangs up, or the wire is cut."""
    passed = 0
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
            passed += len(data)
            if wire is not None and wire.limit is not None and passed > wire.limit:
                wire.cuts += 1
                return
    except OSError:  # the other side is gone, which is what this is for
        return


def hang_up(*ends: socket.socket) -> None:
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            end.close()


@pytest.fixture(scope="session")
def azurite() -> Iterator[int]:
    """The port of Azurite, the emulator of Azure storage; skipped with the reason where it is not installed."""
    if AZURITE is None or shutil.which("node") is None:
        pytest.skip("no Azurite: scripts/azurite.py installs it with npm")
    (port,) = free_ports(1)
    home = tempfile.mkdtemp(prefix="tidemill-azurite-")
    quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    command = [str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", home, *quiet]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (Path(home) / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError as error:
                if time.monotonic() > until or server.poll() is not None:
                    raise AssertionError((Path(home) / "log").read_text()[-2000:]) from error
                pause()
        yield port
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)
