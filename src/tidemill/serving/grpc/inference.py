"""Answers of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

from tidemill.core import clock
from tidemill.serving.endpoint import Caller, score
from tidemill.serving.grpc.messages import message
from tidemill.serving.grpc.tensor_messages import response_to, rows_in
from tidemill.serving.rest.open_inference import EXTENSIONS, VERSION, metadata, refusal_of, require_version
from tidemill.serving.rest.repository_api import entries, load_model
from tidemill.serving.site import Site
from tidemill.serving.tensors import chosen, warnings_of


async def server_live(site: Site, request: Any, caller: Caller) -> Any:
    """Whether the server answers."""
    del site, request, caller
    return message("ServerLiveResponse")(live=True)


async def server_ready(site: Site, request: Any, caller: Caller) -> Any:
    """Whether the server takes requests."""
    del request, caller
    return message("ServerReadyResponse")(ready=site.ready)


async def model_ready(site: Site, request: Any, caller: Caller) -> Any:
    """Whether a model answers."""
    del caller
    require_version(site.endpoint(request.name), request.version)
    return message("ModelReadyResponse")(ready=True)


async def server_metadata(site: Site, request: Any, caller: Caller) -> Any:
    """Name, version and extensions of the server."""
    del site, request, caller
    return message("ServerMetadataResponse")(name="tidemill", version=VERSION, extensions=EXTENSIONS)


async def model_metadata(site: Site, request: Any, caller: Caller) -> Any:
    """Name, versions and tensors of a model."""
    del caller
    endpoint = site.endpoint(request.name)
    require_version(endpoint, request.version)
    told = metadata(endpoint)
    for tensor in (*told["inputs"], *told["outputs"]):
        tensor.pop("parameters", None)
    return message("ModelMetadataResponse")(**told)


async def model_infer(site: Site, request: Any, caller: Caller) -> Any:
    """Predict rows that come as tensors."""
    started = clock.elapsed()
    endpoint = site.endpoint(request.model_name)
    if request.model_version:
        require_version(endpoint, request.model_version)
    described, wanted = endpoint.predictor, list[str]()
    if request.outputs:
        wanted = [output.name for output in request.outputs]
        chosen(described.outputs, wanted)  # before a row is scored
    if request.parameters:
        caller = caller._replace(key=_key(request))
    answered = await score(endpoint, rows_in(request, described.columns), caller)
    meters = endpoint.meters(answered.variant)
    if answered.answer.problems and (refusal := refusal_of(answered)) is not None:
        meters.took("grpc", refusal.status, clock.elapsed() - started)
        raise refusal
    predictor = answered.variant.predictor
    outputs = chosen(predictor.outputs, wanted)
    predictions = answered.answer.predictions
    warnings = warnings_of(predictions, predictor.signature.target)
    response = response_to(request, answered.request_id, predictor.version, outputs, predictions, warnings)
    meters.took("grpc", 200, clock.elapsed() - started)
    return response


async def repository_index(site: Site, request: Any, caller: Caller) -> Any:
    """Every model with its versions and their states."""
    del caller
    return message("RepositoryIndexResponse")(models=entries(site.repository, only_ready=request.ready))


async def repository_load(site: Site, request: Any, caller: Caller) -> Any:
    """Serve a registered model's champion, or look at once whether its aliases have moved."""
    del caller
    await load_model(site.repository, request.model_name)
    return message("RepositoryModelLoadResponse")()


async def repository_unload(site: Site, request: Any, caller: Caller) -> Any:
    """Serve a model no longer."""
    del caller
    await asyncio.to_thread(site.repository.unload, request.model_name)
    return message("RepositoryModelUnloadResponse")()


def _key(request: Any) -> str | None:
    """What the choice of a variant sticks to: the parameter ``key``, if the request has any."""
    parameters = request.parameters
    return parameters["key"].string_param or None if "key" in parameters else None


#: Method, who answers, whether it takes an admin key.
METHODS = (
    ("ServerLive", server_live, False),
    ("ServerReady", server_ready, False),
    ("ModelReady", model_ready, False),
    ("ServerMetadata", server_metadata, False),
    ("ModelMetadata", model_metadata, False),
    ("ModelInfer", model_infer, False),
    ("RepositoryIndex", repository_index, False),
    ("RepositoryModelLoad", repository_load, True),
    ("RepositoryModelUnload", repository_unload, True),
)
