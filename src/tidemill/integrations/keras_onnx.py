"""Keras models as ONNX, by the exporter of Keras."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tidemill.core.errors import ModelError


def to_onnx(estimator: Any, features: int) -> bytes:
    """A model from ``rows`` [n, features] float32 to ``output`` [n, outputs]; `ModelError` if there is none."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracers and converters about their own parts
        path = Path(folder) / "model.onnx"
        try:
            estimator(np.zeros((1, features), dtype=np.float32))  # one that was read has no trace of a call yet
            estimator.export(path, format="onnx", verbose=False)
        except Exception as error:  # what backends raise shares no base but Exception
            said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(
                f"Keras cannot write the model as ONNX: {said}", hint="It is served by its native engine."
            ) from error
        model = onnx.load(path)
    graph = model.graph
    entry, answer = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        node.input[:] = ["rows" if name == entry else name for name in node.input]
    graph.input[0].name = "rows"
    graph.node.append(helper.make_node("Identity", [answer], ["output"]))
    graph.output[0].name = "output"
    graph.name = "tidemill"
    del model.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))
