"""A look-up says where its answer comes from; a stale one is not passed off as fresh."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
import pytest
from rows_to_score import to_score

import tidemill as tm
from tidemill.core.errors import ConfigError, MissingExtraError, RunError
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import predictions, start_server
from tidemill.serving.options import ServerOptions
from tidemill.serving.plans import plan_endpoints
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.lookups import SourceRows
from tidemill.serving.starting import ServerHandle

TOML = """[project]
name = "flights"
[sources.flights]
uri = "flights.csv"
event_time = "sched_dep"
[endpoints.flight-delay]
precomputed = "sqlite:///scores.db#late"
rows = "flights"
entity = "flight"
"""
PATH = "/v1/models/flight-delay/predictions/"


@pytest.fixture
def project(tmp_path: Path, packaged: Package) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text(TOML)
    rows = to_score(20)
    newer = rows.filter(flight=4).with_columns(pl.col("sched_dep").dt.offset_by("1d"), pl.lit(81).alias("distance"))
    pl.concat([rows, newer], how="vertical_relaxed").write_csv(tmp_path / "flights.csv")
    with use_project(load_project(tmp_path)) as made:
        store = open_project_store(made)
        register_version(store, packaged)
        promote_version(store, "flight-delay@1")
        rows.filter(pl.col("flight") < 10).write_parquet(tmp_path / "first.parquet")
        tm.score("flight-delay", "first.parquet", "sqlite:///scores.db#late", entity="flight", at="sched_dep")
        yield made


@pytest.fixture
def server(project: Project) -> Iterator[ServerHandle]:
    with start_server("flight-delay", project=project.root) as handle:
        yield handle


def get(server: ServerHandle, entity: str, **query: str) -> tuple[int, dict[str, Any]]:
    response = httpx.get(f"{server.url}{PATH}{entity}", params=query, timeout=60)
    return response.status_code, response.json()


def test_what_was_precomputed_is_answered_and_what_was_not_is_predicted_and_logged(
    server: ServerHandle, project: Project
) -> None:
    status, found = get(server, "7")
    assert (status, found["source"], found["version"], found["entity"]) == (200, "precomputed", 1, "7")
    row = to_score(20).filter(flight=7)
    answer = tm.load("flight-delay").predict(row.drop("flight", "remark").to_dicts())[0]
    assert found["prediction"]["late"] == answer["late"]
    assert found["prediction"]["probability"] == pytest.approx(answer["probability"], abs=1e-6)
    assert found["as_of"] == row["sched_dep"][0].isoformat()
    assert found["scored_at"].endswith("+00:00")
    status, live = get(server, "15")
    assert (status, live["source"], live["why"]) == (200, "live", "no prediction was precomputed")
    logged = predictions(project.hidden / "predictions").collect()
    assert live["request_id"] in logged["request_id"].to_list()


def test_an_entity_is_asked_for_by_its_very_name(project: Project) -> None:
    """Decoded twice, %2541 would be told what was predicted about A; a slash would end the name."""
    (project.root / "tidemill.toml").write_text(TOML.replace("scores.db", "names.db"))
    names = ["A", "%41", "a/b", "50%", "ü ?#", "a%2Fb", ".."]
    rows = to_score(len(names)).with_columns(pl.Series("name", names), heavy=pl.lit(value=False), temp=pl.lit(10.0))
    rows.write_parquet(project.root / "names.parquet")
    tm.score("flight-delay", "names.parquet", "sqlite:///names.db#late", entity="name")
    with start_server("flight-delay", project=project.root) as server:
        for name in names:
            status, found = get(server, quote(name, safe="").replace("..", "%2E%2E"))
            assert (status, found["source"], found["entity"]) == (200, "precomputed", name)
        status, error = get(server, "nobody%2F%41")
        assert (status, error["error"]["message"].partition(".")[0]) == (
            404, "no prediction of this entity: no prediction was precomputed: 'nobody/A'",
        )  # fmt: skip
        assert httpx.get(f"{server.url}/v1/%6Dodels/flight-delay").status_code == 200


def test_what_is_too_old_is_predicted_from_the_newest_row(server: ServerHandle) -> None:
    status, found = get(server, "4", max_age="0")
    assert (status, found["source"]) == (200, "live")
    assert found["why"].startswith("precomputed ")
    row = (
        to_score(20).filter(flight=4).with_columns(pl.col("sched_dep").dt.offset_by("1d"), pl.lit(81).alias("distance"))
    )
    answer = tm.load("flight-delay").predict(row.drop("flight", "remark").to_dicts())[0]
    assert found["prediction"]["probability"] == pytest.approx(answer["probability"], abs=1e-6)
    assert get(server, "4", max_age="1d")[1]["source"] == "precomputed"
    assert get(server, "4", max_age="soon")[0] == 400
    status, error = get(server, "4", maxage="0")
    assert (status, error["error"]["message"]) == (
        400,
        "a look-up takes no such parameter: 'maxage'. It takes max_age.",
    )


def test_what_another_version_said_is_not_the_champions_answer(server: ServerHandle, project: Project) -> None:
    with closing(sqlite3.connect(project.root / "scores.db")) as connection:
        connection.execute("UPDATE late SET version = 9 WHERE entity = 7")
        connection.commit()
    assert get(server, "7")[1]["why"] == "precomputed by version 9, and version 1 answers now"


def test_nobody_knows_the_entity(server: ServerHandle) -> None:
    status, said = get(server, "999")
    assert status == 404
    assert "no row of it either" in said["error"]["message"]
    status, said = get(server, "O'Hare")
    assert status == 404


def test_a_table_that_cannot_be_read_is_no_reason_not_to_answer(server: ServerHandle, project: Project) -> None:
    (project.root / "scores.db").unlink()
    status, found = get(server, "7")
    assert (status, found["source"]) == (200, "live")
    assert "cannot be read" in found["why"]


def test_a_source_that_cannot_be_read_is_the_servers_fault_and_in_its_log(project: Project) -> None:
    """Each client was told 404, as if it had asked for the wrong entity, and the operator nothing."""
    with start_server("flight-delay", project=project.root) as server:
        (project.root / "flights.csv").unlink()
        status, said = get(server, "15")
        assert (status, get(server, "7")[1]["source"]) == (503, "precomputed")
        assert "the source 'flights' cannot be read" in said["error"]["message"]
        assert str(project.root) not in said["error"]["message"]
        assert "the source 'flights' cannot be read" in logged(server)


def test_a_table_that_is_not_there_is_told_in_words(project: Project) -> None:
    """The name of an exception class told nobody what to do; without a source to ask it was the client's fault."""
    (project.root / "scores.db").unlink()
    with closing(sqlite3.connect(project.root / "scores.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    with start_server("flight-delay", project=project.root) as server:
        status, found = get(server, "7")
        assert (status, found["source"]) == (200, "live")
        assert found["why"] == "the precomputed predictions cannot be read: SQLite: no such table: late"
        assert "no such table: late" in logged(server)
    (project.root / "tidemill.toml").write_text(TOML.partition("rows")[0])
    with start_server("flight-delay", project=project.root) as server:
        status, said = get(server, "7")
        assert status == 503
        assert "no such table: late" in said["error"]["message"]


def logged(server: ServerHandle) -> str:
    server._errors.seek(0)
    return server._errors.read().decode()


def test_a_row_that_cannot_be_scored_is_refused_with_its_reason(server: ServerHandle) -> None:
    status, found = get(server, "3")
    assert (status, found["source"]) == (422, "live")
    assert "finite number" in found["prediction"]["error"]["error"]


def test_one_bad_cell_of_a_file_refuses_its_own_entity_only(server: ServerHandle, project: Project) -> None:
    """A column with one word among its numbers is read as text: nobody else's row is worse for it."""
    before = {entity: get(server, entity, max_age="0") for entity in ("14", "15", "16")}
    path = project.root / "flights.csv"
    distance = pl.when(pl.col("flight") == 15).then(pl.lit("far")).otherwise(pl.col("distance")).alias("distance")
    pl.read_csv(path).with_columns(distance).write_csv(path)
    for entity in ("14", "16"):
        status, found = get(server, entity, max_age="0")
        assert (status, found["prediction"]) == (200, before[entity][1]["prediction"])
    status, found = get(server, "15", max_age="0")
    assert (before["15"][0], status) == (200, 422)
    assert "far" in found["prediction"]["error"]["value"]


def test_keys_that_are_written_otherwise_are_other_entities(server: ServerHandle, project: Project) -> None:
    """014 is somebody else than 14, although a reader of the file would take both for a number."""
    before = {entity: get(server, entity, max_age="0")[1]["prediction"] for entity in ("14", "15")}
    path = project.root / "flights.csv"
    keys = pl.col("flight").cast(pl.String).replace({"15": "014"})
    pl.read_csv(path).with_columns(keys).write_csv(path)
    for entity, meant in (("14", "14"), ("014", "15")):
        status, found = get(server, entity, max_age="0")
        assert (status, found["prediction"]) == (200, before[meant])
    assert get(server, "15", max_age="0")[0] == 404


@pytest.mark.parametrize("kind", [pl.Int64, pl.UInt64])
def test_whole_numbers_of_64_bits_are_found_with_all_their_digits(
    project: Project, packaged: Package, kind: Any
) -> None:
    largest = 2**64 - 1 if kind == pl.UInt64 else 2**63 - 1
    keys = pl.Series("who", [largest, largest - 1, 10**18], dtype=kind)
    to_score(3).with_columns(keys).write_parquet(project.root / "wide.parquet")
    with use_project(replace(project, sources={"wide": {"uri": "wide.parquet"}})):
        rows = SourceRows("wide", "who", Predictor(packaged).signature)
        for key in keys:
            row = rows.newest(str(key))
            assert row is not None
            assert row["who"] == key
        for other in (str(2**64), str(largest - 2), f"0{largest}", f"{largest}.0", "nobody"):
            assert rows.newest(other) is None


def test_of_a_database_only_the_rows_of_the_entity_are_read(project: Project, packaged: Package) -> None:
    """Each look-up would read the whole table else."""
    to_score(20).write_database("flights", f"sqlite:///{project.root}/flights.db", engine="adbc")
    declared = {"uri": f"sqlite:///{project.root}/flights.db", "table": "flights"}
    signature = Predictor(packaged).signature
    with use_project(replace(project, sources={"flights": declared})):
        row = SourceRows("flights", "flight", signature).newest("7")
    assert row is not None
    assert row["flight"] == 7
    read = [pl.read_parquet(path).height for path in project.hidden.rglob("*.parquet")]
    assert read
    assert max(read) == 1


def test_without_the_settings_it_says_which(packaged: Package, tmp_path: Path) -> None:
    with start_server(folders=[packaged.write(tmp_path / "model")], log=tmp_path / "log") as handle:
        status, said = get(handle, "7")
    assert status == 404
    assert "precomputed =" in said["error"]["message"]


@pytest.mark.parametrize("body", [{"rows": "flights"}, {"precomputed": 3}, {"entity": "x"}, {"precomputd": "x"}])
def test_settings_that_cannot_be_meant_are_refused(project: Project, body: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        plan_endpoints(["flight-delay"], (), replace(project, endpoints={"flight-delay": body}))


GOOD = {"rows": "flights", "entity": "flight"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"precomputed": "sqlit:///out"}, "precomputed of .*sqlit:///out"),
        (GOOD | {"rows": "dta"}, "rows of .*no source of this name is declared: 'dta'"),
        (GOOD | {"entity": "fligt"}, "no such column: 'fligt'. Did you mean 'flight'"),
        (GOOD | {"rows": "kept", "entity": "fligt"}, "no such column: 'fligt'"),
        (GOOD | {"rows": "ftq://host/flights.csv"}, "reads the scheme 'ftq'"),
    ],
)
def test_look_ups_that_cannot_work_are_refused_at_the_start(project: Project, body: dict[str, str], said: str) -> None:
    """Else each client gets the operator's mistake as its own."""
    to_score(2).write_parquet(project.root / "kept.parquet")
    sources = {**project.sources, "kept": {"uri": "kept.parquet"}, "later": {"uri": "later.csv"}}
    made = replace(project, sources=sources)
    for good in (GOOD, GOOD | {"rows": "kept"}, GOOD | {"rows": "later"}):
        plan_endpoints(["flight-delay"], (), replace(made, endpoints={"flight-delay": good}))
    with pytest.raises(ConfigError, match=said):
        plan_endpoints(["flight-delay"], (), replace(made, endpoints={"flight-delay": body}))


