"""PyTorch models as ONNX, by PyTorch's own exporter."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch

from tidemill.core.errors import MissingExtraError, ModelError

try:
    import onnxscript  # noqa: F401  what PyTorch's exporter stands on
except ImportError as error:
    raise MissingExtraError("onnxscript", "torch", purpose="the ONNX form of a PyTorch model") from error

_OPSET = 18


def to_onnx(estimator: Any, features: int) -> bytes:
    """A model from ``rows`` [n, features] float32 to ``output`` [n, outputs]; `ModelError` if there is none."""
    rows = {"rows": {0: torch.export.Dim.DYNAMIC}}
    log, level = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own future
            program = torch.onnx.export(
                estimator.eval(),
                (torch.zeros(3, features),),
                input_names=["rows"],
                output_names=["output"],
                opset_version=_OPSET,
                dynamic_shapes=rows,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # what the exporter raises shares no base but Exception
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"PyTorch cannot write the module as ONNX: {said}", hint="It is served by its native engine."
        ) from error
    finally:
        log.setLevel(level)
    model = program.model_proto
    model.graph.name = "tidemill"
    del model.metadata_props[:]
    for node in model.graph.node:  # the stack at the time, with paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    return bytes(model.SerializeToString(deterministic=True))
