"""CPU seconds of a training of LightGBM in a pipeline: inside the library's fit, and beside it."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import Figure, figure, run_script

#: The share of the fit that everything beside it may cost, in percent, at 60 seconds.
TARGET = 2.0


def run(runs: int, peers: bool) -> list[Figure]:
    """Percent of the fit; one run for each two that were asked for, since each takes a minute and more."""
    del peers  # the bare library is inside
    found = [run_script(sys.executable, Path(__file__).with_name("ours.py")) for _ in range(max(1, runs // 2))]
    return [
        figure("lightgbm", "the fit itself: CPU", [one["fit"] for one in found], "s"),
        figure("tidemill", "tracking and packaging beside it: CPU", [one["overhead"] for one in found], "s"),
        figure("tidemill", "in percent of the fit", [100 * one["overhead"] / one["fit"] for one in found], "%", TARGET),
    ]
