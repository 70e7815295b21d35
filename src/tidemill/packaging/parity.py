"""Does the ONNX form answer as the native model does, and which of the two is faster for one row and for many?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError
from tidemill.core.model import Signature
from tidemill.core.tasks import TASKS
from tidemill.packaging.engines import Engine

#: Largest accepted difference of a probability, or of a value relative to the largest one: float32 sums differ by less.
TOLERANCE = 1e-5
_SINGLE_RUNS, _SINGLE_SECONDS = 300, 1.0
#: A large model is asked for a large batch once: it takes long enough to be told from noise.
_BATCHES, _BATCH_RUNS, _BATCH_SECONDS = (1_000, 4_000), 3, 0.05

Matrix = NDArray[np.float32]


def hard_rows(matrix: Matrix, continuous: NDArray[np.bool_], *, missing: bool, seed: int = 0) -> Matrix:
    """The rows, the same cells shuffled within their columns, their float32 neighbours, and rows with missing cells.

    Codes of categories have no neighbours: only the columns marked in `continuous` are moved.

    Splits are at values seen in training, so a value one float32 step beside a seen one is where two engines would
    part; shuffled cells reach leaves that no training row reached.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permuted(matrix, axis=0)
    aside = np.where(generator.random(matrix.shape) < 0.5, np.float32(np.inf), np.float32(-np.inf))
    with np.errstate(invalid="ignore"):
        beside = np.where(continuous, np.nextafter(matrix, aside.astype(np.float32)), matrix)
    parts = [matrix, shuffled, beside]
    if missing:
        holed = matrix.copy()
        holed[generator.random(matrix.shape) < 0.2] = np.nan
        parts.append(holed)
    return np.concatenate(parts)


def takes_missing(engine: Engine, matrix: Matrix) -> bool:
    """Whether the native model answers a row whose cells are missing."""
    row = np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)
    try:
        return bool(np.isfinite(engine(row)).all())
    except ValueError:
        return False


def compare(native: Engine, onnx: Engine, matrix: Matrix, signature: Signature) -> dict[str, Any]:
    """Score the rows with both engines.

    Returns
    -------
    dict
        ``rows``, ``max_abs_difference``, ``decisions_differ`` (rows whose decision is another), ``tolerance``,
        ``verified``.
    """
    expected = np.asarray(native(matrix), dtype=np.float64)
    got = np.asarray(onnx(matrix), dtype=np.float64)
    if expected.shape != got.shape or not np.isfinite(got).all():
        reason = f"the ONNX form gives {got.shape} numbers, not all finite or not {expected.shape}"
        return {"rows": len(matrix), "verified": False, "reason": reason}
    largest = float(np.abs(expected - got).max(initial=0.0))
    tolerance = TOLERANCE
    if not TASKS[signature.task].classifies:
        tolerance *= max(1.0, float(np.abs(expected).max(initial=0.0)))
    changed = decisions(expected, signature) != decisions(got, signature)
    differ = int(changed.reshape(len(matrix), -1).any(axis=1).sum())
    out = {"rows": len(matrix), "max_abs_difference": largest, "decisions_differ": differ, "tolerance": tolerance}
    return {**out, "verified": largest <= tolerance, "reason": "" if largest <= tolerance else "above the tolerance"}


def decisions(scores: NDArray[np.float64], signature: Signature) -> NDArray[Any]:
    """Class numbers; of several labels whether each is called, [n, labels]; 0 for every row where none is decided."""
    if TASKS[signature.task].decides:
        return np.asarray(scores >= signature.threshold)
    if signature.task == "multiclass":
        return np.asarray(scores.argmax(axis=1))
    return np.zeros(len(scores), dtype=np.int64)


def measure(engine: Engine, matrix: Matrix, rows: Sequence[Any], prepare: Callable[[Any], Matrix]) -> dict[str, Any]:
    """Milliseconds for one row, prepared and scored (p50, p99), and encoded rows per second for batches."""
    if not rows:
        raise ModelError(
            "no row of the sample is accepted by the model's own signature", hint="Give rows such as it was trained on."
        )
    for row in rows[:20]:
        engine(prepare(row))
    seconds = _repeat(lambda index: engine(prepare(rows[index % len(rows)])), _SINGLE_RUNS, _SINGLE_SECONDS)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    throughput: dict[str, float] = {}
    for size in _BATCHES:
        batch = np.resize(matrix, (size, matrix.shape[1]))
        best = min(_repeat(lambda _, batch=batch: engine(batch), _BATCH_RUNS, _BATCH_SECONDS))  # type: ignore[misc]
        throughput[str(size)] = round(size / best, 1)
    return {"latency_p50_ms": round(float(p50), 5), "latency_p99_ms": round(float(p99), 5), "rows_per_s": throughput}


def _repeat(call: Callable[[int], object], times: int, seconds: float) -> list[float]:
    """Durations of up to `times` calls, fewer when they take longer than `seconds`."""
    out: list[float] = []
    began = elapsed()
    for index in range(times):
        start = elapsed()
        call(index)
        out.append(elapsed() - start)
        if elapsed() - began > seconds:
            break
    return out
