"""kill -9 in the middle of a night's scoring: the next start goes on, and the table is that of a night without it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rows_to_score import to_score

import tidemill as tm
from tidemill.project import Project

#: The project, the target, how many workers, and at which call of what the process is killed.
PROGRAM = """
import os, signal, sys
import tidemill as tm
from tidemill.project import load_project, use_project
from tidemill.serving.scoring import parquet, sql_table, sqlite

def dying(function, calls, after):
    def called(*given, **more):
        global left
        calls["left"] -= 1
        if calls["left"] == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*given, **more)
        if calls["left"] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

if __name__ == "__main__":
    folder, target, workers, where, call, after = sys.argv[1:]
    if where:
        module, _, name = where.rpartition(":")
        owners = {"parquet": parquet, "table": parquet.ParquetTable, "path": parquet.Path}
        owner = (owners | {"sql": sql_table.SqlTable, "sqlite": sqlite.SqliteTable})[module]
        setattr(owner, name, dying(getattr(owner, name), {"left": int(call)}, after == "after"))
    with use_project(load_project(folder)):
        done = tm.score("flight-delay", "rows.parquet", target, entity="flight", chunk_rows=100, workers=int(workers),
                        errors="bad.ndjson")
    print(done.resumed, done.rows, done.scored, done.refused)
"""

#: In a database: before a chunk, within its transaction, after it, and before the end. In Parquet: also between a
#: chunk's rows and its record, and at both of the renames with which the table appears.
POINTS = [
    ("sqlite:///s.db#late", "sqlite:upsert", 3, "after"),
    ("sqlite:///s.db#late", "sql:write", 4, "before"),
    ("sqlite:///s.db#late", "sql:write", 10, "after"),
    ("postgresql", "sql:upsert", 3, "after"),
    ("postgresql", "sql:write", 4, "after"),
    ("duckdb:///s.duckdb#late", "sql:upsert", 3, "after"),
    ("duckdb:///s.duckdb#late", "sql:write", 4, "after"),
    ("out", "parquet:_written", 4, "after"),
    ("out", "table:write", 4, "after"),
    ("out", "table:finish", 1, "before"),
    ("out", "path:rename", 1, "before"),
    ("out", "path:rename", 1, "after"),
    ("out", "path:rename", 2, "after"),
    ("one.parquet", "table:_show", 1, "before"),
    ("one.parquet", "table:_show", 1, "after"),
]


def run(folder: Path, target: str, *, workers: int = 1, point: tuple[str, int, str] = ("", 0, "")) -> tuple[int, str]:
    where, call, after = point
    command = [sys.executable, "-c", PROGRAM, str(folder), target, str(workers), where, str(call), after]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stdout.strip() or done.stderr


def held(target: str) -> pl.DataFrame:
    uri, _, table = target.partition("#")
    read = tm.read(uri, options={"table": table}) if table else tm.read(target)
    return read.drop("scored_at").sort("entity").collect()


@pytest.mark.slow
@pytest.mark.parametrize(("target", "where", "call", "when"), POINTS)
def test_after_a_kill_the_table_is_that_of_an_undisturbed_run(
    project: Project, request: pytest.FixtureRequest, target: str, where: str, call: int, when: str
) -> None:
    if target == "postgresql":
        target = f"{request.getfixturevalue('postgres_server')}#killed_{where.rpartition(':')[2]}"
    to_score(1000).write_parquet(project.root / "rows.parquet")
    before = to_score(20, seed=9).with_columns(pl.col("flight") + 990)  # rows that were there: some are replaced
    before.write_parquet(project.root / "before.parquet")
    for one in (target, "undisturbed"):
        tm.score("flight-delay", "before.parquet", one, entity="flight")
    code, said = run(project.root, target, point=(where, call, when))
    assert code == -signal.SIGKILL, said
    code, said = run(project.root, target)
    assert code == 0, said
    resumed, *counts = map(int, said.split())
    assert counts == [1000, 998, 2]
    assert resumed >= min(call - 1, 10) if where.startswith("sql") else resumed > 0
    tm.score("flight-delay", "rows.parquet", "undisturbed", entity="flight", chunk_rows=100)
    kinds = held("undisturbed").schema
    assert held(target).cast(kinds).equals(held("undisturbed"))
    lines = (project.root / "bad.ndjson").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [3, 501]
    assert not list(project.root.glob(".*.scoring")), "what was staged is gone"


@pytest.mark.slow
def test_workers_whose_parent_was_killed_end_too(project: Project) -> None:
    to_score(1000).write_parquet(project.root / "rows.parquet")
    code, _ = run(project.root, "out", workers=2, point=("table:write", 3, "after"))
    assert code == -signal.SIGKILL
    # `run` has waited for the end of the output, which the workers hold open as long as they live.
    code, said = run(project.root, "out", workers=2)
    assert (code, said.split()[1:]) == (0, ["1000", "998", "2"])
    assert held("out").height == 1000


@pytest.mark.slow
def test_a_source_that_changed_after_the_kill_is_read_as_it_is_now(project: Project) -> None:
    to_score(300).write_csv(project.root / "rows.parquet.csv")
    program = PROGRAM.replace('"rows.parquet"', '"rows.parquet.csv"')
    command = [sys.executable, "-c", program, str(project.root), "out"]
    cut = subprocess.run([*command, "1", "table:write", "2", "after"], check=False, cwd=project.root)
    assert cut.returncode == -signal.SIGKILL
    to_score(250, seed=8).write_csv(project.root / "rows.parquet.csv")
    done = subprocess.run([*command, "1", "", "0", ""], check=True, cwd=project.root, capture_output=True, text=True)
    assert done.stdout.split()[:2] == ["0", "250"]
    tm.score("flight-delay", "rows.parquet.csv", "undisturbed", entity="flight")
    assert held("out").equals(held("undisturbed"))
