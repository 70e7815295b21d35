"""Does the ONNX form answer as the native model does, and which of the two is faster for one row and for many?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
#: A large model is asked for a batch once: it takes long enough to be told from noise.
_SMALL_BATCH, _LARGE_BATCH, _BATCH_RUNS, _BATCH_SECONDS = 1_000, 4_000, 3, 0.02

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """How fast an engine is, and its answers to the rows that it was timed on.

    Parameters
    ----------
    figures
        JSON-able: ``latency_p50_ms`` and ``latency_p99_ms`` of one row, ``rows_per_s`` of batches by their size, and
        ``runs``: how many calls each comes from.
    scores
        One answer for each row.
    """

    figures: dict[str, Any]
    scores: NDArray[np.floating[Any]]


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


def compare(
    native: NDArray[np.floating[Any]], onnx: NDArray[np.floating[Any]], rows: int, signature: Signature
) -> dict[str, Any]:
    """Hold the answers of both engines to the same rows against each other.

    Returns
    -------
    dict
        ``rows``, ``max_abs_difference``, ``decisions_differ`` (rows whose decision is another), ``tolerance``,
        ``verified``.
    """
    expected, got = np.asarray(native, dtype=np.float64), np.asarray(onnx, dtype=np.float64)
    if expected.shape != got.shape or not np.isfinite(got).all():
        reason = f"the ONNX form gives {got.shape} numbers, not all finite or not {expected.shape}"
        return {"rows": rows, "verified": False, "reason": reason}
    largest = float(np.abs(expected - got).max(initial=0.0))
    tolerance = TOLERANCE
    if not TASKS[signature.task].classifies:
        tolerance *= max(1.0, float(np.abs(expected).max(initial=0.0)))
    changed = decisions(expected, signature) != decisions(got, signature)
    differ = int(changed.reshape(rows, -1).any(axis=1).sum())
    out = {"rows": rows, "max_abs_difference": largest, "decisions_differ": differ, "tolerance": tolerance}
    return {**out, "verified": largest <= tolerance, "reason": "" if largest <= tolerance else "above the tolerance"}


def decisions(scores: NDArray[np.float64], signature: Signature) -> NDArray[Any]:
    """Class numbers; of several labels whether each is called, [n, labels]; 0 for every row where none is decided."""
    if TASKS[signature.task].decides:
        return np.asarray(scores >= signature.threshold)
    if signature.task == "multiclass":
        return np.asarray(scores.argmax(axis=1))
    return np.zeros(len(scores), dtype=np.int64)


def measure(engine: Engine, matrix: Matrix, rows: Sequence[Any], prepare: Callable[[Any], Matrix]) -> Timed:
    """Time an engine on single rows, prepared and scored, and on batches of encoded ones, the larger of all of them."""
    if not rows:
        raise ModelError(
            "no row of the sample is accepted by the model's own signature", hint="Give rows such as it was trained on."
        )
    for row in rows[:20]:
        engine(prepare(row))
    seconds = _repeat(lambda index: engine(prepare(rows[index % len(rows)])), _SINGLE_RUNS, _SINGLE_SECONDS)[0]
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    speeds: dict[str, float] = {}
    runs = {"1": len(seconds)}
    scores = np.empty(0)
    for size in (_SMALL_BATCH, max(_LARGE_BATCH, len(matrix))):
        batch = matrix if size == len(matrix) else np.resize(matrix, (size, matrix.shape[1]))
        seconds, scores = _repeat(lambda _, batch=batch: engine(batch), _BATCH_RUNS, _BATCH_SECONDS)  # type: ignore[misc]
        speeds[str(size)], runs[str(size)] = round(size / min(seconds), 1), len(seconds)
    latencies = {"latency_p50_ms": round(float(p50), 5), "latency_p99_ms": round(float(p99), 5)}
    answered = np.shape(scores)[:1] == (size,)  # with another number of rows it cannot be verified
    figures = {**latencies, "rows_per_s": speeds, "runs": runs}
    return Timed(figures, scores[: len(matrix)] if answered else scores)


def _repeat(call: Callable[[int], Any], times: int, seconds: float) -> tuple[list[float], Any]:
    """Durations of up to `times` calls, fewer when they take longer than `seconds`, and the last one's answer."""
    out: list[float] = []
    answer = None
    began = elapsed()
    for index in range(times):
        start = elapsed()
        answer = call(index)
        out.append(elapsed() - start)
        if elapsed() - began > seconds:
            break
    return out, answer
