"""Tidemill: every metric of a binary task on a million predictions, with intervals from 200 resamples."""

from benchmarks.evaluation.predictions import RESAMPLES, predictions
from benchmarks.used import report
from tidemill.measures import METRICS, estimate

NAMES = tuple(METRICS["binary"])


def measure(given: object) -> None:
    labels, scores = given  # type: ignore[misc]
    found = estimate(labels, scores, NAMES, resamples=RESAMPLES)
    assert all(value.low < value.value < value.high for name, value in found.items() if name != "ece")


report(measure, predictions)
