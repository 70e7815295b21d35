"""The HTTP server of a process, with gRPC beside it on the same event loop."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Protocol

import uvicorn

from tidemill.core.errors import ConfigError, MissingExtraError, TidemillError
from tidemill.serving.connections import with_patience
from tidemill.serving.grpc.polling import choose_polling
from tidemill.serving.options import ServerOptions
from tidemill.serving.rest.app import App
from tidemill.serving.sockets import BACKLOG

#: Of the time to drain, for one more request on a connection that is kept.
_FAREWELL = 0.05


class Face(Protocol):
    """A face beside HTTP."""

    async def start(self) -> str:
        """Take requests; returns what the line that says so gets added."""
        ...

    async def stop(self) -> None:
        """Take none any more, and answer those under way."""
        ...


class Server(uvicorn.Server):
    """Uvicorn, with a call when everything takes requests.

    Parameters
    ----------
    app
        The application.
    options
        How it runs.
    ready
        Called when it takes requests, with what is to be added to the line that says so.
    """

    def __init__(self, app: App, options: ServerOptions, ready: Callable[[str], object]) -> None:
        super().__init__(_config(app, options))
        self._app = app
        self._ready = ready
        self._beside: Face | None = None
        if options.grpc_port is not None:
            self._beside = _grpc_face(app, options)

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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain."""
        self._app.site.ready = False
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if not self.started:
            return
        try:
            more = "" if self._beside is None else await self._beside.start()
        except TidemillError:
            await super().shutdown(sockets)
            raise
        self._ready(more)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way on every face."""
        if self._beside is not None:  # first: the end of HTTP's life closes the logs
            await self._beside.stop()
        await super().shutdown(sockets)


def _grpc_face(app: App, options: ServerOptions) -> Face:
    """The face of gRPC, which is loaded only where it is asked for."""
    choose_polling(os.environ)
    try:
        module = import_module("tidemill.serving.grpc.face")
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "grpc", purpose="gRPC") from error
    except Exception as error:
        if type(error).__name__ != "VersionError":  # of protobuf, which may be too old to have it
            raise
        hint = 'Install them in one command with what else needs protobuf: pip install "tidemill[grpc]" "…".'
        raise ConfigError(f"the packages of gRPC do not fit each other: {error}", hint=hint) from error
    face: Face = module.GrpcFace(app.site, options)
    return face


def _config(app: App, options: ServerOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=with_patience(max(options.timeout, 1.0), options.drain * _FAREWELL),
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=max(int(options.drain), 1),
        timeout_keep_alive=options.idle,  # type: ignore[arg-type]  # it goes to the event loop as it is
        backlog=BACKLOG,
        ssl_certfile=options.certificate or None,
        ssl_keyfile=options.private_key or None,
        ssl_ca_certs=options.client_authority or None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if options.client_authority else ssl.CERT_NONE,
    )
