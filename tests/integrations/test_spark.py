"""A Spark table must be read as what it is, in bounded memory and time, and compose with every other engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from spark_servers import connect_server, free_port, standalone

import tidemill as tm
from tidemill.core.errors import ConfigError, DataError, SchemaError
from tidemill.data.contract import TableContract
from tidemill.data.read import read, resolve_source, scan_source, source_info
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Window
from tidemill.engine import pipeline
from tidemill.project import load_project, use_project
from tidemill.store import open_store

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.RETRIES_EXCEEDED:UserWarning"),  # said besides raising
]

SECONDS = 600
FLIGHTS = """
SELECT * FROM VALUES
  (1, 'EWR', 2.5D, TIMESTAMP'2013-07-01 10:00:00', TIMESTAMP'2013-02-01 00:00:00'),
  (2, 'JFK', CAST(NULL AS DOUBLE), TIMESTAMP'2013-07-02 11:00:00', TIMESTAMP'2013-02-02 00:00:00'),
  (3, 'EWR', -4.0D, TIMESTAMP'2013-07-03 12:00:00', TIMESTAMP'2013-02-03 00:00:00')
AS flights(id, origin, delay, `at`, updated_at)"""

TYPES = """
SELECT TIMESTAMP'2024-07-01 12:00:00' AS instant, TIMESTAMP_NTZ'2024-07-01 12:00:00' AS clock, DATE'1500-01-01' AS day,
  CAST(1.5 AS DECIMAL(10, 2)) AS price, CAST(NULL AS INT) AS nothing, ARRAY(1, NULL) AS numbers,
  NAMED_STRUCT('x', 1, 'seen', TIMESTAMP'2024-07-01 12:00:00') AS point, X'00ff' AS raw, CAST(7 AS TINYINT) AS small,
  'it''s \\\\ ⚓' AS `we.ird ``name`"""


def resolve(root: Path, raw: dict, window: Window | None = None, **selection) -> ResolvedSource:
    return resolve_source("s", root=root, sources={"s": raw}, selection=Selection(**selection), window=window)


def load(root: Path, raw: dict, **selection) -> pl.DataFrame:
    columns = selection.pop("columns", None)
    chosen = None if columns is None else tuple(columns)
    resolved = resolve(root, raw, columns=chosen, **selection)
    return scan_source(resolved, root=root, columns=columns, **selection).collect()


@pytest.fixture
def table(spark):
    spark.sql(FLIGHTS).createOrReplaceTempView("flights")
    yield {"uri": "spark://", "table": "flights", "event_time": "at"}
    spark.catalog.dropTempView("flights")


@pytest.fixture(scope="module")
def server(java):
    with connect_server() as uri:
        yield uri


def require_types(row: dict) -> None:
    noon = datetime(2024, 7, 1, 16, tzinfo=UTC)  # twelve in New York, where the session is
    assert row["instant"] == noon
    assert row["clock"] == datetime(2024, 7, 1, 12)
    assert (row["day"], row["price"], row["nothing"]) == (date(1500, 1, 1), Decimal("1.50"), None)
    assert row["numbers"] == [1, None]
    assert row["point"] == {"x": 1, "seen": noon}
    assert (row["raw"], row["small"], row["we.ird `name"]) == (b"\x00\xff", 7, "it's \\ ⚓")


def test_instants_and_every_other_type_arrive_as_they_are(tmp_path, spark):
    frame = load(tmp_path, {"uri": "spark://", "query": TYPES})
    require_types(frame.row(0, named=True))
    assert frame.schema["instant"] == pl.Datetime("us", "UTC")
    assert frame.schema["small"] == pl.Int8
    odd = "SELECT INTERVAL '1' DAY AS wait, NULL AS void, TIME'12:00:00' AS clock, MAP('k', 1) AS pairs"
    row = load(tmp_path, {"uri": "spark://", "query": odd}).row(0, named=True)
    assert (row["wait"].days, row["void"], row["clock"].hour) == (1, None, 12)
    with pytest.raises(SchemaError, match=r"types that no other engine holds: .*'m: interval month'"):
        load(tmp_path, {"uri": "spark://", "query": "SELECT INTERVAL '1' MONTH AS m"})


def test_the_same_table_over_spark_connect(tmp_path, server):
    frame = load(tmp_path, {"uri": server, "query": TYPES})
    require_types(frame.row(0, named=True))
    raw = {"uri": server, "query": FLIGHTS, "event_time": "at"}
    assert load(tmp_path, raw, columns=["id"], where="origin = 'EWR' AND delay > 0.5").rows() == [(1,)]
    first = resolve(tmp_path, {**raw, "cursor": "updated_at"}, Window("updated_at"))
    assert first.window.upto == datetime(2013, 2, 3, 5, tzinfo=UTC)
    with pytest.raises(DataError, match=r"Spark cannot read source 's': .*nope.*'SELECT \* FROM nope'"):
        load(tmp_path, {"uri": server, "query": "SELECT * FROM nope"})


def test_selections(tmp_path, table):
    assert load(tmp_path, table).sort("id")["at"][0] == datetime(2013, 7, 1, 14, tzinfo=UTC)
    assert load(tmp_path, table, columns=["id"], where="origin = 'EWR' AND delay > 0.5").rows() == [(1,)]
    assert load(tmp_path, table, where="origin IN ('JFK', 'LGA')", columns=["id"]).rows() == [(2,)]
    assert load(tmp_path, table, columns=["id"], where="delay IS NULL OR id = 3").sort("id").rows() == [(2,), (3,)]
    assert load(tmp_path, table, columns=["id"], since="2013-07-02", until="2013-07-03").rows() == [(2,)]
    with pytest.raises(SchemaError, match=r"does not have all columns.*'gone'.*Columns are: id, origin"):
        load(tmp_path, table, columns=["gone"])
    with pytest.raises(ConfigError, match="where is not a condition"):
        load(tmp_path, table, where="id = 1) UNION SELECT (2")


def test_text_is_never_taken_for_sql(tmp_path, spark):
    query = r"SELECT * FROM VALUES (1, 'it''s'), (2, 'back\\slash'), (3, 'x'' OR 1=1 --') AS t(id, name)"
    for wanted, name in ((1, "it's"), (2, "back\\slash"), (3, "x' OR 1=1 --")):
        quoted = name.replace("'", "''")
        frame = load(tmp_path, {"uri": "spark://", "query": query}, where=f"name = '{quoted}'")
        assert frame["id"].to_list() == [wanted]


def test_rows_and_columns_that_are_not_meant_stay_in_spark(tmp_path, table, spark, monkeypatch):
    from tidemill.integrations import spark as connector

    seen = []
    keep = connector.received
    monkeypatch.setattr(
        connector, "received", lambda frame, folder: seen.append((frame.count(), frame.columns)) or keep(frame, folder)
    )
    load(tmp_path, table, columns=["id"], where="origin = 'JFK'")
    load(tmp_path, table, columns=["id"], since="2014-01-01")
    load(tmp_path, table, columns=["id"], where="id <= 1")
    assert seen == [(1, ["id", "origin"]), (0, ["id", "at"]), (1, ["id"])]


def test_the_fingerprint_is_of_the_rows_in_whatever_order_they_come(tmp_path, table, spark):
    first = resolve(tmp_path, table)
    spark.table("flights").orderBy("delay").createOrReplaceTempView("turned")
    assert resolve(tmp_path, {**table, "table": "turned"}).files[0].digest == first.files[0].digest
    assert resolve(tmp_path, table).fingerprint == first.fingerprint
    info = source_info("s", root=tmp_path, sources={"s": table})
    assert (info.rows, info.schema.names[:2]) == (3, ("id", "origin"))
    spark.sql(FLIGHTS.replace("2.5D", "2.6D")).createOrReplaceTempView("flights")
    assert resolve(tmp_path, table).fingerprint != first.fingerprint
    assert scan_source(first, root=tmp_path).collect()["delay"].sum() == -1.5  # what was pinned is still here
    for kept in tmp_path.rglob("*.parquet"):
        kept.unlink()
    with pytest.raises(DataError, match="changed after the run was planned: 'table flights'"):
        scan_source(first, root=tmp_path)


def test_a_window_of_a_cursor(tmp_path, table, spark):
    raw = {**table, "cursor": "updated_at"}
    first = resolve(tmp_path, raw, Window("updated_at"))
    assert first.window.upto == datetime(2013, 2, 3, 5, tzinfo=UTC)
    assert scan_source(first, root=tmp_path).collect().height == 3
    more = """ UNION ALL SELECT 4, 'LGA', 1, TIMESTAMP'2013-07-04 00:00:00', TIMESTAMP'2013-02-04 00:00:00'
               UNION ALL SELECT 5, 'LGA', 1, TIMESTAMP'2013-07-05 00:00:00', NULL"""
    spark.sql(FLIGHTS + more).createOrReplaceTempView("flights")
    later = resolve(tmp_path, raw, Window("updated_at", first.window.upto))
    assert scan_source(later, root=tmp_path, columns=["id"]).collect().rows() == [(4,)]
    again = resolve(tmp_path, raw, Window("updated_at", None, first.window.upto))
    assert sorted(scan_source(again, root=tmp_path, columns=["id"]).collect()["id"]) == [1, 2, 3, 5]
    assert again.fingerprint != first.fingerprint  # a row without a cursor value has come
    nothing = {"uri": "spark://", "query": f"{FLIGHTS} WHERE id > 9", "cursor": "updated_at"}
    empty = resolve(tmp_path, nothing, Window("updated_at"))
    assert empty.window == Window("updated_at")
    with pytest.raises(SchemaError, match=r"the cursor of source 's' is decimal"):
        resolve(tmp_path, {"uri": "spark://", "query": "SELECT 1.5 AS x", "cursor": "x"}, Window("x"))


def test_a_large_result_goes_by_the_disk_not_through_this_process(tmp_path, java):
    code = """
        import resource, sys
        from pathlib import Path
        from tidemill.data.read import resolve_source, scan_source
        import polars as pl
        query = "SELECT id, sha2(string(id), 512) AS u FROM range(3000000)"
        raw = {"uri": "spark://local[2]", "query": query, "conf": {"spark.driver.memory": "700m"}}
        root = Path(sys.argv[1])
        small = resolve_source("s", root=root, sources={"s": {**raw, "query": "SELECT 1 AS x"}})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resolved = resolve_source("s", root=root, sources={"s": raw})
        print(scan_source(resolved, root=root).select(pl.len()).collect().item())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    rows, grown = map(int, done.stdout.split())
    assert rows == 3_000_000
    assert grown < 250 * 1024  # KiB; the table is 400 MB


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_mistakes_are_named(tmp_path, table):
    with pytest.raises(ConfigError, match="needs either query or table"):
        load(tmp_path, {"uri": "spark://"})
    with pytest.raises(DataError, match=r"Spark cannot read source 's': .*`nope`.*'table nope'"):
        load(tmp_path, {"uri": "spark://", "table": "nope"})
    with pytest.raises(DataError, match=r"PARSE_SYNTAX_ERROR.*'SELEC 1'"):
        load(tmp_path, {"uri": "spark://", "query": "SELEC 1"})
    with pytest.raises(DataError, match="DIVIDE_BY_ZERO"):
        load(tmp_path, {"uri": "spark://", "query": "SELECT 1 / 0 AS x"})
    with pytest.raises(SchemaError, match=r"names columns twice: \['id'\]"):
        load(tmp_path, {"uri": "spark://", "query": "SELECT 1 AS id, 2 AS id"})
    with pytest.raises(ConfigError, match=r"needs Spark at spark://127\.0\.0\.1:1, .* 'local\[2\]'"):
        load(tmp_path, {"uri": "spark://127.0.0.1:1", "table": "flights"})
    with pytest.raises(ConfigError, match=r"spark\.sql\.session\.timeZone = 'UTC', .* 'America/New_York'"):
        load(tmp_path, {**table, "conf": {"spark.sql.session.timeZone": "UTC"}})
    with pytest.raises(ConfigError, match="names no Spark master"):
        load(tmp_path, {"uri": "spark://somewhere", "table": "flights"})


