"""What a client of gRPC gets when there is no answer must reach it, and whoever traces its call must see it end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import polars as pl
from grpc import aio
from lightgbm import LGBMClassifier

import tidemill as tm
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.grpc.face import GrpcFace
from tidemill.serving.grpc.messages import SERVICE, message
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.site import Site

Infer = Callable[[dict[str, Any], float], Awaitable[Any]]


def with_face(predictor: Predictor, ask: Callable[[Infer], Awaitable[None]], **options: Any) -> None:
    """Serve a model over gRPC while somebody asks it."""

    async def serve() -> None:
        settings = ServerOptions(grpc_port=0)
        face = GrpcFace(Site(Repository.of(Endpoint.of(predictor, None)), settings, **options), settings)
        address = (await face.start()).partition("grpc://")[2]
        try:
            async with aio.insecure_channel(address) as channel:
                call = channel.unary_unary(
                    f"/{SERVICE}/ModelInfer",
                    request_serializer=lambda request: request.SerializeToString(),
                    response_deserializer=message("ModelInferResponse").FromString,
                )
                await ask(lambda row, timeout: call(_request(predictor.model, row), timeout=timeout))
        finally:
            await face.stop()

    asyncio.run(serve())


def _request(model: str, row: dict[str, Any]) -> Any:
    request = message("ModelInferRequest")(model_name=model)
    for name, value in row.items():
        kind, field = ("BYTES", "bytes_contents") if isinstance(value, str) else ("FP64", "fp64_contents")
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, field).append(value.encode() if isinstance(value, str) else value)
    return request


def test_what_is_wrong_with_a_row_reaches_the_client_however_much_it_is() -> None:
    """A client gives up on more than 16 KB of metadata, and each letter of Cyrillic takes six bytes of them."""
    goods = {f"товар {k}": [f"Грузовой автомобиль особого назначения № {c}-{k}" for c in range(14)] for k in range(10)}
    table = pl.DataFrame({name: values * 20 for name, values in goods.items()}).with_row_index("n")
    table = table.with_columns(late=pl.col("n") % 3 == 0)
    data = tm.split(table, tm.by_share(), "late", features=list(goods))
    model = tm.train(lambda params: LGBMClassifier(n_jobs=1, verbose=-1), {}, data, name="goods", baselines=False)
    predictor = Predictor(tm.package(model, data.test))

    async def ask(infer: Infer) -> None:
        try:
            await infer(dict.fromkeys(goods, 3.5), 60)
        except grpc.RpcError as error:
            told.append((error.code(), error.details()))

    told: list[Any] = []
    with_face(predictor, ask)
    ((code, said),) = told
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert said.startswith("row 0: column 'товар 0' takes text; column 'товар 1' takes text;")
    assert said.endswith("…")
    assert 3 * len(said.encode()) > 4000
