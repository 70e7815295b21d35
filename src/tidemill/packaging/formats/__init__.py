"""Native model formats that are safe to read: one module per framework, found by name, none of them pickle.

In comes a fitted estimator, out come named bytes, and back. `FORMATS` is a static table, so that reading a LightGBM
model does not load scikit-learn.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.core.tasks import Task

#: Framework name -> module that reads and writes its native format.
FORMATS: Mapping[str, str] = {
    "catboost": "tidemill.integrations.catboost",
    "keras": "tidemill.integrations.keras",
    "lightgbm": "tidemill.packaging.formats.lightgbm_text",
    "members": "tidemill.packaging.formats.members",
    "own": "tidemill.packaging.formats.own_state",
    "pyspark": "tidemill.integrations.spark_model",
    "river": "tidemill.integrations.river_state",
    "sklearn": "tidemill.packaging.formats.sklearn_skops",
    "torch": "tidemill.integrations.torch_graph",
    "xgboost": "tidemill.integrations.xgboost",
}

#: Framework name -> module that writes ONNX; apart from the above, since a server reads models and writes none.
ONNX_WRITERS: Mapping[str, str] = {
    "catboost": "tidemill.integrations.catboost_onnx",
    "keras": "tidemill.integrations.keras_onnx",
    "lightgbm": "tidemill.packaging.formats.lightgbm_onnx",
    "members": "tidemill.packaging.formats.members_onnx",
    "own": "tidemill.packaging.formats.own_state",
    "pyspark": "tidemill.integrations.spark_onnx",
    "sklearn": "tidemill.packaging.formats.sklearn_onnx",
    "torch": "tidemill.integrations.torch_onnx",
    "xgboost": "tidemill.integrations.xgboost_onnx",
}


class NativeFormat(Protocol):
    """What a module of this folder has."""

    def save(self, estimator: Any) -> dict[str, bytes]:
        """File names and bytes; equal estimators give equal bytes."""
        ...

    def load(self, files: Mapping[str, bytes]) -> Any:
        """The estimator; raises `UnsafeModelError` for anything but the format."""
        ...

    def predict(self, estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
        """[n] values, scores or probabilities of the positive class, or [n, outputs], as the task has it."""
        ...


class OnnxWriter(Protocol):
    """What a module that writes ONNX has; one that begins with the native files also has a `from_files`."""

    def to_onnx(self, estimator: Any, features: int) -> bytes:
        """A model from ``rows`` [n, features] float32 to ``output``; `ModelError` if there is no exact form."""
        ...


def native_format(framework: str) -> NativeFormat:
    """The reader and writer of a framework's models."""
    if framework not in FORMATS:
        raise UnsafeModelError(
            "a model of an unknown framework cannot be written or read safely",
            value=framework,
            hint=f"Known frameworks: {', '.join(FORMATS)}. A class of your own needs get_state(), which gives plain "
            "values and arrays, and a class method from_state(state).",
        )
    return cast("NativeFormat", importlib.import_module(FORMATS[framework]))


def onnx_writer(framework: str) -> OnnxWriter:
    """The ONNX writer of a framework's models."""
    if framework not in ONNX_WRITERS:
        raise ModelError(f"models of {framework!r} have no ONNX form here", hint="They are served by their own engine.")
    return cast("OnnxWriter", importlib.import_module(ONNX_WRITERS[framework]))


def onnx_form(framework: str, estimator: Any, files: Mapping[str, bytes], features: int) -> bytes:
    """The ONNX form of a model whose native files have been written, which some writers begin with."""
    writer = onnx_writer(framework)
    from_files = getattr(writer, "from_files", None)
    if from_files is None:
        return writer.to_onnx(estimator, features)
    return cast("bytes", from_files(estimator, files, features))


def only_file(files: Mapping[str, bytes], name: str) -> bytes:
    """The bytes of the one native file; anything else beside it is refused."""
    if set(files) != {name}:
        raise UnsafeModelError(f"expected the native file {name!r}", value=sorted(files), hint="Package it again.")
    return files[name]


def of_each_class(scores: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """The probabilities of every class; a booster of two classes gives those of the second alone.

    >>> of_each_class(np.array([0.25]), "multiclass").tolist(), of_each_class(np.array([0.25]), "binary").tolist()
    ([[0.75, 0.25]], [0.25])
    """
    return np.column_stack([1.0 - scores, scores]) if task == "multiclass" and scores.ndim == 1 else scores


__all__ = [
    "FORMATS", "ONNX_WRITERS", "NativeFormat", "OnnxWriter", "native_format", "of_each_class", "only_file", "onnx_form",
    "onnx_writer",
]  # fmt: skip
