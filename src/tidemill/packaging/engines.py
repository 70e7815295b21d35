"""The two ways to score an encoded matrix: ONNX Runtime on one thread, or the native library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.packaging.formats import native_format
from tidemill.packaging.formats.own_state import allowing
from tidemill.packaging.package import ONNX_FILE, Package
from tidemill.training.calibration import apply_calibration

EngineName = Literal["onnx", "native"]

#: Scores a float32 matrix [n, features]: [n] values, scores or probabilities of the positive class, or [n, outputs].
Engine = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]


def open_engine(package: Package, engine: EngineName, allow: Sequence[str] = ()) -> Engine:
    """One of a package's engines, ready to score; only the libraries that it needs are loaded.

    A class of the user's own is made only if it is in `allow`, as ``"module:Class"``, or loaded already.

    Raises
    ------
    ModelError
        When the package has no ONNX file.
    UnsafeModelError
        When a file is not of the format that it claims.
    """
    task: Task = package.signature.task
    if engine == "native":
        files = {name: data for name, data in package.files.items() if name != ONNX_FILE}
        native = native_format(package.framework)
        with allowing(allow):
            estimator, calibration = native.load(files), package.calibration
        if not calibration:
            return lambda matrix: native.predict(estimator, matrix, task)
        return lambda matrix: apply_calibration(native.predict(estimator, matrix, task), calibration)
    if ONNX_FILE not in package.files:
        raise ModelError(
            f"the package of {package.name!r} has no ONNX file", hint="Package it with formats including 'onnx'."
        )
    return onnx_engine(package.files[ONNX_FILE], task)


def onnx_engine(data: bytes, task: Task) -> Engine:
    """Score with an ONNX model from ``rows`` to ``output``.

    One intra-op thread: for a single row, handing work to a second costs two to three times the work itself.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise UnsafeModelError(f"{ONNX_FILE} cannot be opened: {error}", hint="Package the model again.") from error
    taken = [(one.name, one.type) for one in session.get_inputs()]
    if taken != [("rows", "tensor(float)")] or [one.name for one in session.get_outputs()][:1] != ["output"]:
        raise UnsafeModelError(
            f"{ONNX_FILE} takes {taken} and gives {[one.name for one in session.get_outputs()]}",
            hint="A model takes float32 'rows' and gives 'output': package it again.",
        )
    run, names = session.run, ["output"]
    if TASKS[task].scores != "one":
        return lambda matrix: run(names, {"rows": matrix})[0]
    # A binary model gives the positive class alone or last; any other gives one column.
    return lambda matrix: run(names, {"rows": matrix})[0][:, -1]
