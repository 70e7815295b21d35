"""The OpenAPI 3.1 document: every route, with a path of its own for each model, and the statuses that can come.

A route that nothing is written about in `openapi_kinds` is described as far as its method and path tell.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tidemill.serving.endpoint import Endpoint
from tidemill.serving.rest.form.pages import assets
from tidemill.serving.rest.open_inference import versions_of
from tidemill.serving.rest.openapi_kinds import COMPONENTS, Kind, kind_of
from tidemill.serving.rest.openapi_rows import answer_schema, row_schema
from tidemill.serving.rest.route import Route
from tidemill.serving.site import Site

_REASONS = {
    200: "As asked.", 400: "The request is none.", 401: "No key was sent.", 403: "The key may not do that.",
    404: "There is nothing of this name.", 406: "Answers are not written so.", 408: "The body did not arrive in time.",
    413: "The body is too large.", 415: "This kind of body is not read.", 422: "No row could be answered.",
    500: "The server, or the model on every row, failed.", 503: "Not now: try again after Retry-After seconds.",
    504: "The time of the request was over before its turn came.",
}  # fmt: skip
_OF_BODIES = (400, 408, 413)
_PLACE = re.compile(r"\{(\w+)\}")
_MODEL_PATHS = ("/v1/models/{name}", "/v2/models/{name}", "/models/{name}")


def document(routes: Iterable[Route], site: Site) -> dict[str, Any]:
    """The document of a server, from its routes and the signatures of its models.

    Parameters
    ----------
    routes
        Every route of the REST face.
    site
        Whose models and keys they are about.
    """
    endpoints = list(site.repository.endpoints.values())
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path.startswith(_MODEL_PATHS):
            numbered = [one for one in endpoints if "{version}" not in route.path or versions_of(one)]
            for endpoint in numbered:
                path = route.path.replace("{name}", endpoint.name, 1)
                paths.setdefault(path, {})[route.method.lower()] = _operation(route, site, endpoint)
        else:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, site, None)
    schemas = {**COMPONENTS}
    for endpoint in endpoints:
        schemas |= _schemas(endpoint)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Tidemill", "version": importlib.metadata.version("tidemill")},
        "tags": [{"name": endpoint.name, "description": endpoint.title} for endpoint in endpoints],
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if _has_keys(site):
        described["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    return described


def component(endpoint: Endpoint) -> str:
    """What a model's schemas are called: its name, with other letters in hexadecimal."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", endpoint.name)


def _schemas(endpoint: Endpoint) -> dict[str, Any]:
    predictor, name = endpoint.predictor, component(endpoint)
    return {
        f"{name}.Row": row_schema(predictor.signature, predictor.policy, predictor.example()),
        f"{name}.Prediction": {
            "anyOf": [answer_schema(predictor.signature), {"$ref": "#/components/schemas/RefusedRow"}]
        },
    }


def _operation(route: Route, site: Site, endpoint: Endpoint | None) -> dict[str, Any]:
    kind = kind_of(route, "" if endpoint is None else component(endpoint))
    called = re.sub(r"\W+", "_", f"{route.method.lower()}_{route.path}").strip("_")
    operation: dict[str, Any] = {
        "summary": route.about,
        "operationId": called if endpoint is None else f"{called}.{component(endpoint)}",
        "responses": _responses(route, site, kind),
    }
    places = [name for name in _PLACE.findall(route.path) if endpoint is None or name != "name"]
    if places or kind.parameters:
        operation["parameters"] = [*(_place(name, endpoint) for name in places), *kind.parameters]
    if kind.body:
        content = {media: dict(about) for media, about in kind.body.items()}
        operation["requestBody"] = {"required": kind.body_required, "content": content}
    if _has_keys(site) and not (route.is_probe or route.public):
        operation["security"] = [{"bearer": []}, {"key": []}]
    if endpoint is not None:
        operation["tags"] = [endpoint.name]
    return operation


def _responses(route: Route, site: Site, kind: Kind) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_error_of(route)}"}}}
    statuses = {*kind.more_statuses, *((500, 503) if not route.is_probe else (500,))}
    if route.path.count("{"):
        statuses.add(404)
    if route.method == "POST":
        statuses.update(_OF_BODIES)
    if _has_keys(site) and not (route.is_probe or route.public):
        statuses.update((401, 403))
    told = dict.fromkeys(statuses, error) | {200: kind.answer} | dict(kind.other_answers)
    return {
        str(status): {"description": _REASONS[status], "content": content, **_headers(status, kind)}
        for status, content in sorted(told.items())
    }


def _headers(status: int, kind: Kind) -> Mapping[str, Any]:
    if status == 200 and kind.headers:
        return {"headers": dict(kind.headers)}
    if status == 503:
        return {"headers": {"Retry-After": {"schema": {"type": "integer"}}}}
    return {"headers": {"WWW-Authenticate": {"schema": {"type": "string"}}}} if status == 401 else {}


def _error_of(route: Route) -> str:
    return "ProtocolError" if route.path.startswith("/v2") else "Error"


def _place(name: str, endpoint: Endpoint | None) -> dict[str, Any]:
    known = {"file": assets(), "version": versions_of(endpoint) if endpoint is not None else ()}.get(name, ())
    schema = {"type": "string"} | ({"enum": list(known)} if known else {})
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _has_keys(site: Site) -> bool:
    return bool(site.options.keys or site.options.admin_keys)
