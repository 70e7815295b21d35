"""The sockets of a server: had alone, or shared by the workers of one server."""

from __future__ import annotations

import errno
import socket

from tidemill.core.errors import UsageError

#: Connections that may wait to be accepted.
BACKLOG = 2048


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; `shared` with others of this user at the same port.

    Raises
    ------
    UsageError
        When it cannot be had.
    """
    listening = _bound(host, port, shared=shared)
    try:
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _taken(host, port, error) from error
    listening.set_inheritable(True)
    return listening


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds a port for workers without listening at it; nobody else may have it before.

    Raises
    ------
    UsageError
        When somebody has.
    """
    with listen(host, port) as alone:  # a shared port could be another server's of this user, unnoticed
        port = alone.getsockname()[1]
    return _bound(host, port, shared=True)


def shown_host(host: str) -> str:
    """A host as addresses have it.

    >>> shown_host("::1"), shown_host("127.0.0.1")
    ('[::1]', '127.0.0.1')
    """
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio turns Nagle's algorithm off: it would hold each answer back for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _taken(host, port, error) from error
    return bound


def _taken(host: str, port: int, error: Exception) -> UsageError:
    hint = "Choose another port, or 0 for a free one."
    if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL):
        hint = "Give an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all that it has."
    return UsageError(f"cannot listen there: {error}", value=f"{shown_host(host)}:{port}", hint=hint)
