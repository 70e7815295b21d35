"""Bodies in and out of an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from tidemill.core.errors import InvalidRequestError, TidemillError


class Refusal(Exception):
    """A request that is answered with a status of its own: a decision about it, not an error of the tree."""

    def __init__(self, status: int, error: TidemillError) -> None:
        self.status, self.error = status, error
        super().__init__(status, error)


async def read_body(scope: Mapping[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], limit: int) -> bytes:
    """The whole body.

    Raises
    ------
    Refusal
        413 when it is larger than `limit`, before more than that is read.
    ConnectionResetError
        When the client hangs up before it is complete.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit:
        return body
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(int(announced), limit)
    pieces, size = [body], len(body)
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(size, limit)
    if message["type"] == "http.disconnect":
        raise ConnectionResetError
    if size > limit:
        raise _too_large(size, limit)
    return b"".join(pieces)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; anything else is an error that says where it is wrong."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}", hint="Send an object with rows.") from error
    if not isinstance(request, dict):
        raise InvalidRequestError("the body is not a JSON object", value=request, hint='Send {"rows": [{…}]}.')
    return request


async def respond(send: Callable[[dict[str, Any]], Awaitable[None]], status: int, body: bytes) -> None:
    """Send a JSON response."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status >= 500:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large(size: int, limit: int) -> Refusal:
    error = InvalidRequestError(
        "the body is too large",
        value=f"{size} bytes",
        hint=f"Send at most {limit} bytes; split the rows over requests.",
    )
    return Refusal(413, error)
