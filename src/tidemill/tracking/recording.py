"""Metrics, parameters and tags that user code records: on the running step, or else on the notebook's run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from tidemill.core.clock import now_us
from tidemill.core.errors import UsageError
from tidemill.core.records import Metric
from tidemill.engine import current, record, step
from tidemill.engine.notebook import surrounding_run
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, values

# They are steps (effects), so that they can be called in the body of a pipeline, on handles, like any other verb.


@step(effect=True, stage="log")
def log_metric(name: str, value: float, step: int = 0, context: str = "") -> None:
    """Record one measured number.

    In a step it belongs to that step; in the body of a pipeline it is a step of its own and waits for its value;
    anywhere else it belongs to the notebook run of this process, which is opened in the current project's store when it
    is first needed.

    Parameters
    ----------
    name
        Such as ``"roc_auc"``.
    value
        A real number; NaN and infinities are kept.
    step
        Where in a training it was measured: an epoch, a batch. Every value is kept.
    context
        What it was measured on, such as ``"validation"``.

    Raises
    ------
    UsageError
        When the name is empty, or the value is no number.
    """
    _record_metrics({name: value}, step, context)


@step(effect=True, stage="log")
def log_metrics(metrics: Mapping[str, float], step: int = 0, context: str = "") -> None:
    """Record several numbers that were measured together; see `log_metric`."""
    _record_metrics(metrics, step, context)


@step(effect=True, stage="log")
def log_params(params: Mapping[str, object]) -> None:
    """Record parameters: what was chosen before, each written once in a run and kept as text.

    Raises
    ------
    ConflictError
        When one of them has another value already; inside a step the first value stays, and the run is tagged with the
        conflict.
    """
    _record_named("param", params)


@step(effect=True, stage="log")
def log_tags(tags: Mapping[str, object]) -> None:
    """Record tags: notes to find the run by. The last value of a tag counts, and it is kept as text."""
    _record_named("tag", tags)


def _record_metrics(metrics: Mapping[str, Any], step_number: int, context: str) -> None:
    at, number = now_us(), _step_number(step_number)
    checked = {_name(name, "metric"): _number(name, value) for name, value in metrics.items()}
    if current() is not None:
        for name, value in checked.items():
            record("metric", {"name": name, "value": value, "step": number, "time": at, "context": context})
        return
    store, run_id = _notebook()
    with store.metadata.transaction() as tx:
        values.put_metrics(tx, [Metric(run_id, name, value, number, at, context) for name, value in checked.items()])


def _record_named(kind: str, pairs: Mapping[str, object]) -> None:
    checked = {_name(name, kind): str(value) for name, value in pairs.items()}
    if current() is not None:
        for name, value in checked.items():
            record(kind, {"name": name, "value": value})
        return
    store, run_id = _notebook()
    put = values.put_params if kind == "param" else values.put_tags
    with store.metadata.transaction() as tx:
        put(tx, run_id, checked)


def _notebook() -> tuple[Store, str]:
    project = current_project()
    store = open_project_store(project)
    return store, surrounding_run(store, project.name, project.root)


def _name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"the name of a {what} must be text", value=name, hint="Give it a name.")
    return name


def _number(name: str, value: object) -> float:
    """A number as a float: of Python, of NumPy, or an array or tensor with one element."""
    try:
        number = float(value) if isinstance(value, Real) or hasattr(value, "__float__") else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise UsageError(f"metric {name!r} is not one real number", value=value, hint="Record text with log_tags.")
    return math.nan if math.isnan(number) else number


def _step_number(value: object) -> int:
    if not isinstance(value, Integral):
        raise UsageError("the step of a metric must be a whole number", value=value, hint="Count epochs or batches.")
    return int(value)
