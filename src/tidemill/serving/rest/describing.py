"""What is served here: names, versions, signatures, examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tidemill.serving.endpoint import Endpoint
from tidemill.serving.rest.wire import Request, Response, as_json
from tidemill.serving.site import Site


async def models(site: Site, request: Request) -> Response:
    """A list of the models."""
    del request
    return as_json({"models": [summary(endpoint) for endpoint in site.repository.endpoints.values()]})


async def model(site: Site, request: Request) -> Response:
    """One model: its signature, what its contract asks, what unusual rows meet, and the variants behind its name."""
    endpoint = site.endpoint(request.given["name"])
    described = summary(endpoint) | {"signature": endpoint.predictor.signature.to_dict()}
    described["policy"] = asdict(endpoint.predictor.policy)
    described["contract"] = _contract(endpoint.predictor.manifest.get("contract", {}))
    index = {entry["name"]: entry["variants"] for entry in site.repository.index()}
    described["variants"] = index.get(endpoint.name, [])
    return as_json(described)


async def example(site: Site, request: Request) -> Response:
    """A body that the model takes."""
    return as_json({"rows": [site.endpoint(request.given["name"]).predictor.example()]})


def summary(endpoint: Endpoint) -> dict[str, Any]:
    """What a list of models says about one."""
    predictor = endpoint.predictor
    return {
        "name": endpoint.name,
        "title": endpoint.title,
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
