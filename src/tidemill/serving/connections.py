"""HTTP connections that are not kept for clients who do not come to the point, or do not take their answer."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PatientConnection(HttpToolsProtocol):
    """A connection that ends when the head of a request, or the client's reading of an answer, takes too long.

    (A body that takes too long is the application's to refuse, since it can say so.)
    """

    #: Seconds.
    patience = 30.0
    #: Seconds that a connection is still kept for one request when the server drains.
    farewell = 1.0

    def connection_made(self, transport: Any) -> None:
        """The event loop calls it."""
        super().connection_made(transport)
        self._is_asking = True
        self._head: asyncio.TimerHandle | None = self.loop.call_later(self.patience, self._give_up)
        self._answer: asyncio.TimerHandle | None = None
        self._has_begun = self._is_leaving = False
        self._leave: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        """The parser calls it."""
        self._is_asking = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The parser calls it."""
        self._is_asking = self._has_begun = False
        if self._head is not None:
            self._head.cancel()
            self._head = None
        super().on_headers_complete()
        if self._is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """The event loop calls it."""
        super().data_received(data)
        self._has_begun = self._is_asking
        if self._is_asking and self._head is None:  # of a later request there is a part of its head
            self._head = self.loop.call_later(self.patience, self._give_up)

    def pause_writing(self) -> None:
        """The event loop calls it when the client does not keep up."""
        super().pause_writing()
        self._answer = self.loop.call_later(self.patience, self._give_up)

    def resume_writing(self) -> None:
        """The event loop calls it when the client has caught up."""
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()

    def shutdown(self) -> None:
        """The server calls it when it drains: a request that is on its way is still answered, with word to go."""
        self._is_leaving = True
        if self._is_idle:
            self._leave = self.loop.call_later(self.farewell, self._go)
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop calls it."""
        for timer in (self._head, self._answer, self._leave):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _go(self) -> None:
        if self._is_idle and not self._has_begun:
            self.transport.close()

    def _give_up(self) -> None:
        self.transport.abort()  # to close it would wait for the client to read


def with_patience(seconds: float, farewell: float) -> type[PatientConnection]:
    """Connections that wait for so long, and so long for a last request."""
    return type("Connection", (PatientConnection,), {"patience": seconds, "farewell": farewell})
