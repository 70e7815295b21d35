"""Register, promote, find, list, tag and read the history of models: CPU milliseconds a call, beside MLflow's registry.

Both keep their registry in SQLite on a local disk, called from Python in one process, without a server. Tidemill writes
with WAL and synchronous=NORMAL; MLflow with SQLite's rollback journal and synchronous=FULL, its defaults: a crash of
the machine may take Tidemill's last moves back, whole ones. CPU time leaves the waiting for the disk out, so that this
does not decide. Tidemill packs, stores and digests a package of 10 kB; MLflow is told where the files are.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring import Figure, collect, figure, here
from benchmarks.peers import MLFLOW

HERE = Path(__file__).parent
#: Milliseconds for an operation.
TARGET = 5.0


def run(runs: int, peers: bool) -> list[Figure]:
    """Medians over runs of the median of each call, in a registry of 1,000 versions of 20 models."""
    figures = _figures("tidemill", collect(runs, here(), HERE / "ours.py"), TARGET)
    if peers:
        MLFLOW.install()
        theirs = collect(runs, MLFLOW.python, HERE / "on_mlflow.py", environment=MLFLOW.environment)
        figures += _figures(f"mlflow {MLFLOW.version}", theirs, None)
    return figures


def _figures(who: str, samples: dict[str, list[float]], target: float | None) -> list[Figure]:
    return [figure(who, what, values, "ms CPU", target) for what, values in samples.items()]
