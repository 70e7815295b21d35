"""``POST /v1/models/{name}/predict``: rows of JSON in, answers out; the hot path."""

from __future__ import annotations

import asyncio
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError
from tidemill.serving.endpoint import Answered, Endpoint, score
from tidemill.serving.explaining import explain_answer
from tidemill.serving.options import ServerOptions
from tidemill.serving.rest.wire import Receive, Request, Response, Scope, as_json, caller_of, parse, read_body
from tidemill.serving.site import Site


async def predict_named(site: Site, request: Request) -> Response:
    """As `predict`, of the model that the path names."""
    return await predict(site.endpoint(request.given["name"]), request.scope, request.receive, site.options)


async def predict(endpoint: Endpoint, scope: Scope, receive: Receive, options: ServerOptions) -> Response:
    """Answer ``{"rows": [{column: value, …}], "entities": […], "key": "…", "explain": true}``.

    The status is 200 when any row was answered, 422 when all were refused, 500 when the model could score none.
    """
    started = clock.elapsed()
    request = parse(await read_body(scope, receive, options.body_limit, options.timeout))
    rows = request.get("rows")
    if not isinstance(rows, list) or not rows:
        raise InvalidRequestError("the body has no rows", value=rows, hint='Send {"rows": [{"column": value, …}]}.')
    entities, key = request.get("entities"), request.get("key")
    if entities is not None and (not isinstance(entities, list) or len(entities) != len(rows)):
        raise InvalidRequestError("entities are not one for each row", value=entities, hint="Send a list.")
    if key is not None and not isinstance(key, str):
        raise InvalidRequestError("the key is no text", value=key, hint="Send a string, or none.")
    caller = caller_of(scope, options.timeout, key=key, entities=entities)
    answered = await score(endpoint, rows, caller)
    predictions = answered.answer.predictions
    if request.get("explain") is True:
        predictions = await asyncio.to_thread(explain_answer, answered.variant.predictor, answered.answer)
    response = _response(endpoint, answered, predictions)
    endpoint.meters(answered.variant).took("predict", response.status, clock.elapsed() - started)
    return response


def _response(endpoint: Endpoint, answered: Answered, predictions: list[dict[str, Any]]) -> Response:
    answer, rows = answered.answer, len(predictions)
    body: dict[str, Any] = {
        "model": endpoint.name,
        "version": answered.variant.predictor.version,
        "variant": answered.variant.name,
        "request_id": answered.request_id,
        "predictions": predictions,
    }
    if len(answer.problems) < rows:
        return as_json(body)
    body["error"] = {"type": "InvalidRequestError", "message": str(answer.problems[0].to_error())}
    return as_json(body, 500 if answer.failures == rows else 422)
