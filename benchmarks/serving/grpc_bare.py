"""The floor of gRPC: a bare handler of the Open Inference Protocol that checks nothing: ``grpc_bare.py MODEL PORT``."""

from __future__ import annotations

import sys
from typing import Any

import grpc
import numpy as np
import onnxruntime
import uvloop
from grpc import aio

from tidemill.serving.grpc.messages import SERVICE, message

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
source, wanted = session.get_inputs()[0].name, [session.get_outputs()[0].name]
Request, Response = message("ModelInferRequest"), message("ModelInferResponse")


async def infer(request: Any, context: Any) -> Any:
    del context
    tensor = request.inputs[0]
    matrix = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tuple(tensor.shape))
    scores = session.run(wanted, {source: matrix})[0]
    response = Response(model_name=request.model_name)
    response.outputs.add(name="probability", datatype="FP32", shape=scores.shape)
    response.raw_output_contents.append(scores.tobytes())
    return response


async def main() -> None:
    server = aio.server()
    handler = grpc.unary_unary_rpc_method_handler(infer, Request.FromString, Response.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": handler}),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
    await server.start()
    await server.wait_for_termination()


uvloop.run(main())