def test_nothing_is_ever_written_by_a_source(tmp_path, spark):
    for statement in ("CREATE TABLE made (x INT) USING parquet", "DROP VIEW IF EXISTS flights", "SET x = 1"):
        with pytest.raises(DataError, match="PARSE_SYNTAX_ERROR"):
            load(tmp_path, {"uri": "spark://", "query": statement})
    assert not spark.catalog.tableExists("made")


def test_the_session_is_left_as_it_was(tmp_path, table, spark):
    before = spark.conf.get("spark.sql.parquet.outputTimestampType")
    load(tmp_path, table)
    assert spark.conf.get("spark.sql.parquet.outputTimestampType") == before


def test_nobody_there_is_said_at_once(tmp_path, java):
    port = free_port()
    with pytest.raises(DataError, match=rf"Spark does not answer at sc://127\.0\.0\.1:{port}/;token=\*\*\*, where"):
        load(tmp_path, {"uri": f"sc://127.0.0.1:{port}/;token=s3cret", "table": "flights"})
    assert shown("sc://h:1/;token=abc;user_id=ann") == "sc://h:1/;token=***;user_id=ann"
    code = f"""
        import sys
        from pathlib import Path
        from tidemill.data.read import resolve_source
        raw = {{"uri": "spark://127.0.0.1:{port}", "table": "flights"}}
        resolve_source("s", root=Path(sys.argv[1]), sources={{"s": raw}})
    """
    done = run(code, tmp_path)
    assert f"Spark does not answer at spark://127.0.0.1:{port}, where source 's' is" in done.stderr
    assert (
        "Spark needs Java, which 's' cannot find: '/nowhere'"
        in run(code.replace(f"127.0.0.1:{port}", "local[1]"), tmp_path, JAVA_HOME="/nowhere").stderr
    )


