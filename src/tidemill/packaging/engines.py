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

Matrix = NDArray[np.float32]
Scores = NDArray[np.floating[Any]]

#: Scores a float32 matrix [n, features]: [n] values, scores or probabilities of the positive class, or [n, outputs].
Engine = Callable[[Matrix], Scores]


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
    # A binary model gives the positive class alone or last; any other gives one column.
    return _Scorer(session, slice(None) if TASKS[task].scores != "one" else -1)


class _Scorer:
    """A session as a function of a matrix, with memory for single rows that is used again.

    What `run` looks up and allocates for a call costs as much as a small model: a single row goes into memory that is
    bound to the session already. Threads that score at once have memory of their own each.
    """

    def __init__(self, session: onnxruntime.InferenceSession, taken: slice | int) -> None:
        self._session, self._taken = session, taken
        self._is_plain = session.get_outputs()[0].type in ("tensor(float)", "tensor(double)")
        self._spare: list[_Bound] = []

    def __call__(self, matrix: Matrix) -> Scores:
        if len(matrix) != 1 or not self._is_plain:
            return self._run(matrix)
        try:
            bound = self._spare.pop()
        except IndexError:
            bound = _Bound(self._session, matrix, self._session.run(["output"], {"rows": matrix})[0], self._taken)
        scores = bound.run(matrix) if matrix.shape == bound.row.shape else self._run(matrix)
        self._spare.append(bound)
        return scores

    def _run(self, matrix: Matrix) -> Scores:
        scores: Scores = self._session.run(["output"], {"rows": matrix})[0][:, self._taken]
        return scores


class _Bound:
    """Memory for one row and its scores, bound to a session; given once, for their shapes."""

    def __init__(
        self, session: onnxruntime.InferenceSession, row: Matrix, scores: NDArray[Any], taken: slice | int
    ) -> None:
        self.row, told = np.empty_like(row), np.empty_like(scores)
        self._session, self._binding = session, session.io_binding()
        self._binding.bind_cpu_input("rows", self.row)
        self._binding.bind_output("output", "cpu", 0, told.dtype, told.shape, told.ctypes.data)
        self._scores: Scores = told[:, taken]  # a view, which keeps the memory

    def run(self, row: Matrix) -> Scores:
        self.row[:] = row
        self._session.run_with_iobinding(self._binding)
        return self._scores.copy()
