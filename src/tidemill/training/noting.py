"""What the verbs of training and evaluation leave on the run that they are part of."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.engine.context import current, record


def note_metrics(metrics: Mapping[str, float | None], context: str, *, step: int = 0) -> None:
    """Record metrics on the running step under a context such as ``"validation"``; outside a step, nothing.

    Metrics that are not defined (None or NaN) are left out.
    """
    if current() is None:
        return
    for name, value in metrics.items():
        if value is not None and value == value:
            record("metric", {"name": name, "value": float(value), "step": step, "context": context})
