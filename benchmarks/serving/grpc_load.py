"""A load of one kind of gRPC request: ``grpc_load.py ADDRESS MODEL ROW SECONDS``; prints how many were answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np
import uvloop
from grpc import aio

from tidemill.serving.grpc.messages import SERVICE, message

_CHANNELS = 16


async def main(address: str, model: str, row: str, seconds: float) -> None:
    values = np.array([list(json.loads(Path(row).read_text()).values())], dtype=np.float32)
    request = message("ModelInferRequest")(model_name=model)
    request.inputs.add(name="rows", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    answered, until = 0, time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal answered
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with aio.insecure_channel(address, options=options) as channel:
            infer = channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                request_serializer=lambda asked: asked.SerializeToString(),
                response_deserializer=lambda raw: raw,
            )
            while time.perf_counter() < until:
                await infer(request)
                answered += 1

    await asyncio.gather(*(ask() for _ in range(_CHANNELS)))
    print(json.dumps({"answered": answered}))


uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
