"""How everything here is measured: fresh processes, several runs, medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BENCH = ROOT / ".bench"


@dataclass(frozen=True)
class Figure:
    """One number: the median over runs, with the smallest and the largest."""

    who: str
    what: str
    value: float
    unit: str
    low: float
    high: float
    runs: int
    target: float | None = None

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def figure(who: str, what: str, samples: Sequence[float], unit: str, target: float | None = None) -> Figure:
    return Figure(who, what, statistics.median(samples), unit, min(samples), max(samples), len(samples), target)


class MeasurementError(RuntimeError):
    """A measured process failed; the message has the end of what it said."""


def run_script(
    python: Path | str, script: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run a script in a fresh process and an empty folder; its last line of output is a JSON object of numbers."""
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "BENCH_FOLDER": folder, **(environment or {})}
        env = {name: value.replace("{folder}", folder) for name, value in env.items()}
        done = subprocess.run(
            [str(python), str(script), *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise MeasurementError(f"{script.name} exited with code {done.returncode}:\n" + "\n".join(said))
    numbers: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return numbers


def collect(
    runs: int, python: Path | str, script: Path, arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, list[float]]:  # fmt: skip
    """The numbers of several runs by name."""
    samples: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, value in run_script(python, script, arguments, environment).items():
            samples.setdefault(name, []).append(value)
    return samples


def here() -> str:
    """The interpreter that has Tidemill."""
    return sys.executable
