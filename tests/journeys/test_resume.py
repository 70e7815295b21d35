"""A project whose run fails half way, is mended, and goes on in another process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tidemill.project import load_project, open_project_store
from tidemill.store import executions, runs

FLOW = """
from pathlib import Path

import polars as pl

from tidemill.engine import pipeline, step

HERE = Path(__file__).parent


@step
def load(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows)})


@step(effect=True)
def announce(rows: int) -> int:
    with open("announced.txt", "a") as log:
        log.write("announced\\n")
    return rows


@step
def fit(table: pl.DataFrame, announced: int) -> int:
    FIT


@pipeline
def train(rows: int = 10) -> int:
    return fit(load(rows), announce(rows))


if __name__ == "__main__":
    import sys

    print(train.run(rows=7) if len(sys.argv) == 1 else train.run(resume=sys.argv[1]))
"""


@pytest.mark.slow
def test_a_failed_run_is_mended_and_resumed(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "mended"\n')

    def run(body: str, *args: str) -> str:
        (tmp_path / "flow.py").write_text(textwrap.dedent(FLOW).replace("FIT", body))
        return subprocess.run(
            [sys.executable, "flow.py", *args], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    assert "failed" in run("return table.height / 0")
    assert "succeeded, 3 steps" in run("return table.height", "last")
    assert (tmp_path / "announced.txt").read_text() == "announced\n"
    store = open_project_store(load_project(tmp_path))
    with store.metadata.reading() as tx:
        resumed, failed = runs.list_runs(tx)
        assert resumed.resumed_from == failed.id
        assert resumed.project == "mended"
        assert resumed.arguments == {"rows": 7}
        states = {execution.node: execution.status for execution in executions.of_run(tx, resumed.id)}
    assert states == {"load": "cached", "announce": "cached", "fit": "succeeded"}
