"""What a server counts, in Prometheus' format: base units, and never a request or an entity as a label.

With several workers, each writes its numbers to a file of its own under ``PROMETHEUS_MULTIPROC_DIR``, which must be set
before this module is loaded; any worker then shows the sum of all.

What is counted for each request is handed to Prometheus's client many at a time: between two requests its code has left
the processor's caches, and a count costs four times what it costs right after another.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_REGISTRY = CollectorRegistry()
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MODEL = ("model", "variant", "version")
#: Whether other processes show what is counted here.
_SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ
#: What is counted and not handed over yet: to which meter, and how much; and how many may wait for that.
_waiting: deque[tuple[Callable[[float], None], float]] = deque()
_MOST_WAITING = 1024

_predictions = Counter("model_predictions", "Rows, by what became of them.", (*_MODEL, "status"), registry=_REGISTRY)
_requests = Histogram(
    "model_request_duration_seconds", "Requests to a model, from their head to their answer.",
    (*_MODEL, "route", "status"), buckets=_SECONDS, registry=_REGISTRY,
)  # fmt: skip
_unlogged = Counter(
    "model_predictions_unlogged", "Rows whose answers could not be written to the prediction log.", _MODEL,
    registry=_REGISTRY,
)  # fmt: skip
_unarchived = Gauge(
    "prediction_log_unarchived_files", "Sealed files of the prediction log that its archive does not have yet.",
    registry=_REGISTRY, multiprocess_mode="livemax",
)  # fmt: skip
_together = Histogram(
    "model_requests_together", "Requests that a slow model was asked about at once.", ("model",),
    buckets=(1, 2, 4, 8, 16, 32, 64), registry=_REGISTRY,
)  # fmt: skip
_dropped = Counter(
    "model_shadow_requests_dropped", "Requests that no shadow was asked, for too many requests or rows waited.",
    ("model",), registry=_REGISTRY,
)  # fmt: skip
_swaps = Counter(
    "model_swaps", "New versions, by what became of them.", ("model", "variant", "result"), registry=_REGISTRY
)
_served = Gauge(
    "model_served", "1 for each version that answers now.", _MODEL, registry=_REGISTRY, multiprocess_mode="livemax"
)
_under_way = Gauge(
    "http_server_active_requests", "Requests under way.", registry=_REGISTRY, multiprocess_mode="livesum"
)


class Meters:
    """What is counted of one variant, its labels looked up once."""

    def __init__(self, model: str, variant: str, version: int | None) -> None:
        labels = (model, variant, "" if version is None else str(version))
        self._answered, self._refused, self._failed = (
            _predictions.labels(*labels, status).inc for status in ("answered", "refused", "failed")
        )
        self._labels = labels
        self._requests: dict[tuple[str, int], Callable[[float], None]] = {}
        self._unlogged = _unlogged.labels(*labels)

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(model: str, variant: str, version: int | None) -> Meters:
        """The meters of a variant."""
        return Meters(model, variant, version)

    def took(self, route: str, status: int, seconds: float) -> None:
        """Count a request that ended so, after so long."""
        meter = self._requests.get((route, status))
        if meter is None:
            meter = self._requests[route, status] = _requests.labels(*self._labels, route, str(status)).observe
        _count(meter, seconds)

    def answered(self, rows: int, problems: int, failures: int) -> None:
        """Count the rows of one request; `failures` are those of the `problems` that the engine itself had."""
        if problems:
            _count(self._refused, problems - failures)
            _count(self._failed, failures)
        _count(self._answered, rows - problems)

    def unlogged(self, rows: int) -> None:
        """Count rows whose answer could not be written down."""
        self._unlogged.inc(rows)


def _count(meter: Callable[[float], None], amount: float) -> None:
    """Have a meter count an amount, at the latest when the numbers are asked for."""
    _waiting.append((meter, amount))
    if len(_waiting) >= _MOST_WAITING:
        _hand_over()
    elif _SHARED and len(_waiting) == 1:  # another process may be asked
        try:
            asyncio.get_running_loop().call_soon(_hand_over)
        except RuntimeError:  # this thread runs none
            _hand_over()


def _hand_over() -> None:
    """Have all that waits counted; threads that do so at once share it."""
    while _waiting:
        try:
            meter, amount = _waiting.popleft()
        except IndexError:  # another thread took the last one
            return
        meter(amount)


def under_way(requests: int) -> None:
    """Say how many requests this process is answering."""
    _under_way.set(requests)


def unarchived(files: int) -> None:
    """Say how many sealed files of the prediction log wait for its archive."""
    _unarchived.set(files)


def gathered(model: str, requests: int) -> None:
    """Count requests that a slow model is asked about at once."""
    _together.labels(model).observe(requests)


def shadow_dropped(model: str) -> None:
    """Count a request that no shadow was asked."""
    _dropped.labels(model).inc()


def swapped(model: str, variant: str, *, well: bool) -> None:
    """Count a new version that took over, or could not."""
    _swaps.labels(model, variant, "succeeded" if well else "failed").inc()


def served(model: str, variant: str, version: int | None, *, now: bool) -> None:
    """Say that a version answers now, or no longer."""
    _served.labels(model, variant, "" if version is None else str(version)).set(int(now))


def exposition() -> bytes:
    """All numbers as text, of all workers together."""
    _hand_over()
    if not _SHARED:
        return generate_latest(_REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)
