"""The gRPC server: inference, health and reflection at a port of their own."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError, NotFoundError, OutOfSpaceError, StoreUnavailableError, UsageError
from tidemill.serving.endpoint import Caller
from tidemill.serving.gathering import TooLateError
from tidemill.serving.grpc.inference import METHODS
from tidemill.serving.grpc.messages import POOL, SERVICE, message
from tidemill.serving.limits import TooManyRowsError
from tidemill.serving.options import ServerOptions
from tidemill.serving.rest.keys import Keys
from tidemill.serving.rest.wire import Refusal, trace_of
from tidemill.serving.site import Site
from tidemill.serving.sockets import listen, shown_host
from tidemill.serving.tracing import Span, Tracer

Answer = Callable[[Site, Any, Caller], Awaitable[Any]]
_REFUSED = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    500: grpc.StatusCode.INTERNAL,
}
_PROBES = ("ServerLive", "ServerReady", "ModelReady")
#: So many bytes of a message are sent, as gRPC writes it into metadata: from 8 KB on clients drop some, at 16 KB all.
_MOST_SAID = 4096
_log = logging.getLogger("tidemill.serving")


class GrpcFace:
    """The gRPC face of a site.

    Parameters
    ----------
    site
        The models.
    options
        Address, limits, TLS and keys.
    """

    def __init__(self, site: Site, options: ServerOptions) -> None:
        self._site, self._options = site, options
        self._keys = Keys(options.keys, options.admin_keys)
        self._server: aio.Server | None = None
        self._health: Any = None

    async def start(self) -> str:
        """Take requests; returns what the ready line gets added.

        Raises
        ------
        UsageError
            When the port cannot be had.
        """
        options = self._options
        server = self._server = aio.server(
            maximum_concurrent_rpcs=options.requests,
            options=[
                ("grpc.max_receive_message_length", options.body_limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", int(self._site.shared)),
                # Whoever connects and never comes to the point, as for HTTP; gRPC itself would wait two minutes.
                ("grpc.server_handshake_timeout_ms", int(max(options.timeout, 1.0) * 1000)),
                ("grpc.max_connection_idle_ms", max(1, int(options.idle * 1000))),
            ],
        )
        handlers = {name: self._handler(name, answer, admin=admin) for name, answer, admin in METHODS}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server, POOL)
        host = shown_host(options.host)
        if options.grpc_port:  # gRPC itself would not say why the port cannot be had
            listen(options.host, options.grpc_port, shared=self._site.shared).close()
        port = self._bind(server, f"{host}:{options.grpc_port}")
        await server.start()
        return f" and grpc://{host}:{port}"

    async def stop(self) -> None:
        """Take none any more, and answer those under way."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(self._options.drain)

    def _bind(self, server: aio.Server, address: str) -> int:
        try:
            if not self._options.certificate:
                return int(server.add_insecure_port(address))
            authority = self._options.client_authority
            credentials = grpc.ssl_server_credentials(
                [(Path(self._options.private_key).read_bytes(), Path(self._options.certificate).read_bytes())],
                Path(authority).read_bytes() if authority else None,
                require_client_auth=bool(authority),
            )
            return int(server.add_secure_port(address, credentials))
        except RuntimeError as error:
            hint = "Choose another --grpc-port, or 0 for a free one."
            raise UsageError(f"cannot listen there: {error}", value=address, hint=hint) from error

    def _handler(self, name: str, answer: Answer, *, admin: bool) -> grpc.RpcMethodHandler:
        taken = message(f"{name}Request")
        is_probe = name in _PROBES

        async def handle(raw: bytes, context: Any) -> bytes:
            span = None if self._site.tracer is None or is_probe else _begin(self._site.tracer, name, context)
            try:
                request = taken.FromString(raw)  # here, since gRPC would blame the server for what is no message
                caller = self._caller(context, admin=admin, is_probe=is_probe)
                if span is not None:
                    caller = caller._replace(trace=trace_of(span.traceparent))
                response: Any = await answer(self._site, request, caller)
            except Exception as error:
                code, said = _status(error, name, raw)
                if span is not None:
                    failed = code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
                    span.end(failed=failed, attributes={"rpc.grpc.status_code": code.value[0]})
                await context.abort(code, said)
                raise  # not reached: abort raises
            except BaseException:  # the client has gone, or its deadline is over: gRPC cancels the call
                if span is not None:
                    span.end(failed=True, attributes={"rpc.grpc.status_code": grpc.StatusCode.CANCELLED.value[0]})
                raise
            if span is not None:
                span.end(failed=False, attributes={"rpc.grpc.status_code": 0})
            return response if isinstance(response, bytes) else response.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(handle, None, None)

    def _caller(self, context: Any, *, admin: bool, is_probe: bool) -> Caller:
        trace, sent = "", ""
        for name, value in context.invocation_metadata() or ():
            if name == "traceparent":
                trace = trace_of(str(value))
            elif name == "x-api-key":
                sent = str(value).strip()
            elif name == "authorization" and str(value)[:7].lower() == "bearer ":
                sent = str(value)[7:].strip()
        if not is_probe:
            self._keys.check_key(sent, admin=admin)
        left = context.time_remaining()
        patience = self._options.timeout if left is None else min(left, self._options.timeout)
        return Caller(_client(context.peer()), trace, None, None, clock.elapsed() + patience)


