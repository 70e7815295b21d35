"""The verb `package`: write a model in its native and exchange formats, verify one against the other, measure both."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import ModelError, UsageError
from tidemill.core.model import Model, require_model
from tidemill.data.types import collected
from tidemill.engine.step import step
from tidemill.packaging.engines import Engine, onnx_engine
from tidemill.packaging.formats import native_format, onnx_form
from tidemill.packaging.onnx_calibration import calibrated, of_both_classes
from tidemill.packaging.package import ONNX_FILE, Package, describe, file_table, plain
from tidemill.packaging.parity import Timed, compare, hard_rows, measure, takes_missing
from tidemill.packaging.preparation import compile_columns, compile_row
from tidemill.packaging.samples import Columns, example_row, sample_rows
from tidemill.packaging.validator import Problem, Validator, compile_validator
from tidemill.training.calibration import apply_calibration

FORMATS = ("native", "onnx")
_VERSIONED = ("lightgbm", "numpy", "onnx", "onnxruntime", "polars", "scikit-learn", "skl2onnx", "skops")
_TIMED_ROWS = 300


@dataclass(frozen=True, slots=True)
class _Bench:
    """What the engines are compared and timed on: rows as they are sent, and a matrix of hard ones."""

    rows: list[dict[str, Any]]
    matrix: NDArray[np.float32]
    takes_missing: bool
    validate: Validator


@step(stage="package")
def package(model: Model, sample: pl.DataFrame | None = None, formats: Sequence[str] = FORMATS) -> Package:
    """Write a model as a folder that can be served, verified and measured.

    Parameters
    ----------
    model
        The fitted model.
    sample
        Rows with the model's inputs, such as the validation rows: the formats are compared and timed on up to 2,000 of
        them, their neighbours and shuffles. Without it, rows are drawn from the signature's ranges and categories.
    formats
        ``"native"`` is always written; ``"onnx"`` as well by default.

    Returns
    -------
    Package
        With ``manifest["parity"]`` (largest difference, differing decisions), ``manifest["measured"]`` (latencies of
        one row through validation, preparation and scoring; throughput; size) and ``manifest["engines"]``: which engine
        answers single rows (``online``) and many (``batch``). The ONNX engine is chosen only when it was verified.

    Raises
    ------
    ModelError
        When the model cannot be written, or the sample cannot be scored by the native model.
    """
    require_model(model)
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise UsageError("unknown package formats", value=unknown, hint=f"Known formats: {', '.join(FORMATS)}.")
    form = native_format(model.framework)
    files = form.save(model.estimator)
    estimator = form.load(files)  # what is verified is what will be read back
    task = model.signature.task

    def native(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return apply_calibration(form.predict(estimator, matrix, task), model.calibration)

    columns = sample_rows(model.signature, None if sample is None else collected(sample))
    bench = _bench(model, columns, native)
    timed = _timed(model, native, bench)
    measured: dict[str, Any] = {"native": timed.figures}
    parity: dict[str, Any] = {"verified": False, "reason": "not asked for"}
    if "onnx" in formats:
        parity, figures = _verified(model, timed, bench, files)
        measured |= {"onnx": figures} if figures else {}
    engines = _choose(measured, verified=bool(parity["verified"]))
    measured["metrics"] = _metrics(measured, engines, parity, files)
    manifest = {
        **describe(model),
        "files": file_table(files),
        "takes_missing": bench.takes_missing,
        "parity": parity,
        "measured": measured,
        "engines": engines,
        "example": _example(columns, bench),
        "versions": _versions(),
    }
    return Package({key: plain(value, key) for key, value in manifest.items()}, files)


def _bench(model: Model, columns: Columns, native: Engine) -> _Bench:
    """The sample; without the rows that have holes when the model takes none."""
    matrix = compile_columns(model.cleaning, model.encoding)(columns)
    validate = compile_validator(model.signature, contract=model.contract)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    missing = takes_missing(native, matrix)
    holes = np.isnan(matrix).any(axis=1)
    whole: NDArray[np.bool_] = np.asarray(np.zeros_like(holes) if missing else holes) == 0
    if not whole.any():
        raise ModelError(
            "every row of the sample has missing values after cleaning, and the native model takes none",
            hint="Fill them by a learned repair (train(..., cleaning=...)), or use an estimator that takes them.",
        )
    kept = [row for row, keep in zip(rows, list(whole), strict=True) if keep]
    valid = (row for row in kept[: 4 * _TIMED_ROWS] if not isinstance(validate(row, 0, []), Problem))
    continuous = np.array([entry["kind"] not in ("category", "flag") for entry in model.encoding])
    hard = hard_rows(matrix[whole], continuous, missing=missing)
    return _Bench(list(islice(valid, _TIMED_ROWS)), hard, missing, validate)


def _example(columns: Columns, bench: _Bench) -> dict[str, Any]:
    """A typical row; where the contract refuses what is typical of each column by itself, one of the sample."""
    typical = example_row(columns)
    if isinstance(bench.validate(typical, 0, []), Problem) and bench.rows:
        return example_row({name: [value] for name, value in bench.rows[0].items()})
    return typical


def _timed(model: Model, engine: Engine, bench: _Bench) -> Timed:
    """Time an engine the way that a server uses it."""
    prepare = compile_row(model.cleaning, model.encoding)

    def ready(row: dict[str, Any]) -> NDArray[np.float32]:
        typed = bench.validate(row, 0, [])
        return prepare(row if isinstance(typed, Problem) else typed)

    return measure(engine, bench.matrix, bench.rows, ready)


def _verified(
    model: Model, native: Timed, bench: _Bench, files: dict[str, bytes]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write ``model.onnx`` into `files`, time it and compare it; a model without ONNX form says why."""
    try:
        data = onnx_form(model.framework, model.estimator, files, bench.matrix.shape[1])
        task, classes = model.signature.task, len(model.signature.classes)
        if (task, classes) == ("multiclass", 2) and onnx_engine(data, task)(bench.matrix[:1]).shape[1] == 1:
            data = of_both_classes(data)
        data = calibrated(data, model.calibration)
    except ModelError as error:
        return {"verified": False, "reason": str(error)}, {}
    onnx = _timed(model, onnx_engine(data, task), bench)
    files[ONNX_FILE] = data
    return compare(native.scores, onnx.scores, len(bench.matrix), model.signature), onnx.figures


def _choose(measured: Mapping[str, Any], *, verified: bool) -> dict[str, str]:
    if not verified:
        return {"online": "native", "batch": "native"}
    speed = {name: float(np.mean(list(measured[name]["rows_per_s"].values()))) for name in ("native", "onnx")}
    return {"online": "onnx", "batch": max(speed, key=lambda name: speed[name])}


def _metrics(
    measured: Mapping[str, Any], engines: Mapping[str, str], parity: Mapping[str, Any], files: Mapping[str, bytes]
) -> dict[str, float]:
    online, batch = measured[engines["online"]], measured[engines["batch"]]
    metrics = {
        "latency_p50_ms": online["latency_p50_ms"],
        "latency_p99_ms": online["latency_p99_ms"],
        "rows_per_s": max(batch["rows_per_s"].values()),
        "size_mb": round(sum(len(data) for data in files.values()) / 1e6, 4),
    }
    if "max_abs_difference" in parity:
        metrics["parity_max_difference"] = parity["max_abs_difference"]
    return metrics


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
