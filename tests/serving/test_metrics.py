"""A count that is handed over late may not be lost, nor counted twice: alerts and capacity rest on it."""

from __future__ import annotations

import threading

import pytest

from tidemill.serving import metrics
from tidemill.serving.metrics import Meters, exposition


def counted(name: str, *labels: str) -> float:
    """The number of a series, as a scraper reads it."""
    shown = [line for line in exposition().decode().splitlines() if line.startswith(name)]
    lines = [line for line in shown if all(one in line for one in labels)]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def test_what_was_counted_is_shown_at_once() -> None:
    meters = Meters.of("shown-at-once", "champion", 1)
    meters.answered(3, 2, 1)
    meters.took("predict", 200, 0.004)
    meters.took("predict", 200, 0.2)
    model = 'model="shown-at-once"'
    rows = {one: counted("model_predictions_total", model, f'"{one}"') for one in ("answered", "refused", "failed")}
    assert rows == {"answered": 1, "refused": 1, "failed": 1}
    assert counted("model_request_duration_seconds_count", model) == 2
    assert counted("model_request_duration_seconds_sum", model) == pytest.approx(0.204)
    assert counted("model_request_duration_seconds_bucket", model, 'le="0.005"') == 1


def test_threads_that_count_lose_nothing_while_somebody_scrapes() -> None:
    meters = Meters.of("many-threads", "champion", 1)
    each = metrics._MOST_WAITING * 4

    def count() -> None:
        for _ in range(each):
            meters.answered(2, 0, 0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        exposition()
    for thread in threads:
        thread.join()
    assert counted("model_predictions_total", 'model="many-threads"', '"answered"') == 4 * each * 2


def test_counts_that_nobody_asks_for_do_not_pile_up() -> None:
    meters = Meters.of("unscraped", "champion", 1)
    for _ in range(metrics._MOST_WAITING * 3):
        meters.took("predict", 200, 0.001)
    assert len(metrics._waiting) < metrics._MOST_WAITING
