"""Start a server as a process of its own and wait until it is ready: for demos, tests and notebooks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tidemill.core.errors import RunError
from tidemill.project import current_project

_STOP_SECONDS = 30


class ServerHandle:
    """A running server process; leaving its ``with`` block stops it.

    Attributes
    ----------
    url
        Where it listens: ``http://127.0.0.1:43211``.
    grpc
        Where gRPC listens, if it does: ``127.0.0.1:43212``.
    line
        What it said when it was ready.
    process
        The process.
    """

    def __init__(self, process: subprocess.Popen[str], line: str, errors: IO[bytes]) -> None:
        self.process = process
        self.line = line
        where = line.rpartition(" on ")[2].split()
        self.url = where[0] if where else ""
        self.grpc = next((word.removeprefix("grpc://") for word in where if word.startswith("grpc")), "")
        self._errors = errors

    def stop(self) -> int:
        """Ask it to finish what it is answering and wait for its end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()
        return self.process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    def __enter__(self) -> ServerHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_server(
    *references: str,
    folders: Sequence[str | Path] = (),
    project: str | Path | None = None,
    store: str | None = None,
    artifacts: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    log: str | Path | None = None,
    durable: bool = False,
    grpc_port: int | None = None,
    workers: int = 1,
    timeout: float = 30.0,
) -> ServerHandle:
    """Start a server process and return when it accepts requests.

    Parameters
    ----------
    references
        Registered models: ``flight-delay@champion``.
    folders
        Package folders to serve without a registry.
    project
        The project's folder; the current project's by default.
    store, artifacts
        Their URLs, instead of a project's.
    host, port, log, durable, grpc_port, workers
        As for `tidemill.serving.options.ServerOptions`; port 0 takes a free one.
    timeout
        Seconds that it may take.

    Returns
    -------
    ServerHandle
        A context manager with ``url``.

    Raises
    ------
    RunError
        When it ends or is not ready in time; the message has the last lines that it wrote.
    """
    if project is None and store is None:
        project = current_project().root
    options = {"--project": project, "--store": store, "--artifacts": artifacts, "--log": log, "--grpc-port": grpc_port}
    command = [sys.executable, "-m", "tidemill.serving", *references, "--host", host, "--port", str(port)]
    command += ["--workers", str(workers)]
    for name, value in options.items():
        command += [] if value is None else [name, str(value)]
    for folder in folders:
        command += ["--folder", str(folder)]
    command += ["--durable"] if durable else []
    errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the handle
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
    )
    line = _first_line(process, timeout)
    handle = ServerHandle(process, line.strip(), errors)
    if " on http" not in line:
        process.kill()
        process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()[-5:]
        handle.kill()
        raise RunError(f"the server did not start: {' / '.join(said) or line or f'not ready in {timeout:g} s'}")
    return handle


def _first_line(process: subprocess.Popen[str], timeout: float) -> str:
    """What the process says first, or nothing when it ends or takes too long."""
    found: list[str] = []

    def read() -> None:
        if process.stdout is not None:
            found.append(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout)
    return found[0] if found else ""
