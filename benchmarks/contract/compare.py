"""20 rules on a million rows with Tidemill, its peers and plain Polars; and profile and contract together."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import ROOT, Figure, MeasurementError, collect, figure, here
from benchmarks.peers import DATAFRAMELY, GREAT_EXPECTATIONS, PANDERA, Peer
from benchmarks.profile.compare import ROWS, rows_of
from benchmarks.profile.table import write

FOLDER = Path(__file__).parent
EXPLORE = FOLDER.parent / "profile" / "ours.py"
SHOWN = {
    "cpu_s": ("20 rules on 1 M rows in memory: CPU", "s", 0.6),
    "with_load_cpu_s": ("reading the table, all columns, included: CPU", "s", None),
    "peak_mib": ("peak memory of its process", "MiB", None),
    "import_cpu_s": ("imports: CPU", "s", None),
}
PEERS: tuple[tuple[Peer, str, int], ...] = (
    (PANDERA, "on_pandera.py", 5),
    (DATAFRAMELY, "on_dataframely.py", 5),
    (GREAT_EXPECTATIONS, "on_great_expectations.py", 1),
)


def run(runs: int, peers: bool) -> list[Figure]:
    """All figures; ours first."""
    path = {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        table = str(Path(folder) / "table.parquet")
        write(Path(table), ROWS)
        figures = rows_of("tidemill", collect(runs, here(), FOLDER / "ours.py", [table, "check"], path), SHOWN)
        figures += _together(runs, table, path)
        figures += rows_of("plain polars", collect(runs, here(), FOLDER / "on_polars.py", [table], path), SHOWN)
        for peer, script, most in PEERS if peers else ():
            peer.install()
            print(f"{peer.name} {peer.version}: {peer.durability}", file=sys.stderr)
            try:
                samples = collect(min(runs, most), peer.python, FOLDER / script, [table], {**path, **peer.environment})
            except MeasurementError as error:
                print(f"{peer.name}: {error}", file=sys.stderr)
                continue
            figures += rows_of(f"{peer.name} {peer.version}", samples, SHOWN)
    return figures


def _together(runs: int, table: str, path: dict[str, str]) -> list[Figure]:
    """Profile alone and with a contract that sets rows aside, run in turn, so that a busy machine slows both."""
    ratios, costs, apart = [], [], []
    for _ in range(runs):
        alone = collect(1, here(), EXPLORE, [table], path)["cpu_s"][0]
        both = collect(1, here(), FOLDER / "ours.py", [table, "both"], path)["cpu_s"][0]
        costs.append(both)
        ratios.append(both / alone)
        apart.append(collect(1, here(), FOLDER / "ours.py", [table, "quarantine"], path)["cpu_s"][0])
    return [
        figure("tidemill", "20 rules, one row in seven set aside: CPU", apart, "s"),
        figure("tidemill", "profile, 20 rules and quarantine in one reading: CPU", costs, "s"),
        figure("tidemill", "that, as a multiple of the profile alone", ratios, "x", 1.3),
    ]
