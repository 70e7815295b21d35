"""``import tidemill`` and ``tidemill --help`` with bytecode compiled, less what a bare interpreter takes."""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring import Figure, MeasurementError, figure, here


def run(runs: int, peers: bool) -> list[Figure]:
    """Wall and CPU milliseconds; the peers have nothing to say here."""
    del peers
    _compile()
    command = shutil.which("tidemill", path=str(Path(sys.executable).parent))
    commands = {
        "a bare interpreter": ([here(), "-c", "pass"], None),
        "import tidemill": ([here(), "-c", "import tidemill"], None),
        "tidemill --help": ([command, "--help"] if command else [here(), "-m", "tidemill.cli", "--help"], 150.0),
    }
    times = {what: _times(line, runs * 3) for what, (line, _) in commands.items()}
    figures = []
    for what, (_, target) in commands.items():
        walls, used = times[what]
        figures.append(figure("tidemill", f"{what}: wall", walls, "ms", target))
        figures.append(figure("tidemill", f"{what}: CPU", used, "ms"))
    bare = min(times["a bare interpreter"][0])
    own = [wall - bare for wall in times["import tidemill"][0]]
    return [*figures, figure("tidemill", "import tidemill, beyond the interpreter: wall", own, "ms", 60.0)]


def _compile() -> None:
    spec = importlib.util.find_spec("tidemill")
    for place in (spec.submodule_search_locations or []) if spec else []:
        compileall.compile_dir(place, quiet=2)


def _times(line: list[str], runs: int) -> tuple[list[float], list[float]]:
    walls, used = [], []
    for _ in range(runs):
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(line, capture_output=True, check=False)
        wall, after = time.perf_counter() - start, os.times()
        if done.returncode != 0:
            raise MeasurementError(
                f"{' '.join(line)} exited with code {done.returncode}: {done.stderr.decode()[-500:]}"
            )
        walls.append(wall * 1e3)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        used.append(cpu * 1e3)
    return walls, used
