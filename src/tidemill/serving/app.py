"""The REST face: a plain ASGI application, without frameworks or per-request models on its way.

``POST /v1/models/{name}/predict`` takes ``{"rows": [{column: value, …}]}`` and gives
``{"model", "version", "request_id", "predictions": [{…}]}``; ``GET /v1/models``, ``/v1/models/{name}`` and
``/v1/models/{name}/example`` describe; ``/live`` and ``/ready`` probe; ``/v2`` speaks the Open Inference Protocol
(`open_inference`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import orjson

from tidemill.core.errors import InvalidRequestError, NotFoundError, OutOfSpaceError, TidemillError
from tidemill.serving import open_inference
from tidemill.serving.endpoint import Endpoint, score
from tidemill.serving.wire import Refusal, parse, read_body, respond

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Larger bodies are refused with 413 before they are read.
BODY_LIMIT = 32 << 20
_DUMPS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

_log = logging.getLogger("tidemill.serving")


class App:
    """An ASGI application that serves endpoints.

    Parameters
    ----------
    endpoints
        The models by name.
    body_limit
        Bytes of the largest body that is read.
    """

    def __init__(self, endpoints: Iterable[Endpoint], *, body_limit: int = BODY_LIMIT) -> None:
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self.ready = True
        self._limit = body_limit
        # The path of every prediction is known now: a request is routed by one look-up.
        self._predict = {f"/v1/models/{name}/predict": endpoint for name, endpoint in self.endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            endpoint = self._predict.get(scope["path"])
            if endpoint is not None and scope["method"] == "POST":
                status, body = await self._answer(endpoint, scope, receive)
            else:
                status, body = await self._route(scope, receive)
        except ConnectionResetError:
            return  # the client hung up: nobody is there to be answered
        except Refusal as refusal:
            status, body = refusal.status, _error(refusal.error)
        except InvalidRequestError as error:
            status, body = 400, _error(error)
        except OutOfSpaceError as error:
            status, body = 503, _error(error)
        except Exception:
            _log.exception("a request to %s failed", scope["path"])
            status, body = 500, b'{"error":{"type":"InternalError","message":"The server failed; its log says why."}}'
        await respond(send, status, body)

    async def _answer(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        request = parse(await read_body(scope, receive, self._limit))
        rows = request.get("rows")
        if not isinstance(rows, list) or not rows:
            raise InvalidRequestError(
                "the body has no rows", value=request.get("rows"), hint='Send {"rows": [{"column": value, …}]}.'
            )
        entities = request.get("entities")
        if entities is not None and (not isinstance(entities, list) or len(entities) != len(rows)):
            raise InvalidRequestError("entities are not one for each row", value=entities, hint="Send a list.")
        client = scope.get("client") or ("",)
        answered = await score(endpoint, rows, client=client[0], entities=entities)
        answer = answered.answer
        body: dict[str, Any] = {
            "model": endpoint.name,
            "version": endpoint.predictor.version,
            "request_id": answered.request_id,
            "predictions": answer.predictions,
        }
        if len(answer.problems) < len(rows):
            return 200, orjson.dumps(body, option=_DUMPS)
        first = answer.problems[0]
        body["error"] = {"type": "InvalidRequestError", "message": str(first.to_error())}
        return (500 if answer.failures == len(rows) else 422), orjson.dumps(body, option=_DUMPS)

    async def _route(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        path, method = scope["path"].rstrip("/") or "/", scope["method"]
        if path in ("/live", "/ready"):
            well = path == "/live" or self.ready
            return (200 if well else 503), orjson.dumps({path[1:]: well})
        parts = path.split("/")[1:]
        if parts[0] == "v2":
            return await open_inference.route(self.find, parts[1:], scope, receive, self._limit)
        if path == "/v1/models" and method == "GET":
            models = [summary(endpoint) for endpoint in self.endpoints.values()]
            return 200, orjson.dumps({"models": models})
        if parts[:2] == ["v1", "models"] and 3 <= len(parts) <= 4:
            return self._describe(parts[2], parts[3] if len(parts) == 4 else "", method)
        raise Refusal(404, NotFoundError("there is nothing at this path", value=path, hint="See GET /v1/models."))

    def _describe(self, name: str, what: str, method: str) -> tuple[int, bytes]:
        endpoint = self.find(name)
        if what not in ("", "example", "predict"):
            raise Refusal(404, NotFoundError(f"a model has no {what!r}", hint="It has predict and example."))
        if (method == "GET") == (what == "predict"):
            allowed = "POST" if what == "predict" else "GET"
            error = InvalidRequestError("this path does not take the method", value=method, hint=f"Use {allowed}.")
            raise Refusal(405, error)
        if what == "example":
            return 200, orjson.dumps({"rows": [endpoint.predictor.example()]}, option=_DUMPS)
        described = summary(endpoint) | {"signature": endpoint.predictor.signature.to_dict()}
        described["contract"] = _contract(endpoint.predictor.manifest.get("contract", {}))
        return 200, orjson.dumps(described, option=_DUMPS)

    def find(self, name: str) -> Endpoint:
        """The endpoint of a name; an unknown one is refused with 404."""
        if name not in self.endpoints:
            served = ", ".join(self.endpoints)
            raise Refusal(404, NotFoundError("no such model is served here", value=name, hint=f"Served: {served}."))
        return self.endpoints[name]

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.ready = False
                for endpoint in self.endpoints.values():
                    endpoint.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def summary(endpoint: Endpoint) -> dict[str, Any]:
    """What a list of models says about one."""
    predictor = endpoint.predictor
    return {
        "name": endpoint.name,
        "version": predictor.version,
        "alias": predictor.alias,
        "task": predictor.signature.task,
        "target": predictor.signature.target,
        "inputs": list(predictor.columns),
        "package": predictor.package_digest,
    }


def _contract(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What a contract asks of a request, for people: the rules with what breaking one means, and those not checked."""
    rules = {rule["rule"]: rule["severity"] for rule in contract.get("checks", ())}
    return {key: value for key, value in contract.items() if key != "checks"} | {"rules": rules} if contract else {}


def _error(error: TidemillError) -> bytes:
    return orjson.dumps({"error": {"type": type(error).__name__, "message": str(error)}})
