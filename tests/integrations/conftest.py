"""The same table in each real database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import duckdb
import psycopg
import pymysql
import pytest
import sqlalchemy as sa

# A column is named like a word that DuckDB reserves.
CREATE = 'CREATE TABLE flights (id INTEGER, origin VARCHAR(9), delay REAL, "at" TIMESTAMP, updated_at TIMESTAMP)'
ROWS = [
    (1, "EWR", 2.5, "2013-01-01 10:00:00", "2013-02-01 00:00:00"),
    (2, "JFK", None, "2013-01-02 11:00:00", "2013-02-02 00:00:00"),
    (3, "EWR", -4.0, "2013-01-03 12:00:00", "2013-02-03 00:00:00"),
]


@dataclass
class Database:
    """A database with the table `flights`: its URI, and how to change it."""

    uri: str
    run: Callable[[str], Any]


@pytest.fixture(params=["sqlite", "postgresql", "duckdb", pytest.param("mariadb", marks=pytest.mark.services)])
def database(request, tmp_path) -> Database:
    kind = request.param
    if kind == "postgresql":
        server = request.getfixturevalue("postgres_server")
        name = f"t{uuid4().hex}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        uri = server.replace("/postgres?", f"/{name}?")
        connect = partial(psycopg.connect, uri, autocommit=True)
    elif kind == "mariadb":
        server = sa.make_url(request.getfixturevalue("mariadb_server"))
        name = f"t{uuid4().hex}"
        how = {"host": server.host, "port": server.port, "user": server.username, "autocommit": True}
        with closing(pymysql.connect(**how)) as connection:
            connection.cursor().execute(f"CREATE DATABASE {name}")
        uri = server.set(database=name).render_as_string()
        connect = partial(pymysql.connect, database=name, sql_mode="ANSI_QUOTES", **how)
    elif kind == "duckdb":
        uri, connect = "duckdb:///flights.duckdb", partial(duckdb.connect, str(tmp_path / "flights.duckdb"))
    else:
        uri = "sqlite:///flights.db"
        connect = partial(sqlite3.connect, tmp_path / "flights.db", isolation_level=None)

    def run(sql: str) -> None:
        connection = connect()
        try:
            (connection.cursor() if kind == "mariadb" else connection).execute(sql)
        finally:
            connection.close()

    run(CREATE)
    for row in ROWS:
        insert(run, row)
    return Database(uri, run)


def insert(run: Callable[[str], Any], row: tuple) -> None:
    values = ", ".join("NULL" if value is None else repr(value) for value in row)
    run(f"INSERT INTO flights VALUES ({values})")
