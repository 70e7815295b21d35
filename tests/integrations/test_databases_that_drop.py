"""A server that drops in the middle of a read must be named, nothing half-read kept, no row lost or read twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import polars as pl
import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from tidemill.core.errors import DataError
from tidemill.data.read import read, resolve_source, scan_source
from tidemill.engine import pipeline, step
from tidemill.integrations import databases
from tidemill.project import load_project, use_project
from tidemill.store import open_store

ROWS = 200_000
TEXT = 200  # more than the buffers between a server and its client take


@dataclass
class Server:
    """Where a large table can be read, and how to end every connection that reads it."""

    uri: str
    query: str
    drop: Callable[[], None]


@pytest.fixture(params=["adbc", "psycopg", pytest.param("mariadb", marks=pytest.mark.services)])
def server(request) -> Server:
    if request.param == "mariadb":
        uri = request.getfixturevalue("mariadb_server")
        url = sa.make_url(uri)

        def drop() -> None:
            with closing(pymysql.connect(host=url.host, port=url.port, user=url.username)) as other:
                cursor = other.cursor()
                cursor.execute("SELECT id FROM information_schema.processlist WHERE db = 'test'")
                for (number,) in cursor.fetchall():
                    cursor.execute(f"KILL CONNECTION {number}")

        query = f"SELECT seq AS id, REPEAT('x', {TEXT}) AS note FROM seq_1_to_{ROWS}"
        return Server(uri.replace("mysql:", "mysql:"), query, drop)
    uri = request.getfixturevalue("postgres_server")

    def end() -> None:
        with psycopg.connect(uri, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    query = f"SELECT id, repeat('x', {TEXT}) AS note FROM generate_series(1, {ROWS}) AS id"
    named = uri if request.param == "adbc" else uri.replace("postgresql:", "postgresql+psycopg:")
    return Server(named, query, end)


@pytest.fixture
def drops(monkeypatch, server) -> list[int]:
    """While it holds numbers, the server drops the connection after that many parts with rows."""
    after: list[int] = []
    write = databases.write_snapshot

    def dropping(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        left = after.pop() if after else None
        for part in parts:
            yield part
            if left is not None and part.height:
                left -= 1
                if left == 0:
                    server.drop()

    monkeypatch.setattr(databases, "write_snapshot", lambda parts, *rest, **how: write(dropping(parts), *rest, **how))
    return after


def test_the_source_is_named_and_nothing_half_read_is_kept(tmp_path, server, drops):
    sources = {"orders": {"uri": server.uri, "query": server.query, "chunk_rows": 1000}}
    drops.append(1)
    with pytest.raises(DataError, match=r"source 'orders': .* cannot be read: .*then run again"):
        resolve_source("orders", root=tmp_path, sources=sources)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".gitignore"] == []
    table = scan_source(resolve_source("orders", root=tmp_path, sources=sources), root=tmp_path)
    assert table.select(pl.len(), pl.col("id").sum()).collect().row(0) == (ROWS, ROWS * (ROWS + 1) // 2)


def test_the_next_run_of_an_incremental_pipeline_reads_every_row_once(tmp_path, server, drops):
    (tmp_path / "tidemill.toml").write_text(
        f"[project]\nname = 'tests'\n[sources.s]\nuri = '{server.uri}'\ncursor = 'id'\nchunk_rows = 1000\n"
        f'query = "{server.query}"\n'
    )

    @step
    def total(orders: pl.LazyFrame) -> tuple[int, int | None]:
        return orders.select(pl.len(), pl.col("id").sum()).collect().row(0)

    @pipeline
    def flow() -> tuple[int, int | None]:
        return total(read("s"))

    with (
        open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store,
        use_project(load_project(tmp_path)),
    ):
        placed = flow.using(store=store, project="tests", root=tmp_path)
        drops.append(1)
        failed = placed.run()
        assert failed.status == "failed"
        assert "source 's'" in str(failed.error)
        assert placed() == (ROWS, ROWS * (ROWS + 1) // 2)
        assert placed() == (0, 0)
