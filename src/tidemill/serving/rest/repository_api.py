"""The model repository extension of the Open Inference Protocol: what is served, load, unload."""

from __future__ import annotations

import asyncio
from typing import Any

from tidemill.core.errors import ConfigError, CorruptArtifactError, InvalidRequestError, ModelError
from tidemill.serving.repository import Repository
from tidemill.serving.rest.route import Route
from tidemill.serving.rest.wire import Refusal, Request, Response, as_json, parse
from tidemill.serving.site import Site


async def index(site: Site, request: Request) -> Response:
    """Every model with its versions and their states; with ``{"ready": true}`` only those that answer."""
    body = await request.body()
    only_ready = (parse(body) if body else {}).get("ready", False)
    if not isinstance(only_ready, bool):
        raise InvalidRequestError("ready takes true or false", value=only_ready)
    return as_json(entries(site.repository, only_ready=only_ready))


async def load(site: Site, request: Request) -> Response:
    """Serve a registered model's champion, or look at once whether its aliases have moved."""
    await request.body()
    await load_model(site.repository, request.given["name"])
    return as_json({})


async def unload(site: Site, request: Request) -> Response:
    """Serve a model no longer."""
    await request.body()
    await asyncio.to_thread(site.repository.unload, request.given["name"])
    return as_json({})


async def load_model(repository: Repository, name: str) -> None:
    """Load a model, as its version is in the registry.

    Raises
    ------
    Refusal
        When the registry has a version that cannot be opened, or not with these settings: whoever asked did nothing
        wrong, nor does the server.
    """
    try:
        await asyncio.to_thread(repository.load, name)
    except (ConfigError, CorruptArtifactError, ModelError) as error:
        raise Refusal(409, error) from error


def entries(repository: Repository, *, only_ready: bool = False) -> list[dict[str, Any]]:
    """The index as the protocol has it: one entry for each version."""
    return [
        {
            "name": model["name"],
            "version": "" if one["version"] is None else str(one["version"]),
            "state": one["state"],
            "reason": one["reason"],
        }
        for model in repository.index()
        for one in model["variants"]
        if one["state"] == "READY" or not only_ready
    ]


ROUTES = (
    Route("POST", "/v2/repository/index", index, "Every model with its state."),
    Route("POST", "/v2/repository/models/{name}/load", load, "Serve a model, or follow its aliases now.", admin=True),
    Route("POST", "/v2/repository/models/{name}/unload", unload, "Serve a model no longer.", admin=True),
)
