"""A table in a database must read like the same table in a file, on SQLite, PostgreSQL, MariaDB and DuckDB alike."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.errors import ConfigError, DataError, MissingExtraError, NotFoundError, SchemaError
from tidemill.data.read import resolve_source, scan_source, source_info
from tidemill.data.sources.source import ResolvedSource, Selection, Window
from tidemill.integrations import adbc, databases


def resolve(root: Path, raw: dict, window: Window | None = None, **selection) -> ResolvedSource:
    return resolve_source("s", root=root, sources={"s": raw}, selection=Selection(**selection), window=window)


def load(root: Path, raw: dict, **selection) -> pl.DataFrame:
    columns = selection.pop("columns", None)
    chosen = None if columns is None else tuple(columns)
    resolved = resolve(root, raw, columns=chosen, **selection)
    return scan_source(resolved, root=root, columns=columns, **selection).collect()


@pytest.fixture
def table(database):
    return {"uri": database.uri, "table": "flights", "event_time": "at"}


def test_a_table_and_a_query(tmp_path, database, table):
    everything = load(tmp_path, table).sort("id")
    assert everything.columns == ["id", "origin", "delay", "at", "updated_at"]
    assert everything.row(0) == (1, "EWR", 2.5, datetime(2013, 1, 1, 10), datetime(2013, 2, 1))
    assert everything["delay"].to_list() == [2.5, None, -4.0]
    query = """SELECT id, ':colon' AS note, '5%' AS share FROM flights
               WHERE updated_at > '2013-02-01 23:00:00' ORDER BY id;"""
    assert load(tmp_path, {"uri": database.uri, "query": query}).rows() == [(2, ":colon", "5%"), (3, ":colon", "5%")]


def test_selections(tmp_path, table):
    assert load(tmp_path, table, columns=["id"], where="origin = 'EWR' AND delay > 0.5").rows() == [(1,)]
    assert load(tmp_path, table, where="origin IN ('JFK', 'LGA')", columns=["id"]).rows() == [(2,)]
    assert load(tmp_path, table, columns=["id"], where="delay IS NULL OR id = 3").sort("id").rows() == [(2,), (3,)]
    assert load(tmp_path, table, columns=["id"], since="2013-01-02", until="2013-01-03").rows() == [(2,)]
    with pytest.raises(SchemaError, match="does not have all columns"):
        load(tmp_path, table, columns=["gone"])
    with pytest.raises(SchemaError, match="does not have all columns"):
        load(tmp_path, table, where="gone = 1")
    with pytest.raises(ConfigError, match="where is not a condition"):
        load(tmp_path, table, where="id = 1) UNION SELECT (2")


def test_rows_that_are_not_meant_stay_in_the_database(tmp_path, database, table, monkeypatch):
    fetched = []
    write = databases.write_snapshot

    def counting(parts, *rest, **how) -> None:
        frames = list(parts)
        fetched.append((sum(frame.height for frame in frames), frames[0].width))
        write(frames, *rest, **how)

    monkeypatch.setattr(databases, "write_snapshot", counting)
    load(tmp_path, table, columns=["id"], where="origin = 'JFK'")
    load(tmp_path, table, columns=["id"], since="2013-06-01")
    assert fetched == [(1, 2), (0, 2)]


def test_the_fingerprint_follows_the_content(tmp_path, database, table):
    first = resolve(tmp_path, table)
    assert resolve(tmp_path, table).fingerprint == first.fingerprint
    info = source_info("s", root=tmp_path, sources={"s": table})
    assert (info.rows, info.schema.names[:2]) == (3, ("id", "origin"))
    database.run("UPDATE flights SET delay = 3 WHERE id = 1")
    assert resolve(tmp_path, table).fingerprint != first.fingerprint
    assert scan_source(first, root=tmp_path).collect()["delay"].sum() == -1.5  # what was pinned is still here
    for kept in tmp_path.rglob("*.parquet"):
        kept.unlink()
    with pytest.raises(DataError, match="changed after the run was planned: 'table flights'"):
        scan_source(first, root=tmp_path)


def test_a_window_of_a_cursor(tmp_path, database, table):
    raw = {**table, "cursor": "updated_at"}
    first = resolve(tmp_path, raw, Window("updated_at"))
    assert scan_source(first, root=tmp_path).collect().height == 3
    database.run("INSERT INTO flights VALUES (4, 'LGA', 1, '2013-01-04', '2013-02-04 00:00:00')")
    database.run("INSERT INTO flights VALUES (5, 'LGA', 1, '2013-01-05', NULL)")
    later = resolve(tmp_path, raw, Window("updated_at", first.window.upto))
    assert scan_source(later, root=tmp_path, columns=["id"]).collect().rows() == [(4,)]
    again = resolve(tmp_path, raw, Window("updated_at", None, first.window.upto))
    assert sorted(scan_source(again, root=tmp_path, columns=["id"]).collect()["id"]) == [1, 2, 3, 5]
    assert again.fingerprint != first.fingerprint  # a row without a cursor value has come


def test_an_empty_table(tmp_path, database, table):
    database.run("DELETE FROM flights")
    assert load(tmp_path, table).height == 0
    assert load(tmp_path, table, columns=["id"], where="origin = 'EWR'").shape == (0, 1)
    assert resolve(tmp_path, table, Window("updated_at")).window == Window("updated_at")


def test_mistakes_are_named(tmp_path, database):
    with pytest.raises(ConfigError, match="needs either query or table"):
        load(tmp_path, {"uri": database.uri})
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path, {"uri": database.uri, "table": "gone"})
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path, {"uri": database.uri, "query": "DELETE FROM flights RETURNING id"})
    if database.uri.startswith("postgresql"):  # the others number them
        with pytest.raises(SchemaError, match="names columns twice"):
            load(tmp_path, {"uri": database.uri, "query": "SELECT a.id, b.id FROM flights a, flights b"})
    assert load(tmp_path, {"uri": database.uri, "table": "flights"}).height == 3


@pytest.mark.parametrize("uri", ["sqlite:///gone.db", "duckdb:///gone.db"])
def test_a_database_that_is_not_there_is_not_made(tmp_path, uri):
    with pytest.raises(NotFoundError, match=r"the database of source 's' is not there"):
        load(tmp_path, {"uri": uri, "table": "flights"})
    assert not (tmp_path / "gone.db").exists()


def test_passwords_are_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2-of-the-test")
    for password in ("${env:DB_PASSWORD}", "hunter2-of-the-test"):
        raw = {"uri": f"postgresql://ann:{password}@127.0.0.1:1/flights", "table": "flights"}
        with pytest.raises(DataError) as caught:
            load(tmp_path, raw)
        assert "ann" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_a_driver_that_is_missing_is_named(tmp_path):
    try:
        import pymysql  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"tidemill\[mysql\]"):
            load(tmp_path, {"uri": "mysql://ann@127.0.0.1:1/flights", "table": "flights"})
    with pytest.raises(ConfigError, match="has a URL that cannot be read"):
        load(tmp_path, {"uri": "gopher://host/db", "table": "flights"})


def test_types_that_polars_lacks_arrive_as_text(tmp_path, postgres_server):
    query = """SELECT '1a2b3c4d-0000-0000-0000-000000000000'::uuid AS u, 1.25::numeric AS n, b.t,
               '{"a": 1}'::jsonb AS j,
               '\\x00ff'::bytea AS b FROM (SELECT '2013-01-01 00:00+02'::timestamptz AS t) AS b"""
    row = load(tmp_path, {"uri": postgres_server, "query": query}).row(0, named=True)
    assert row["u"] == "1a2b3c4d-0000-0000-0000-000000000000"
    assert float(row["n"]) == 1.25
    assert row["t"] == datetime(2012, 12, 31, 22, tzinfo=UTC)
    assert row["j"] == {"a": 1}
    assert row["b"] == b"\x00\xff"


def test_a_column_of_several_types_is_named_also_when_the_change_comes_late(tmp_path):
    with sqlite3.connect(tmp_path / "f.db") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in [*range(50), "late"]])
    connection.close()
    for rows in (10, 1000):
        with pytest.raises(SchemaError, match="column 'x' holds values of several types"):
            load(tmp_path, {"uri": "sqlite:///f.db", "table": "t", "chunk_rows": rows})


def test_both_ways_of_reading_postgresql_give_one_table(tmp_path, postgres_server):
    """Whether ADBC is installed must not be seen in the data."""
    query = """SELECT i::int2 AS small, i::int4 AS whole, i::int8 AS big, i % 2 = 0 AS even, i / 7.0::float8 AS share,
               (i * 0.1)::float4 AS single, 'text ' || i AS note, '\\x00ff'::bytea AS bytes, NULL::int4 AS never,
               DATE '2013-01-01' + i AS day, TIMESTAMP '2013-01-01 10:00:00.000001' + i * INTERVAL '1 h' AS moment,
               TIMESTAMPTZ '2013-01-01 10:00:00+02' + i * INTERVAL '1 h' AS utc
               FROM generate_series(1, 1000) AS i"""
    raw = {"query": query, "chunk_rows": 300}
    arrow = load(tmp_path, {"uri": postgres_server, **raw})
    rows = load(tmp_path, {"uri": postgres_server.replace("postgresql:", "postgresql+psycopg:"), **raw})
    assert arrow.equals(rows)
    assert arrow.schema == rows.schema
    assert arrow["single"][2] == 0.3
    nothing = f"SELECT * FROM ({query}) AS q WHERE false"
    assert load(tmp_path, {"uri": postgres_server, "query": nothing}).schema == arrow.schema


def test_rows_come_as_arrow_where_adbc_is_installed(tmp_path, postgres_server, monkeypatch):
    asked = []
    through = adbc.postgresql_parts
    monkeypatch.setattr(adbc, "postgresql_parts", lambda *how: asked.append(how[2]) or through(*how))
    raw = {"uri": postgres_server, "query": "SELECT i, 'it''s 5% :x' AS n FROM generate_series(1, 3) AS i"}
    assert load(tmp_path, raw, where="i >= 2 AND n = 'it''s 5% :x'")["i"].to_list() == [2, 3]
    assert len(asked) == 1
    load(tmp_path, {"uri": postgres_server, "query": "SELECT 1.5::numeric AS n"})  # has no type of its own in Arrow
    assert len(asked) == 1
    monkeypatch.setattr(adbc, "is_installed", lambda: False)
    assert load(tmp_path, raw)["i"].to_list() == [1, 2, 3]
    assert len(asked) == 1


def test_times_that_are_infinite_are_an_error_and_not_a_date(tmp_path, postgres_server):
    for value in ("'infinity'::timestamp", "'-infinity'::date"):
        with pytest.raises(DataError):
            load(tmp_path, {"uri": postgres_server, "query": f"SELECT {value} AS t"})


@pytest.mark.parametrize("rows", [50_000, 20_000])
def test_a_snapshot_of_many_parts_is_the_same_each_time(tmp_path, database, rows):
    """Its digest is the source's fingerprint: what has not changed must not run again."""
    if database.uri.startswith("sqlite"):
        query = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n"
    elif database.uri.startswith("mysql"):
        query = f"SELECT seq AS i FROM seq_1_to_{rows}"
    else:
        query = f"SELECT i FROM generate_series(1, {rows}) AS t(i)"
    raw = {"uri": database.uri, "query": query, "chunk_rows": 999}
    first = resolve(tmp_path, raw)
    for kept in tmp_path.rglob("*.parquet"):
        kept.unlink()
    assert resolve(tmp_path, raw).fingerprint == first.fingerprint
    assert scan_source(first, root=tmp_path).select(pl.col("i").sum()).collect().item() == rows * (rows + 1) // 2


