"""Probes and metrics: what the system around a server asks."""

from __future__ import annotations

from tidemill.serving.metrics import CONTENT_TYPE, exposition
from tidemill.serving.rest.wire import Request, Response, as_json
from tidemill.serving.site import Site


async def live(site: Site, request: Request) -> Response:
    """Answer: that is all there is to it."""
    del site, request
    return as_json({"live": True})


async def ready(site: Site, request: Request) -> Response:
    """200 while new requests should come here, else 503."""
    del request
    return as_json({"ready": site.ready}, 200 if site.ready else 503)


async def metrics(site: Site, request: Request) -> Response:
    """The numbers of all workers together."""
    del site, request
    return Response(200, exposition(), CONTENT_TYPE.encode())