@pytest.mark.parametrize(
    ("uri", "package", "module"),
    [("redis://localhost/0", "redis", "redis"), ("duckdb:///x.duckdb", "duckdb", "scores_duckdb"),
     ("postgresql://localhost/x", "psycopg", "scores_postgresql")],
)  # fmt: skip
def test_a_package_that_look_ups_need_is_missed_at_the_start(
    project: Project, uri: str, package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"tidemill.integrations.{module}", raising=False)
    with pytest.raises(MissingExtraError, match="not installed"):
        plan_endpoints(["flight-delay"], (), replace(project, endpoints={"flight-delay": {"precomputed": uri}}))
    monkeypatch.setitem(sys.modules, "s3fs", None)
    rows = replace(project, endpoints={"flight-delay": GOOD | {"rows": "s3://bucket/flights.csv"}})
    with pytest.raises(MissingExtraError, match=r"tidemill\[s3\]"):
        plan_endpoints(["flight-delay"], (), rows)


def test_a_server_does_not_say_ready_when_its_look_ups_cannot_work(project: Project) -> None:
    (project.root / "tidemill.toml").write_text(TOML.replace("sqlite:", "sqlit:"))
    with pytest.raises(RunError, match="predictions cannot be written there: 'sqlit:"):
        start_server("flight-delay", project=project.root)


def test_an_archive_that_nothing_opens_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else sealed files wait on the machine until somebody reads the log."""
    with pytest.raises(ConfigError, match="no file system for an archive of the prediction log: 'foo://'"):
        ServerOptions(archive="foo://bucket/log")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"tidemill\[s3\]"):
        ServerOptions(archive="s3://bucket/log")
    assert ServerOptions(archive="memory://log").archive == "memory://log"


def test_a_server_that_is_never_asked_loads_no_tables(packaged: Package) -> None:
    code = "import sys, tidemill.serving.rest.app; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
