"""The REST face: a plain ASGI application, without frameworks or per-request models on its way.

A request to ``POST /v1/models/{name}/predict`` takes the short way, one look-up; everything else goes through the table
of `routes`, which is also what the OpenAPI document and the refusals of other methods are made from.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from tidemill.core.errors import InvalidRequestError, NotFoundError, OutOfSpaceError, StoreUnavailableError, UsageError
from tidemill.serving.gathering import TooLateError
from tidemill.serving.limits import TooManyRowsError
from tidemill.serving.metrics import under_way
from tidemill.serving.options import ServerOptions
from tidemill.serving.repository import Repository
from tidemill.serving.rest.keys import Keys
from tidemill.serving.rest.routes import ROUTES, find_route, find_template, sent_path
from tidemill.serving.rest.rows import predict
from tidemill.serving.rest.wire import Receive, Refusal, Request, Response, Scope, Send, as_error, header, respond
from tidemill.serving.site import Site

_BEFORE, _AFTER = "/v1/models/", "/predict"
_FAILED = b'{"error":{"type":"InternalError","message":"The server failed; its log says why."}}'
_PROBES = frozenset(route.path for route in ROUTES if route.is_probe)
_log = logging.getLogger("tidemill.serving")


class App:
    """An ASGI application that serves a repository's models.

    Parameters
    ----------
    repository
        The models.
    options
        Limits and keys.
    shared
        Whether other processes listen at the same ports.
    """

    def __init__(self, repository: Repository, options: ServerOptions | None = None, *, shared: bool = False) -> None:
        self.site = Site(repository, options or ServerOptions(), shared=shared)
        self._options = self.site.options
        self._keys = Keys(self._options.keys, self._options.admin_keys)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        self._under_way += 1
        try:
            answer = self._answer if self.site.tracer is None else self._traced
            response = await answer(scope, receive)
        except ConnectionResetError:
            return  # the client hung up: nobody is there to be answered
        finally:
            self._under_way -= 1
        await respond(send, response)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path = scope["path"]
        try:
            if scope["method"] == "POST" and path.startswith(_BEFORE) and path.endswith(_AFTER):
                endpoint = self.site.repository.endpoints.get(path[len(_BEFORE) : -len(_AFTER)])
                if endpoint is not None:
                    self._admit(scope)
                    return await predict(endpoint, scope, receive, self._options)
            return await self._by_table(scope, receive)
        except ConnectionResetError:
            raise
        except Refusal as refusal:
            return replace(as_error(refusal.error, refusal.status, path), headers=refusal.headers)
        except TooLateError:
            return as_error(InvalidRequestError("the time of this request was over before its turn came"), 504, path)
        except NotFoundError as error:
            return as_error(error, 404, path)
        except (InvalidRequestError, UsageError) as error:
            return as_error(error, 413 if isinstance(error, TooManyRowsError) else 400, path)
        except (OutOfSpaceError, StoreUnavailableError) as error:
            return as_error(error, 503, path)
        except Exception:
            _log.exception("a request to %s failed", path)
            return Response(500, _FAILED)

    async def _traced(self, scope: Scope, receive: Receive) -> Response:
        """Answer within a span, to which the record in the prediction log then belongs too."""
        if self.site.tracer is None or scope["path"] in _PROBES:
            return await self._answer(scope, receive)
        route = find_template(ROUTES, scope["method"], sent_path(scope))
        client = scope.get("client") or ("",)
        about = {"http.request.method": scope["method"], "url.path": scope["path"], "client.address": client[0]}
        brought = header(scope, b"traceparent").decode("latin-1")
        span = self.site.tracer.begin(f"{scope['method']} {route}".strip(), brought, about | {"http.route": route})
        headers = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
        status = 499  # the client hung up
        try:
            headers.append((b"traceparent", span.traceparent.encode()))
            response = await self._answer({**scope, "headers": headers}, receive)
            status = response.status
            return response
        finally:
            span.end(failed=status >= 500, attributes={"http.response.status_code": status})

    async def _by_table(self, scope: Scope, receive: Receive) -> Response:
        route, given = find_route(ROUTES, scope["method"], sent_path(scope))
        if not route.is_probe:
            self._admit(scope, admin=route.admin, public=route.public)
        limit = self._options.body_limit
        return await route.handler(self.site, Request(scope, receive, given, limit, self._options.timeout))

    def _admit(self, scope: Scope, *, admin: bool = False, public: bool = False) -> None:
        """Refuse who has no key, and everybody while too many requests are under way."""
        if not public:
            self._keys.check(scope, admin=admin)
        if self._under_way > self._options.requests:
            error = UsageError("too many requests are under way", value=self._options.requests, hint="Try again soon.")
            raise Refusal(503, error)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.site.ready = True
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.site.ready = False
                self.site.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def count(self) -> None:
        """Tell the metrics how many requests are under way."""
        under_way(self._under_way)
