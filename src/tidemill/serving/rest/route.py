"""One route of the REST face."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tidemill.serving.rest.wire import Request, Response
from tidemill.serving.site import Site

Handler = Callable[[Site, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Parameters
    ----------
    method, path
        Such as ``GET`` and ``/v1/models/{name}/example``.
    handler
        Who answers.
    about
        One sentence for the OpenAPI document.
    is_probe
        Whether it is answered without a key, and however busy the server is.
    admin
        Whether it takes one of the admin keys, where there are any.
    public
        Whether it is answered without a key: it tells nothing of what is served.
    """

    method: str
    path: str
    handler: Handler
    about: str
    is_probe: bool = False
    admin: bool = False
    public: bool = False