def test_any_adbc_driver(tmp_path):
    with closing(sqlite3.connect(tmp_path / "f.db")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, note TEXT, at TEXT)")
        connection.execute("INSERT INTO t VALUES (1, 'a', '2013-01-01 10:00:00'), (2, NULL, '2013-01-02 10:00:00')")
        connection.commit()
    raw = {"uri": "adbc+sqlite:///f.db", "table": "t", "event_time": "at"}
    assert load(tmp_path, raw, where="id = 2", columns=["at"]).rows() == [(datetime(2013, 1, 2, 10),)]
    assert load(tmp_path, raw, since="2013-01-02", columns=["id"]).rows() == [(2,)]
    window = resolve(tmp_path, raw, Window("id", 1))
    assert (window.window.upto, scan_source(window, root=tmp_path).collect().height) == (2, 1)
    with pytest.raises(DataError, match=r"source 's': adbc\+sqlite:///f.db cannot be read"):
        load(tmp_path, {**raw, "table": "gone"})
    with pytest.raises(NotFoundError, match="is not there"):
        load(tmp_path, {**raw, "uri": "adbc+sqlite:///gone.db"})
    with pytest.raises(MissingExtraError, match=r"'adbc-driver-magic'.*tidemill\[adbc\]"):
        load(tmp_path, {**raw, "uri": "adbc+magic://host/db"})


def test_any_adbc_driver_on_a_server(tmp_path, postgres_server):
    raw = {"uri": f"adbc+{postgres_server}", "query": "SELECT i, i * 0.5::float8 AS h FROM generate_series(1, 9) AS i"}
    assert load(tmp_path, raw, where="i > 7").rows() == [(8, 4.0), (9, 4.5)]
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path, {"uri": f"adbc+{postgres_server}", "query": "SELECT 1 / 0 AS x"})
