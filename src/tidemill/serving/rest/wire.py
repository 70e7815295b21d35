"""Requests and responses of the REST face: bodies in and out of an ASGI application."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError, TidemillError
from tidemill.serving.endpoint import Caller
from tidemill.serving.rest.at_once import reply, whole_body

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
_DUMPS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_RETRIED = (429, 503)
#: Of a length that is announced: Python makes no number of thousands of digits.
_MOST_DIGITS = 19
#: 32 hexadecimal digits in lower case, not all of them 0.
_TRACE = re.compile("(?!0{32})[0-9a-f]{32}")
_NOT_IN_JSON = {
    "NaN": "JSON has no NaN: send null for what is missing.",
    "Inf": "JSON has no infinite numbers: send null, or a number.",
}


class Refusal(Exception):
    """A request that is answered with a status of its own: a decision about it, not an error of the tree."""

    def __init__(self, status: int, error: TidemillError, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status, self.error, self.headers = status, error, headers
        super().__init__(status, error)


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out.

    Parameters
    ----------
    status
        Of HTTP.
    body
        Its bytes.
    type
        Their media type.
    headers
        More headers, names in lower case.
    """

    status: int
    body: bytes
    type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What came in, for every route but the hot one.

    Parameters
    ----------
    scope, receive
        Of ASGI.
    given
        What stands at the places of the route's path: ``{"name": "flight-delay"}``.
    limit, timeout
        Bytes of the largest body, and seconds that it may take to come.
    """

    scope: Scope
    receive: Receive
    given: Mapping[str, str] = field(default_factory=dict)
    limit: int = 1 << 25
    timeout: float = 30.0

    @property
    def query(self) -> dict[str, str]:
        """The parameters after the question mark; of one given twice, the last."""
        text = bytes(self.scope.get("query_string", b"")).decode("latin-1")
        return dict(parse_qsl(text, keep_blank_values=True))

    def only_parameter(self, name: str, whose: str) -> str | None:
        """The one parameter that a route takes; None if it was not sent.

        Raises
        ------
        InvalidRequestError
            For any other: it may be this one, misspelt. It says `whose` it is not.
        """
        query = self.query
        for sent in query:
            if sent != name:
                raise InvalidRequestError(f"{whose} takes no such parameter", value=sent, hint=f"It takes {name}.")
        return query.get(name)

    def header(self, name: bytes) -> bytes:
        """A header's value; empty if it was not sent."""
        return header(self.scope, name)

    async def body(self) -> bytes:
        """The whole body; see `read_body`."""
        return await read_body(self.scope, self.receive, self.limit, self.timeout)

    def caller(self, **more: Any) -> Caller:
        """Who asks; see `caller_of`."""
        return caller_of(self.scope, self.timeout, **more)


def header(scope: Scope, name: bytes) -> bytes:
    """A header's value; empty if it was not sent."""
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


def caller_of(
    scope: Scope,
    timeout: float,
    *,
    key: str | None = None,
    entities: list[Any] | None = None,
    arrived: float | None = None,
) -> Caller:
    """Who asks, from the connection and the headers ``traceparent``, ``x-routing-key`` and ``x-request-timeout-ms``.

    Nobody waits longer than `timeout` seconds after the moment when the request had `arrived`, by default now.
    """
    trace, seconds = "", timeout
    for name, value in scope["headers"]:
        if name == b"traceparent":
            trace = trace_of(value.decode("latin-1"))
        elif name == b"x-routing-key":
            key = value.decode("latin-1")
        elif name == b"x-request-timeout-ms":
            seconds = min(timeout, _milliseconds(value) / 1e3)
    client = scope.get("client")
    return Caller(client[0] if client else "", trace, key, entities, (arrived or clock.elapsed()) + seconds)


def trace_of(traceparent: str) -> str:
    """The trace's id in W3C's ``traceparent``; empty if it is none.

    >>> trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and _TRACE.fullmatch(parts[1]) else ""


def _milliseconds(value: bytes) -> float:
    if not value.isdigit():
        hint = "Send a whole number of milliseconds."
        raise InvalidRequestError("x-request-timeout-ms is no length of time", value=value.decode("latin-1"), hint=hint)
    return float(value[:12])


async def read_body(scope: Scope, receive: Receive, limit: int, timeout: float) -> bytes:
    """The whole body.

    Raises
    ------
    Refusal
        413 when it is larger than `limit`, before more than that is read; 408 when it is not here after `timeout`.
    ConnectionResetError
        When the client hangs up before it is complete.
    """
    body = whole_body(receive)
    if body is not None:
        if len(body) > limit:
            raise _too_large(len(body), limit)
        return body
    announced = header(scope, b"content-length")
    size = int(announced.lstrip(b"0")[:_MOST_DIGITS] or 0) if announced.isdigit() else 0
    if size > limit:
        raise _too_large(size, limit)
    try:
        async with asyncio.timeout(timeout):
            return await _pieces(receive, limit)
    except TimeoutError:
        hint = f"Send it within {timeout:g} seconds."
        raise Refusal(408, InvalidRequestError("the body did not arrive in time", hint=hint)) from None


async def _pieces(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(size, limit)
        if not message.get("more_body"):
            return b"".join(pieces)


def parse(body: bytes, expected: str = "Send a JSON object.") -> dict[str, Any]:
    """The JSON object of a body; anything else is an error that says where it is wrong, and what is `expected`."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        rest = error.doc[max(error.pos - 1, 0) : error.pos + 9]
        hint = next((hint for word, hint in _NOT_IN_JSON.items() if word in rest), expected)
        hint = "It is packed by gzip: send it as it is." if body[:2] == b"\x1f\x8b" else hint
        raise InvalidRequestError(f"the body is not JSON: {error}", hint=hint) from error
    if not isinstance(request, dict):
        raise InvalidRequestError("the body is not a JSON object", value=request, hint=expected)
    return request


def as_json(value: Any, status: int = 200) -> Response:
    """A response of JSON."""
    return Response(status, orjson.dumps(value, option=_DUMPS))


def as_error(error: TidemillError, status: int, path: str) -> Response:
    """A response that says what was wrong; in the Open Inference Protocol an error is a text."""
    if path.startswith("/v2"):
        return as_json({"error": str(error)}, status)
    return as_json({"error": {"type": type(error).__name__, "message": str(error)}}, status)


async def respond(send: Send, response: Response) -> None:
    """Send a response."""
    is_usual = not response.headers and response.status not in _RETRIED
    if is_usual and reply(send, response.status, response.type, response.body):
        return
    headers = [(b"content-type", response.type), (b"content-length", b"%d" % len(response.body)), *response.headers]
    if response.status in _RETRIED:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _too_large(size: int, limit: int) -> Refusal:
    error = InvalidRequestError(
        "the body is too large",
        value=f"{size} bytes",
        hint=f"Send at most {limit} bytes; split the rows over requests.",
    )
    return Refusal(413, error)
