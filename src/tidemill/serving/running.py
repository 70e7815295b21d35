"""Run the HTTP server in this process until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tidemill.core.errors import UsageError
from tidemill.packaging.package import open_folder
from tidemill.project import current_project
from tidemill.serving.app import BODY_LIMIT, App
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.loading import load
from tidemill.serving.log.sealer import Sealer
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.predictor import Predictor
from tidemill.store import Store

#: Seconds that requests under way have to finish after SIGTERM.
DRAIN_SECONDS = 20
_BACKLOG = 2048


def serve(
    references: Sequence[str] = (),
    *,
    folders: Iterable[str | Path] = (),
    store: Store | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    log: str | Path | None = None,
    durable: bool = False,
    allow: Sequence[str] = (),
    body_limit: int = BODY_LIMIT,
    announce: Callable[[str], object] | None = None,
) -> None:
    """Serve models over HTTP; returns after SIGTERM or SIGINT, when the requests under way are answered.

    Parameters
    ----------
    references
        Registered models: ``flight-delay@champion``.
    folders
        Package folders, served under their own names without a registry.
    store
        Where the models are registered; the current project's store by default.
    host, port
        Where to listen; port 0 takes a free one.
    log
        The prediction log's folder; ``.tidemill/predictions`` in the project by default.
    durable
        Whether an answer waits until its log record is on the disk rather than with the kernel.
    allow
        Classes of the user's own that models may be read into, as ``"module:Class"``.
    body_limit
        Bytes of the largest request body.
    announce
        Called with one line when the server is ready; written to standard output by default.

    Raises
    ------
    UsageError
        When nothing is named, a name is given twice, or the port is taken.
    """
    root = Path(log) if log is not None else current_project().root / ".tidemill" / "predictions"
    predictors = [load(reference, store=store, allow=allow) for reference in references]
    predictors += [Predictor(open_folder(folder), allow=allow) for folder in folders]
    endpoints = _endpoints(predictors, root, durable=durable)
    listening = _listen(host, port)
    try:
        shown = f"http://{_shown_host(host)}:{listening.getsockname()[1]}"
        line = f"serving {', '.join(endpoint.title for endpoint in endpoints)} on {shown}"
        with Sealer(root, len(endpoints)):
            _Server(App(endpoints, body_limit=body_limit), lambda: (announce or _say)(line)).run(sockets=[listening])
    finally:
        listening.close()


class _Server(uvicorn.Server):
    """Uvicorn, with a call when it accepts requests."""

    def __init__(self, app: App, ready: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="on",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                timeout_keep_alive=75,
            )
        )
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT; having drained is a success, so the signal is not raised again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def _endpoints(predictors: Sequence[Predictor], root: Path, *, durable: bool) -> list[Endpoint]:
    names = [predictor.model for predictor in predictors]
    if not names:
        raise UsageError("nothing to serve", hint="Name a model, such as flight-delay@champion.")
    if len(set(names)) < len(names):
        raise UsageError("a name can be served once", value=names, hint="Give each model once.")
    return [Endpoint(predictor, PredictionLog(root, predictor.model, durable=durable)) for predictor in predictors]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio turns Nagle's algorithm off: it would hold each answer back for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise UsageError(
            f"cannot listen there: {error}", value=f"{host}:{port}", hint="Choose another port, or 0 for a free one."
        ) from error
    listening.set_inheritable(True)
    return listening


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _say(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever started the server no longer listens; that is no reason to stop serving
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
