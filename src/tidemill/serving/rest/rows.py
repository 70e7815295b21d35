"""``POST /v1/models/{name}/predict``: rows of JSON in, answers out; the hot path."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError
from tidemill.packaging.ordered import Ordered
from tidemill.project.settings import nearest
from tidemill.serving.endpoint import Answered, Caller, Endpoint, score
from tidemill.serving.explaining import explain_answer, require_few_explained
from tidemill.serving.limits import require_few
from tidemill.serving.options import ServerOptions
from tidemill.serving.rest.reading import read_rows
from tidemill.serving.rest.wire import Receive, Request, Response, Scope, as_json, caller_of, parse, read_body
from tidemill.serving.site import Site
from tidemill.serving.variants import Variant

_EXPECTED = 'Send {"rows": [{"column": value, …}]}.'
#: Bodies with more bytes are read, and their rows answered, in a thread: in one, for what is read there is near there.
_LARGE_BODY = 1 << 16
#: What a body may say.
_KEYS = frozenset({"rows", "entities", "key", "explain"})


async def predict_named(site: Site, request: Request) -> Response:
    """As `predict`, of the model that the path names."""
    return await predict(site.endpoint(request.given["name"]), request.scope, request.receive, site.options)


async def predict(endpoint: Endpoint, scope: Scope, receive: Receive, options: ServerOptions) -> Response:
    """Answer ``{"rows": [{column: value, …}], "entities": […], "key": "…", "explain": true}``.

    The status is 200 when any row was answered, 422 when all were refused, 500 when the model could score none.
    """
    started = clock.elapsed()
    body = await read_body(scope, receive, options.body_limit, options.timeout)
    if len(body) > _LARGE_BODY:
        variant, response = await asyncio.to_thread(_predicted, endpoint, scope, body, options, clock.elapsed())
        if endpoint.durable:
            await endpoint.settled()
    else:
        rows, caller, explain = _asked(parse(body, _EXPECTED), scope, options)
        answered = await score(endpoint, rows, caller)
        variant, predictions = answered.variant, answered.answer.predictions
        if explain:
            predictions = await asyncio.to_thread(explain_answer, variant.predictor, answered.answer)
        response = _response(endpoint, answered, predictions)
    endpoint.meters(variant).took("predict", response.status, clock.elapsed() - started)
    return response


def _predicted(
    endpoint: Endpoint, scope: Scope, body: bytes, options: ServerOptions, arrived: float
) -> tuple[Variant, Response]:
    """What is answered to a body, all of it in this thread; logged, and not yet as safe as was asked for."""
    traffic = endpoint.traffic
    live = traffic.live
    # Another variant may have other columns, and features are looked up that were not sent: there null is not absent.
    alone = live[0] if len(live) == 1 and not traffic.shadows and live[0].predictor.features is None else None
    inputs = live[0].predictor.signature.inputs
    request = read_rows(inputs, body, lacking=alone is not None) or parse(body, _EXPECTED)
    rows, caller, explain = _asked(request, scope, options, arrived)
    answered = endpoint.answer(rows, caller, alone)  # whoever takes over meanwhile answers the next
    predictions = answered.answer.predictions
    if explain:
        predictions = explain_answer(answered.variant.predictor, answered.answer)
    return answered.variant, _response(endpoint, answered, predictions)


def _asked(
    request: dict[str, Any], scope: Scope, options: ServerOptions, arrived: float | None = None
) -> tuple[Sequence[Any], Caller, bool]:
    """The rows of a body, who asks, and whether to explain."""
    rows, entities, key = request.get("rows"), request.get("entities"), request.get("key")
    if not isinstance(rows, list | Ordered) or not rows:
        shown = [] if isinstance(rows, Ordered) else rows
        raise InvalidRequestError("the body has no rows", value=shown, hint=_EXPECTED)
    require_few(len(rows))
    if not request.keys() <= _KEYS:  # a misspelt entity would be lost to its labels and to its erasure
        unknown = next(name for name in request if name not in _KEYS)
        raise InvalidRequestError("the body has an unknown key", value=unknown, hint=nearest(unknown, sorted(_KEYS)))
    if entities is not None:
        _check_entities(entities, len(rows))
    if key is not None and not isinstance(key, str):
        raise InvalidRequestError("the key is no text", value=key, hint="Send a string, or none.")
    explain = request.get("explain", False)
    if not isinstance(explain, bool):
        hint = "Send true, or leave it out."
        raise InvalidRequestError("explain is neither true nor false", value=explain, hint=hint)
    if explain:  # what is refused is neither scored nor logged
        require_few_explained(len(rows))
    return rows, caller_of(scope, options.timeout, key=key, entities=entities, arrived=arrived), explain


def _check_entities(entities: Any, rows: int) -> None:
    """Refuse what is no list of keys: no label and no erasure would find such an entity again."""
    if not isinstance(entities, list) or len(entities) != rows:
        raise InvalidRequestError("entities are not one for each row", value=entities, hint="Send a list.")
    for entity in entities:
        if entity is not None and (not isinstance(entity, str | int) or isinstance(entity, bool)):
            hint = "Send a text or a whole number for each row, or null."
            raise InvalidRequestError("an entity is neither text nor whole number", value=entity, hint=hint)


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
