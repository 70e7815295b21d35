"""How both sides time a call; it needs the standard library only."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

MODELS, VERSIONS, CALLS = 20, 50, 100


def report(calls: dict[str, Callable[[int], object]]) -> None:
    """Print the median CPU milliseconds of each call as the last line."""
    print(json.dumps({what: _median(call) for what, call in calls.items()}))


def _median(call: Callable[[int], object]) -> float:
    call(0)
    times = []
    for number in range(1, CALLS + 1):
        began = time.process_time()
        call(number)
        times.append((time.process_time() - began) * 1e3)
    return statistics.median(times)
