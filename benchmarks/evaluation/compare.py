"""A million predictions measured with intervals: by Tidemill, and by scikit-learn's metrics in a loop."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring import ROOT, Figure, collect, figure, here

FOLDER = Path(__file__).parent
#: The loop runs so many of the 200 resamples, and what it used is multiplied: it takes a quarter of an hour otherwise.
PEER_RESAMPLES = 20


def run(runs: int, peers: bool) -> list[Figure]:
    """All figures; ours first."""
    path = {"PYTHONPATH": str(ROOT)}
    figures = []
    for script, what, target in (
        ("ours.py", "9 metrics of 1 M predictions, 200 resamples: CPU", 10.0),
        ("on_model.py", "tm.evaluate of 1 M rows, 200 resamples: CPU", 10.0),
    ):
        samples = collect(runs, here(), FOLDER / script, [], path)
        figures.append(figure("tidemill", what, samples["cpu_s"], "s", target))
        figures.append(figure("tidemill", "peak memory of its process", samples["peak_mib"], "MiB"))
    if not peers:
        return figures
    samples = collect(1, here(), FOLDER / "on_scikit_learn.py", [str(PEER_RESAMPLES)], path)
    scaled = [seconds * 200 / PEER_RESAMPLES for seconds in samples["cpu_s"]]
    what = f"8 metrics of 1 M predictions, 200 resamples (from {PEER_RESAMPLES}): CPU"
    return [*figures, figure("scikit-learn in a loop", what, scaled, "s")]
