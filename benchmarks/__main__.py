"""``python -m benchmarks [--only NAME] [--peers | --no-peers] [--runs N] [--json]``."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable

from benchmarks.measuring import Figure, MeasurementError
from benchmarks.report import show

#: Name of the benchmark: the module with ``run(runs, peers)``, and what it measures.
BENCHMARKS = {
    "step_overhead": ("benchmarks.step_overhead.compare", "what a step costs beyond its work, beside orchestrators"),
    "profile": ("benchmarks.profile.compare", "what a look at a table costs, beside a profiler"),
    "large": ("benchmarks.large.compare", "a look at a table of 5 GiB within 2 GiB of memory"),
    "contract": ("benchmarks.contract.compare", "what checking a table costs, beside other validators"),
    "sources": ("benchmarks.sources.compare", "reading a CSV file and a table of PostgreSQL, beside Polars"),
    "tuning": ("benchmarks.tuning.compare", "what a trial costs beyond its work, beside Optuna"),
    "labelling": ("benchmarks.labelling.compare", "a page, the next task and a label among 100,000 tasks"),
    "evaluation": (
        "benchmarks.evaluation.compare",
        "a million predictions measured with intervals, beside scikit-learn",
    ),
    "registry": ("benchmarks.registry.compare", "what registering, promoting and finding a model costs, beside MLflow"),
    "scoring": ("benchmarks.scoring.compare", "what scoring a table costs beside the model alone"),
    "serving": ("benchmarks.serving.compare", "what answering a request costs, beside other model servers"),
    "training": ("benchmarks.training.compare", "what tracking and packaging cost beside a fit"),
    "startup": ("benchmarks.startup.compare", "time until the package and the command line are there"),
}

Run = Callable[[int, bool], list[Figure]]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Each hot path beside a peer's, in one run."
    )
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), help="run these; all by default")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="install and run peers")
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure, of which the median is shown")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--list", action="store_true", help="show what there is")
    given = parser.parse_args()
    if given.list:
        for name, (_, about) in BENCHMARKS.items():
            print(f"{name:16} {about}")
        return 0
    figures: dict[str, list[Figure]] = {}
    failed = False
    for name in given.only or BENCHMARKS:
        run: Run = importlib.import_module(BENCHMARKS[name][0]).run
        try:
            figures[name] = run(given.runs, given.peers)
        except (MeasurementError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        if not given.json:
            print(show(name, BENCHMARKS[name][1], figures[name]))
    if given.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.platform()}
        print(
            json.dumps(
                {"machine": machine, **{name: [one.to_dict() for one in all_] for name, all_ in figures.items()}}
            )
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
