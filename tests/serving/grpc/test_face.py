"""What a client of gRPC gets when there is no answer must reach it, and whoever traces its call must see it end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import grpc
import polars as pl
import pytest
from grpc import aio
from lightgbm import LGBMClassifier

import tidemill as tm
from tidemill.packaging.package import Package
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.grpc.face import GrpcFace
from tidemill.serving.grpc.messages import SERVICE, message
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.site import Site
from tidemill.serving.variants import Traffic, variant_of

Infer = Callable[[dict[str, Any], float], Awaitable[Any]]


def with_face(endpoint: Endpoint, ask: Callable[[Infer], Awaitable[None]], **options: Any) -> None:
    """Serve a model over gRPC while somebody asks it."""

    async def serve() -> None:
        settings = ServerOptions(grpc_port=0)
        face = GrpcFace(Site(Repository.of(endpoint), settings, **options), settings)
        address = (await face.start()).partition("grpc://")[2]
        try:
            async with aio.insecure_channel(address) as channel:
                call = channel.unary_unary(
                    f"/{SERVICE}/ModelInfer",
                    request_serializer=lambda request: request.SerializeToString(),
                    response_deserializer=message("ModelInferResponse").FromString,
                )
                await ask(lambda row, timeout: call(_request(endpoint.name, row), timeout=timeout))
        finally:
            await face.stop()

    asyncio.run(serve())


def _request(model: str, row: dict[str, Any]) -> Any:
    kinds = {str: ("BYTES", "bytes_contents"), bool: ("BOOL", "bool_contents")}
    request = message("ModelInferRequest")(model_name=model)
    for name, value in row.items():
        kind, field = kinds.get(type(value), ("FP64", "fp64_contents"))
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
    endpoint = Endpoint.of(Predictor(tm.package(model, data.test)), None)

    async def ask(infer: Infer) -> None:
        try:
            await infer(dict.fromkeys(goods, 3.5), 60)
        except grpc.RpcError as error:
            told.append((error.code(), error.details()))

    told: list[Any] = []
    with_face(endpoint, ask)
    ((code, said),) = told
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert said.startswith("row 0: column 'товар 0' takes text; column 'товар 1' takes text;")
    assert said.endswith("…")
    assert 3 * len(said.encode()) > 4000


class Spans:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: asyncio.Queue[tuple[bool, int]] = asyncio.Queue()
        self.traceparent = f"00-{'a' * 32}-{'b' * 16}-01"

    def begin(self, name: str, traceparent: str, attributes: Mapping[str, Any]) -> Spans:
        return self

    def end(self, *, failed: bool, attributes: Mapping[str, Any]) -> None:
        self.ended.put_nowait((failed, attributes["rpc.grpc.status_code"]))

    def close(self) -> None:
        """Nothing is left to send."""


class Holding(Predictor):
    """A model that answers when it is let."""

    asked, free = threading.Event(), threading.Event()

    def answer(self, rows: Any) -> Any:
        self.asked.set()
        assert self.free.wait(60)
        return super().answer(rows)


def test_the_span_of_a_call_that_is_given_up_ends(packaged: Package) -> None:
    """Calls that took too long for their clients are those that one looks for in a trace."""
    Holding.free.set()
    predictor, spans = Holding(packaged), Spans()
    slow = replace(variant_of(predictor), slow=True)
    row = {**predictor.example(), "sched_dep": "2013-07-01T17:00:00Z"}

    async def ask(infer: Infer) -> None:
        Holding.free.clear()
        Holding.asked.clear()
        call = asyncio.ensure_future(infer(row, 3600))
        assert await asyncio.to_thread(Holding.asked.wait, 60)
        call.cancel()
        assert await asyncio.wait_for(spans.ended.get(), 60) == (True, 1)
        with pytest.raises(grpc.RpcError) as late:
            await infer(row, 0.2)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert await asyncio.wait_for(spans.ended.get(), 60) == (True, 1)
        Holding.free.set()
        await infer(row, 60)
        assert spans.ended.get_nowait() == (False, 0)

    with_face(Endpoint("flight-delay", Traffic((slow,)), None), ask, tracer=spans)