def test_a_master_without_workers_is_not_waited_for_for_ever(tmp_path, java):
    code = """
        import sys
        from pathlib import Path
        from tidemill.data.read import resolve_source
        raw = {"uri": sys.argv[2], "query": "SELECT id FROM range(10) ORDER BY id", "timeout": 5}
        resolve_source("s", root=Path(sys.argv[1]), sources={"s": raw})
    """
    with standalone() as uri:
        done = run(code.replace("sys.argv[2]", repr(uri)), tmp_path)
    assert "Spark took longer than 5 s for SELECT id FROM range(10)" in done.stderr, done.stderr


def test_a_server_that_dies_is_said_and_leaves_nothing_half_read(tmp_path, java):
    with connect_server() as uri:
        load(tmp_path, {"uri": uri, "query": FLIGHTS})
    kept = set(tmp_path.rglob("*.parquet"))
    with pytest.raises(DataError, match="Spark stopped, or the connection to it broke, when it was to read source 's'"):
        load(tmp_path, {"uri": uri, "query": "SELECT 2 AS x"})
    assert set(tmp_path.rglob("*.parquet")) == kept
    assert not list(tmp_path.rglob("tmp-*"))


def test_a_java_process_that_is_killed_in_the_middle_of_a_read_is_said_clearly(tmp_path, java):
    code = """
        import os, signal, sys, threading
        from pathlib import Path
        import psutil
        from tidemill.data.read import resolve_source
        root = Path(sys.argv[1])
        raw = {"uri": "spark://local[1]", "query": "SELECT 1 AS x", "conf": {"spark.driver.memory": "512m"}}
        resolve_source("s", root=root, sources={"s": raw})
        java = [child.pid for child in psutil.Process().children(recursive=True) if child.name() == "java"]
        slow = {**raw, "query": "SELECT sum(hash(id)) AS x FROM range(100000000000)"}

        def kill():
            # the folder that Spark writes to is there: it is in the middle
            while not list(root.rglob("tmp-*/parts/_temporary")):
                pass
            for pid in java:
                os.kill(pid, signal.SIGKILL)

        threading.Thread(target=kill).start()
        resolve_source("s", root=root, sources={"s": slow})
    """
    done = run(code, tmp_path)
    assert "DataError: Spark stopped, or the connection to it broke, when it was to read source 's'" in done.stderr
    assert done.returncode == 1
    assert not list(tmp_path.rglob("tmp-*"))