def _begin(tracer: Tracer, name: str, context: Any) -> Span:
    brought = next((str(value) for key, value in context.invocation_metadata() or () if key == "traceparent"), "")
    about = {
        "rpc.system": "grpc",
        "rpc.service": SERVICE,
        "rpc.method": name,
        "client.address": _client(context.peer()),
    }
    return tracer.begin(f"{SERVICE}/{name}", brought, about)


def _status(error: Exception, name: str, raw: bytes) -> tuple[Any, str]:
    """The status that a call with an error ends with, and what is said."""
    if isinstance(error, DecodeError):
        error = InvalidRequestError("the message is none of the protocol", value=f"{len(raw)} bytes")
    match error:
        case Refusal():
            code, said = _REFUSED.get(error.status, grpc.StatusCode.UNAVAILABLE), str(error.error)
        case NotFoundError():
            code, said = grpc.StatusCode.NOT_FOUND, str(error)
        case TooManyRowsError():
            code, said = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case InvalidRequestError() | UsageError():
            code, said = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case TooLateError():
            code, said = grpc.StatusCode.DEADLINE_EXCEEDED, "the time of this request was over before its turn came"
        case OutOfSpaceError() | StoreUnavailableError():
            code, said = grpc.StatusCode.UNAVAILABLE, str(error)
        case _:
            _log.error("a call of %s failed", name, exc_info=error)
            code, said = grpc.StatusCode.INTERNAL, "The server failed; its log says why."
    return code, _cut(said)


def _cut(said: str) -> str:
    """A message as long as clients take it, cut at a character if need be.

    >>> len(_cut("a" * 9000)), len(_cut("ж" * 9000))
    (4088, 682)
    """
    sent = list(accumulate(map(_sent, said[: _MOST_SAID + 1])))
    if not sent or sent[-1] <= _MOST_SAID:
        return said
    return f"{said[: bisect_right(sent, _MOST_SAID - _sent('…'))]}…"


def _sent(character: str) -> int:
    """How many bytes gRPC makes of a character: one of plain ASCII, else three for each byte of its UTF-8."""
    return 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode(errors="replace"))


@lru_cache(maxsize=4096)
def _client(peer: str) -> str:
    """The address in what gRPC calls a peer: ``ipv4:127.0.0.1:4321``, ``ipv6:[::1]:4321``.

    >>> _client("ipv4:127.0.0.1:4321"), _client("ipv6:%5B::1%5D:4321")
    ('127.0.0.1', '::1')
    """
    address = peer.partition(":")[2].rpartition(":")[0]
    return address.replace("%5B", "").replace("%5D", "").strip("[]")
