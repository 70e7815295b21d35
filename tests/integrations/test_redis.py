"""Predictions in a real Redis: the newest of each entity, all of a chunk or nothing, and found again as they were."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from rows_to_score import to_score

import tidemill as tm
from tidemill.core.errors import ConfigError, StoreUnavailableError
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving.scoring.lookups import look_up
from tidemill.serving.scoring.tables import find_prediction, place_of

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: run scripts/services.py")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path_factory.mktemp("r")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()
        process.stdout.read()


@pytest.fixture
def project(tmp_path: Path, packaged: Package) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n')
    to_score(300).write_parquet(tmp_path / "rows.parquet")
    with use_project(load_project(tmp_path)) as made:
        store = open_project_store(made)
        register_version(store, packaged)
        promote_version(store, "flight-delay@1")
        yield made


def test_an_entity_is_found_as_it_was_predicted(project: Project, redis_server: str) -> None:
    uri = f"{redis_server}#found"
    done = tm.score("flight-delay", "rows.parquet", uri, entity="flight", at="sched_dep", chunk_rows=100)
    assert (done.scored, done.refused) == (299, 1)
    predictor = tm.load("flight-delay")
    row = to_score(300).filter(flight=7)
    found = look_up(uri, "7", 1, predictor.signature, None)
    answer = predictor.predict(row.drop("flight", "remark").to_dicts())[0]
    assert found.answer is not None
    assert found.answer.pop("probability") == pytest.approx(answer.pop("probability"), abs=1e-6)
    assert found.answer == answer
    assert found.as_of == row["sched_dep"][0]
    assert "could not be scored" in look_up(uri, "3", 1, predictor.signature, None).why
    assert find_prediction(place_of(uri, project.root), "999") is None


def test_incremental_leaves_alone_what_is_there_and_the_newest_time_stays(project: Project, redis_server: str) -> None:
    uri = f"{redis_server}#again"
    tm.score("flight-delay", "rows.parquet", uri, entity="flight", at="sched_dep")
    done = tm.score("flight-delay", "rows.parquet", uri, entity="flight", at="sched_dep", incremental=True)
    assert (done.unchanged, done.scored) == (300, 0)
    older = to_score(300).with_columns(pl.col("sched_dep").dt.offset_by("-1d"))
    older.write_parquet(project.root / "older.parquet")
    before = find_prediction(place_of(uri, project.root), "8")
    tm.score("flight-delay", "older.parquet", uri, entity="flight", at="sched_dep")
    assert find_prediction(place_of(uri, project.root), "8") == before


def test_a_prefix_is_of_one_model_and_of_one_kind_of_entity(
    project: Project, redis_server: str, packaged: Package
) -> None:
    register_version(open_project_store(project), packaged, name="other")
    uri = f"{redis_server}#mine"
    tm.score("flight-delay", "rows.parquet", uri, entity="flight")
    to_score(9).rename({"flight": "tail"}).write_parquet(project.root / "tails.parquet")
    with pytest.raises(ConfigError, match="from the column 'flight': 'tail'"):
        tm.score("flight-delay", "tails.parquet", uri, entity="tail")
    with pytest.raises(ConfigError, match="holds predictions of 'flight-delay'"):
        tm.score("other@1", "rows.parquet", uri, entity="flight")


def test_a_server_that_is_not_there_is_said(project: Project) -> None:
    with pytest.raises(StoreUnavailableError, match="Redis"):
        tm.score("flight-delay", "rows.parquet", "redis://127.0.0.1:1/0", entity="flight")
