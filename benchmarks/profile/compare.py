"""A million rows of 30 columns: explored by Tidemill, by its peer, and described by plain Polars."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import ROOT, Figure, MeasurementError, collect, figure, here
from benchmarks.peers import FG_DATA_PROFILING
from benchmarks.profile.table import write

FOLDER = Path(__file__).parent
ROWS = 1_000_000
#: What the scripts report: the name shown, the unit, and our target.
SHOWN = {
    "cpu_s": ("a profile of 1 M rows x 30 columns: CPU", "s", 10.0),
    "peak_mib": ("peak memory of its process", "MiB", 1.2 * 1024),
    "import_cpu_s": ("imports: CPU", "s", None),
}


def run(runs: int, peers: bool) -> list[Figure]:
    """All figures; ours first."""
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        table = Path(folder) / "table.parquet"
        write(table, ROWS)
        path = {"PYTHONPATH": str(ROOT)}
        figures = rows_of("tidemill", collect(runs, here(), FOLDER / "ours.py", [str(table)], path), SHOWN)
        plain = collect(runs, here(), FOLDER / "on_polars.py", [str(table)], path)
        figures += rows_of("plain polars", plain, SHOWN)
        if not peers:
            return figures
        FG_DATA_PROFILING.install()
        print(f"{FG_DATA_PROFILING.name}: minimal=True, as HTML", file=sys.stderr)
        try:
            samples = collect(
                1, FG_DATA_PROFILING.python, FOLDER / "on_fg_data_profiling.py", [str(table)],
                {**path, **FG_DATA_PROFILING.environment},
            )  # fmt: skip
        except MeasurementError as error:
            print(f"{FG_DATA_PROFILING.name}: {error}", file=sys.stderr)
            return figures
        return figures + rows_of(f"{FG_DATA_PROFILING.name} {FG_DATA_PROFILING.version}", samples, SHOWN)


def rows_of(who: str, samples: dict[str, list[float]], shown: dict[str, tuple[str, str, float | None]]) -> list[Figure]:
    """The figures of one tool; targets are for ours."""
    return [
        figure(who, what, samples[name], unit, target if who == "tidemill" else None)
        for name, (what, unit, target) in shown.items()
    ]
