"""A body that is here already, and an answer that is whole, in one step each where ASGI has several.

ASGI receives a body through a coroutine, which needs a timer against slow clients, and sends the head of an answer
before its body: two system calls, two packets. Uvicorn's side of a request knows better, and `receive` and `send` are
methods of it. With another server, or another uvicorn than is known here, the steps of ASGI are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

#: What is used of uvicorn's side of a request; all of it is set when that is made.
_USED = frozenset({
    "access_log", "body", "default_headers", "disconnected", "flow", "keep_alive", "message_event",
    "more_body", "on_response", "response_complete", "response_started", "scope", "transport",
    "waiting_for_100_continue",
})  # fmt: skip
_IS_KNOWN = set(RequestResponseCycle.__init__.__code__.co_names) >= _USED


def whole_body(receive: Callable[..., Any]) -> bytes | None:
    """The body of a request, if all of it has come; else None, and nothing is taken."""
    exchange = _exchange(receive)
    if exchange is None or exchange.more_body or exchange.disconnected or exchange.waiting_for_100_continue:
        return None
    body = bytes(exchange.body)
    exchange.body = bytearray()
    exchange.message_event.clear()
    return body


def reply(send: Callable[..., Any], status: int, kind: bytes, body: bytes) -> bool:
    """Write a whole answer, if that takes no waiting and nothing but its usual headers; else write nothing."""
    exchange = _exchange(send)
    if (
        exchange is None
        or exchange.response_started
        or exchange.disconnected
        or exchange.waiting_for_100_continue
        or exchange.flow.write_paused
        or not exchange.keep_alive
        or exchange.access_log
        or exchange.scope["method"] == "HEAD"
    ):
        return False
    head = [STATUS_LINE[status]]
    for name, value in exchange.default_headers:
        head += name, b": ", value, b"\r\n"
    head += b"content-type: ", kind, b"\r\ncontent-length: ", b"%d" % len(body), b"\r\n\r\n", body
    exchange.response_started = True
    exchange.transport.write(b"".join(head))
    exchange.response_complete = True
    exchange.message_event.set()
    exchange.on_response()
    return True


def _exchange(method: Callable[..., Any]) -> Any:
    """Uvicorn's side of the request whose `receive` or `send` this is, where it is known how it works."""
    exchange = getattr(method, "__self__", None)
    return exchange if _IS_KNOWN and type(exchange) is RequestResponseCycle else None
