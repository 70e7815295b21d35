"""Run the 200 steps with Tidemill and with its peers, and put the figures side by side."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import Figure, MeasurementError, collect, figure, here
from benchmarks.peers import DAGSTER, METAFLOW, PREFECT, ZENML, Peer

FOLDER = Path(__file__).parent
DURABILITY = "step records in SQLite (WAL, synchronous=NORMAL), small results with them, larger ones as files"

#: What the scripts report: the name shown, the unit, and our target.
ROWS = {
    "step_ms": ("a step, tracked: wall", "ms", 1.5),
    "step_cpu_ms": ("a step, tracked: CPU", "ms", None),
    "cached_ms": ("a step from the cache: wall", "ms", 0.3),
    "cached_cpu_ms": ("a step from the cache: CPU", "ms", None),
    "first_run_s": ("first run, store made", "s", 0.3),
    "files_per_step": ("files a step", "", 2.0),
}
PEERS: tuple[tuple[Peer, str], ...] = (
    (PREFECT, "on_prefect.py"),
    (ZENML, "on_zenml.py"),
    (DAGSTER, "on_dagster.py"),
    (METAFLOW, "on_metaflow.py"),
)


def run(runs: int, peers: bool) -> list[Figure]:
    """All figures; ours first."""
    ours = "tidemill"
    figures = _rows(ours, collect(runs, here(), FOLDER / "ours.py", ["inline"]), are_ours=True)
    flushed = collect(runs, here(), FOLDER / "ours.py", ["flushed"])
    figures.append(figure(ours, "a step, every commit flushed: wall", flushed["step_ms"], "ms"))
    figures.append(figure(ours, "a cached step, every commit flushed: wall", flushed["cached_ms"], "ms"))
    for kind, target in (("worker", 10.0), ("isolated", 30.0)):
        samples = collect(runs, here(), FOLDER / "ours.py", [kind])
        figures.append(figure(ours, f"a step in a process, {kind}: wall", samples["step_ms"], "ms", target))
    print(f"tidemill: {DURABILITY}", file=sys.stderr)
    for peer, script in PEERS if peers else ():
        peer.install()
        print(f"{peer.name} {peer.version}: {peer.durability}", file=sys.stderr)
        try:
            samples = collect(min(runs, 3), peer.python, FOLDER / script, environment=peer.environment)
        except MeasurementError as error:
            print(f"{peer.name}: {error}", file=sys.stderr)
            continue
        figures += _rows(f"{peer.name} {peer.version}", samples, are_ours=False)
    return figures


def _rows(who: str, samples: dict[str, list[float]], *, are_ours: bool) -> list[Figure]:
    return [
        figure(who, what, samples[name], unit, target if are_ours else None)
        for name, (what, unit, target) in ROWS.items()
        if name in samples
    ]