def test_no_java_process_outlives_a_run_that_started_one(tmp_path, java):
    import psutil

    code = """
        import os, signal, sys
        from pathlib import Path
        import psutil
        from tidemill.data.read import resolve_source
        raw = {"uri": "spark://local[1]", "query": "SELECT 1 AS x", "conf": {"spark.driver.memory": "512m"}}
        resolve_source("s", root=Path(sys.argv[1]), sources={"s": raw})
        print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
        if END: os.kill(os.getpid(), signal.SIGKILL)
    """
    for end in ("0", "1"):
        done = run(code.replace("END", end), tmp_path)
        assert done.returncode == (-signal.SIGKILL if end == "1" else 0), done.stderr
        started = [int(pid) for pid in done.stdout.split()]
        assert started
        for pid in started:
            if psutil.pid_exists(pid):
                psutil.Process(pid).wait(30)


PIPELINE = """
import pandas as pd
import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

import tidemill as tm


@tm.step
def made() -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2, 3], "at": ["2024-07-01 12:00", "2024-07-02 12:00", None]}).with_columns(
        pl.col("at").str.to_datetime("%Y-%m-%d %H:%M").dt.replace_time_zone("America/New_York")
    )


@tm.step(executor=EXECUTOR)
def doubled(table: DataFrame) -> DataFrame:
    return table.withColumn("twice", F.col("id") * 2).where("id > 1")


@tm.step
def summed(table: pd.DataFrame) -> int:
    print("sum", table["twice"].sum())
    return int(table["twice"].sum())


@tm.step
def moments(table: pl.LazyFrame) -> list:
    print("moments", *table.collect()["at"].dt.convert_time_zone("UTC").to_list())
    return []


@tm.pipeline
def train() -> int:
    table = doubled(made())
    moments(table)
    return summed(table)
"""


