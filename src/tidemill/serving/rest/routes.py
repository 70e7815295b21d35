"""Every route of the REST face: what is asked, who answers, what people are told about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from tidemill.core.errors import InvalidRequestError, NotFoundError
from tidemill.serving.rest import batches, describing, labels, lookup, open_inference, probes, repository_api, rows
from tidemill.serving.rest.form import pages
from tidemill.serving.rest.openapi import document
from tidemill.serving.rest.route import Route
from tidemill.serving.rest.wire import Refusal, Request, Response, as_json
from tidemill.serving.site import Site


async def _openapi(site: Site, request: Request) -> Response:
    """What can be asked here, as a document of OpenAPI 3.1."""
    del request
    return as_json(document(ROUTES, site))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/live", probes.live, "Whether the process answers.", is_probe=True),
    Route("GET", "/ready", probes.ready, "Whether new requests should come here.", is_probe=True),
    Route("GET", "/startup", probes.ready, "Whether the models are open.", is_probe=True),
    Route("GET", "/metrics", probes.metrics, "Numbers in Prometheus' format.", is_probe=True),
    Route("GET", "/openapi.json", _openapi, "This document."),
    Route("GET", "/", pages.home, "A page with the models.", public=True),
    Route("GET", "/models/{name}", pages.page, "A form to try a model.", public=True),
    Route("GET", "/form/{file}", pages.asset, "What the pages are made of.", public=True),
    Route("GET", "/v1/models", describing.models, "The models that are served."),
    Route("GET", "/v1/models/{name}", describing.model, "A model's signature, contract and variants."),
    Route("GET", "/v1/models/{name}/example", describing.example, "A body that the model takes."),
    Route("GET", "/v1/models/{name}/predictions/{entity}", lookup.prediction, "What was predicted before, or is now."),
    Route("POST", "/v1/models/{name}/predict", rows.predict_named, "Predict rows."),
    Route("POST", "/v1/labels", labels.take, "Take labels: the truth about earlier answers."),
    Route("POST", "/v1/models/{name}/batch", batches.batch, "Predict the rows of a file."),
    *open_inference.ROUTES,
    *repository_api.ROUTES,
)


def sent_path(scope: Mapping[str, Any]) -> str:
    """The path of a request as it was sent: a slash in a name is ``%2F`` there, and one between names is ``/``."""
    sent: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if sent is None else sent.partition(b"?")[0].decode("latin-1")


def find_route(routes: Sequence[Route], method: str, sent: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and what stands at the places of its path, which is given as it was sent.

    Raises
    ------
    Refusal
        404 for a path that there is not, 405 for a method that the path does not take.

    Examples
    --------
    >>> route, given = find_route(ROUTES, "GET", "/v1/models/flight-delay/example")
    >>> route.path, given
    ('/v1/models/{name}/example', {'name': 'flight-delay'})
    >>> find_route(ROUTES, "GET", "/v1/models/flight-delay/predictions/50%25%2FN14228")[1]["entity"]
    '50%/N14228'
    """
    method = "GET" if method == "HEAD" else method  # the server leaves the body out
    asked = [unquote(name) for name in (sent.rstrip("/") or "/").split("/")]
    allowed: list[str] = []
    for route in routes:
        given = _match(route.path.split("/"), asked)
        if given is None:
            continue
        if route.method == method:
            return route, given
        allowed.append(route.method)
    if allowed:
        hint = f"Use {' or '.join(allowed)}."
        error = InvalidRequestError("this path does not take the method", value=method, hint=hint)
        raise Refusal(405, error, ((b"allow", ", ".join(allowed).encode()),))
    raise Refusal(
        404,
        NotFoundError("there is nothing at this path", value=unquote(sent), hint="See /v1/models and /openapi.json."),
    )


def find_template(routes: Sequence[Route], method: str, sent: str) -> str:
    """The route of a request as it is written, for traces; empty if there is none.

    >>> find_template(ROUTES, "POST", "/v1/models/flight-delay/predict")
    '/v1/models/{name}/predict'
    """
    try:
        return find_route(routes, method, sent)[0].path
    except Refusal:
        return ""


def _match(pattern: list[str], asked: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(asked):
        return None
    given: dict[str, str] = {}
    for wanted, found in zip(pattern, asked, strict=True):
        if wanted.startswith("{"):
            given[wanted[1:-1]] = found
        elif wanted != found:
            return None
    return given
