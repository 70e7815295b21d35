"""The floor: a bare ASGI application with orjson and ONNX Runtime, that checks nothing and writes nothing down."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
source = session.get_inputs()[0].name
wanted = [session.get_outputs()[-1].name]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    rows = orjson.loads((await receive())["body"])["rows"]
    matrix = np.array([list(row.values()) for row in rows], dtype=np.float32)
    scores = session.run(wanted, {source: matrix})[0]
    body = orjson.dumps({"predictions": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False, lifespan="off")
