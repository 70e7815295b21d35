"""Other tools, each pinned, in a virtual environment of its own under ``.bench/``; nothing calls home."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.measuring import BENCH


@dataclass(frozen=True)
class Peer:
    """A tool to compare with.

    Parameters
    ----------
    name, version, requirements
        What is installed.
    durability
        What is on disk when one of its steps has finished, as configured here.
    environment
        Settings for its process: telemetry off, nothing outside the folder of the run.
    """

    name: str
    version: str
    requirements: tuple[str, ...]
    durability: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return BENCH / f"{self.name}-{self.version}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self) -> None:
        """Make its environment, once."""
        done = self.folder / ".installed"
        if done.exists():
            return
        print(f"installing {self.name} {self.version} into {self.folder.relative_to(BENCH.parent)} …", file=sys.stderr)
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.requirements], check=True)
        done.touch()


PREFECT = Peer(
    "prefect",
    "3.8.8",
    ("prefect==3.8.8", "fastapi==0.139.*", "starlette>=1.0.1"),  # fails on import with the newest FastAPI
    "task states in the SQLite (WAL, synchronous=NORMAL) of its server, started for the run; results pickled to files",
    {
        "PREFECT_HOME": "{folder}/prefect",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    },
)
ZENML = Peer(
    "zenml",
    "0.98.0",
    ("zenml[local]==0.98.0",),
    "step runs in SQLite (rollback journal, synchronous=FULL, its defaults), artifacts as files",
    {
        "ZENML_CONFIG_PATH": "{folder}/zenml",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
        "ZENML_DISABLE_STEP_LOGS_STORAGE": "true",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "AUTO_OPEN_DASHBOARD": "false",
    },
)
DAGSTER = Peer(
    "dagster",
    "1.13.29",
    ("dagster==1.13.29",),
    "an event log in SQLite (WAL, synchronous=FULL, its defaults), outputs pickled to files",
    {"DAGSTER_HOME": "{folder}", "DAGSTER_DISABLE_TELEMETRY": "1"},
)
METAFLOW = Peer(
    "metaflow",
    "2.19.39",
    ("metaflow==2.19.39",),
    "artifacts and metadata as local files, one process a step",
    {
        "METAFLOW_HOME": "{folder}/metaflow",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": "{folder}/metaflow",
        "METAFLOW_DEFAULT_METADATA": "local",
        "METAFLOW_DEFAULT_DATASTORE": "local",
        "METAFLOW_SERVICE_HEADERS": "{}",
        "METAFLOW_DEFAULT_MONITOR": "nullSidecarMonitor",
        "METAFLOW_DEFAULT_EVENT_LOGGER": "nullSidecarLogger",
        "USERNAME": "bench",
    },
)
FG_DATA_PROFILING = Peer(
    "fg-data-profiling",
    "4.20.0",
    ("fg-data-profiling==4.20.0", "pyarrow==26.0.1"),
    "an HTML page",
    {"YDATA_PROFILING_NO_ANALYTICS": "True", "MPLCONFIGDIR": "{folder}"},
)
PANDERA = Peer(
    "pandera", "0.35.0", ("pandera[polars]==0.35.0", "pyarrow==26.0.1"), "raises with all failures; moves no rows"
)
DATAFRAMELY = Peer("dataframely", "3.1.2", ("dataframely==3.1.2",), "raises with counts; can set rows aside")
GREAT_EXPECTATIONS = Peer(
    "great-expectations",
    "1.24.1",
    ("great_expectations==1.24.1", "pyarrow==26.0.1"),
    "a result with counts and examples; moves no rows",
    {"GX_ANALYTICS_ENABLED": "false"},
)
MLFLOW = Peer(
    "mlflow",
    "3.17.2",
    ("mlflow==3.17.2",),
    "rows in SQLite (rollback journal, synchronous=FULL, its defaults); the model's files stay where they were",
    {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
)
MLFLOW_TRAINING = replace(
    MLFLOW,
    name="mlflow-training",
    requirements=(*MLFLOW.requirements, "lightgbm==4.7.0", "polars==2.1.0"),
    durability="rows in SQLite (rollback journal, synchronous=FULL, its defaults), the model as files",
)
_SKLEARN = ("scikit-learn==1.9.1", "numpy==2.4.6")
_NO_LOG = "no log of predictions"
FASTAPI = Peer("fastapi", "0.165.0", ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", *_SKLEARN), _NO_LOG)
LITSERVE = Peer("litserve", "0.2.19", ("litserve==0.2.19", *_SKLEARN), _NO_LOG)
BENTOML = Peer("bentoml", "1.4.39", ("bentoml==1.4.39", *_SKLEARN), _NO_LOG, {"BENTOML_DO_NOT_TRACK": "True"})
MLSERVER = Peer("mlserver", "1.7.1", ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", *_SKLEARN), _NO_LOG)
MLFLOW_SERVING = replace(
    MLFLOW,
    name="mlflow-serving",
    requirements=(*MLFLOW.requirements, *_SKLEARN),
    durability=_NO_LOG,
)
