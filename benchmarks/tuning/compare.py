"""Run the same trials with Tidemill, plain Optuna in memory, and Optuna on its SQLite storage, in turn."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import ROOT, Figure, MeasurementError, collect, figure, here

FOLDER = Path(__file__).parent
#: Who, by which script and argument; the second is what ours is compared with.
WHO = {
    "tidemill": ("ours.py", "kept"),
    "optuna in memory": ("on_optuna.py", "memory"),
    "tidemill, flushed": ("ours.py", "flushed"),
    "optuna on SQLite": ("on_optuna.py", "sqlite"),
}
DURABILITY = (
    "tidemill: SQLite (WAL, synchronous=NORMAL); flushed: synchronous=FULL, as optuna on SQLite (rollback journal, "
    "synchronous=FULL, its defaults)"
)
SHOWN = {"cpu_ms": ("a trial: CPU", "ms"), "wall_ms": ("a trial: wall", "ms"), "kib": ("a trial: on disk", "KiB")}


def run(runs: int, peers: bool) -> list[Figure]:
    """All figures; ours first. Optuna is a dependency: there is no peer to install."""
    path = {"PYTHONPATH": str(ROOT)}
    print(DURABILITY, file=sys.stderr)
    samples: dict[str, dict[str, list[float]]] = {}
    for turn in range(runs):  # in turn, so that a busy machine slows all of them
        for who, (script, argument) in WHO.items():
            if argument == "sqlite" and (turn > 0 or not peers):
                continue  # minutes, most of which it waits for the disk
            try:
                found = collect(1, here(), FOLDER / script, [argument], path)
            except MeasurementError as error:
                if argument != "sqlite":
                    raise
                print(f"{who}: {error}", file=sys.stderr)
                continue
            for name, values in found.items():
                samples.setdefault(who, {}).setdefault(name, []).extend(values)
    above = [
        ours - plain
        for ours, plain in zip(samples["tidemill"]["cpu_ms"], samples["optuna in memory"]["cpu_ms"], strict=True)
    ]
    figures = [figure("tidemill", "a trial beyond plain Optuna in memory: CPU", above, "ms", 5.0)]
    for who, found in samples.items() if peers else [("tidemill", samples["tidemill"])]:
        figures += [figure(who, what, found[name], unit) for name, (what, unit) in SHOWN.items()]
    return figures
