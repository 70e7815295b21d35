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
    beside = [one["train"] + one["package"] + one["rest"] for one in found]
    shares = [100 * other / one["fit"] for one, other in zip(found, beside, strict=True)]
    return [
        figure("tidemill", "inside the library's fit: CPU", [one["fit"] for one in found], "s"),
        figure("tidemill", "encoding, scores, profile, storing: CPU", [one["train"] for one in found], "s"),
        figure("tidemill", "packaging, parity, timing: CPU", [one["package"] for one in found], "s"),
        figure("tidemill", "table, split, tracking: CPU", [one["rest"] for one in found], "s"),
        figure("tidemill", "all beside the fit, in percent of it", shares, "%", TARGET),
    ]