@pytest.mark.parametrize("executor", ["inline", "worker"])
def test_steps_in_different_engines_compose(tmp_path, java, executor):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "flow.py").write_text(PIPELINE.replace("EXECUTOR", repr(executor)))
    done = subprocess.run(
        [sys.executable, "-m", "tidemill.cli", "run", "train", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"message": "sum 10"' in done.stdout
    assert '"message": "moments 2024-07-02 16:00:00+00:00 None"' in done.stdout
    again = subprocess.run(
        [sys.executable, "-m", "tidemill.cli", "plan", "train"],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert "4 cached" in again.stdout, again.stdout


def test_a_source_in_a_pipeline_reads_on_from_its_cursor(tmp_path, table, spark):
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "p"\n[sources.flights]\nuri = "spark://"\ntable = "flights"\ncursor = "id"\n'
    )

    @pipeline
    def flow():
        return read("flights", columns=["id"])

    with (
        open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store,
        use_project(load_project(tmp_path)),
    ):
        placed = flow.using(store=store, project="p", root=tmp_path)
        assert placed().collect()["id"].sort().to_list() == [1, 2, 3]
        spark.sql(f"{FLIGHTS} UNION ALL SELECT 4, 'LGA', 1, NULL, NULL").createOrReplaceTempView("flights")
        assert placed().collect()["id"].to_list() == [4]
        assert placed().collect()["id"].to_list() == []


def test_verbs_take_a_spark_table_without_starting_python_for_it(spark, monkeypatch):
    """Spark looks for a Python on the path, which need not be this one, nor have what it needs."""
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "/there/is/no/python")
    rows = spark.range(100).selectExpr("id AS queue", "id % 10 > 6 AS late", "timestamp_seconds(id) AS at")
    data = tm.split(rows, tm.by_share(), "late", time="at")
    assert (data.train.height, data.validation.height, data.test.height) == (70, 15, 15)
    assert data.train.schema["at"] == pl.Datetime("us", "UTC")
    assert tm.validate(rows, TableContract("orders", min_rows=100)).valid.height == 100
