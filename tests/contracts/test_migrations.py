"""Stores of other versions: a user must never lose one to an upgrade, nor work on one that is not understood."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, inspect

from tidemill.core.errors import StoreError, StoreVersionError
from tidemill.store import migrations, open_store, runs, tables
from tidemill.store.database import connect
from tidemill.store.migrations import MIGRATIONS, Migration
from tidemill.store.statement import Statement
from tidemill.testing.building import a_run

ADD = "ALTER TABLE runs ADD COLUMN mood TEXT DEFAULT 'calm' NOT NULL;\nCREATE INDEX runs_by_mood ON runs (mood);\n"
SECOND = Migration(len(MIGRATIONS) + 1, "moods", ADD, ADD)
BROKEN = Migration(
    SECOND.number + 1, "a mistake", *["CREATE TABLE extra (id TEXT);\nALTER TABLE nowhere ADD x TEXT;\n"] * 2
)
NOW = MIGRATIONS[-1].number


@pytest.fixture
def database(metadata_url):
    database = connect(metadata_url)
    database.create(migrations.build)
    yield database
    database.close()


def version(database):
    with database.reading() as tx:
        return migrations.version(tx)


def test_a_new_store_has_the_newest_version(database):
    assert version(database) == NOW
    migrations.check(database)


def test_an_older_store_is_opened_only_after_an_upgrade(database, metadata_url):
    run = a_run(database)
    newer = (*MIGRATIONS, SECOND)
    with pytest.raises(StoreVersionError, match=f"version {NOW}, .*needs version {NOW + 1}.*tidemill store upgrade"):
        migrations.check(database, newer)
    assert version(database) == NOW
    assert migrations.upgrade(metadata_url, newer) == (NOW, NOW + 1)
    assert migrations.upgrade(metadata_url, newer) == (NOW + 1, NOW + 1)
    migrations.check(database, newer)
    with database.reading() as tx:
        assert tx.all(Statement("SELECT mood FROM runs")) == [("calm",)]
        assert runs.get(tx, run.id) == run
        titles = tx.all(Statement("SELECT number, title FROM schema_versions ORDER BY number"))
    assert titles[-1] == (NOW + 1, "moods")


def test_a_newer_store_is_left_alone(database, metadata_url, tmp_path):
    migrations.upgrade(metadata_url, (*MIGRATIONS, SECOND))
    message = f"version {NOW + 1}, .*up to {NOW}.*newer Tidemill"
    with pytest.raises(StoreVersionError, match=message):
        open_store(metadata_url, str(tmp_path / "artifacts"))
    with pytest.raises(StoreVersionError, match=message):
        migrations.upgrade(metadata_url)
    assert version(database) == NOW + 1


def test_a_migration_that_fails_leaves_the_version_before_it(database, metadata_url):
    with pytest.raises(StoreError, match="nowhere"):
        migrations.upgrade(metadata_url, (*MIGRATIONS, SECOND, BROKEN))
    assert version(database) == SECOND.number
    with pytest.raises(StoreError, match="extra"), database.reading() as tx:
        tx.all(Statement("SELECT * FROM extra"))


def test_upgrades_at_once_are_done_once(database, metadata_url):
    start = threading.Barrier(4)

    def upgrade(_):
        start.wait()
        return migrations.upgrade(metadata_url, (*MIGRATIONS, SECOND))[1]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, range(4))) == [NOW + 1] * 4
    with database.reading() as tx:
        assert len(tx.all(Statement("SELECT number FROM schema_versions"))) == NOW + 1


def test_stores_made_at_once_are_made_once(metadata_url):
    start = threading.Barrier(4)
    databases = [connect(metadata_url) for _ in range(4)]

    def make(database):
        start.wait()
        database.create(migrations.build)
        return version(database)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make, databases)) == [NOW] * 4
    for database in databases:
        database.close()


def conditions(index):
    """What rows a partial index holds."""
    return sorted(str(value) for key, value in index["dialect_options"].items() if key.endswith("_where"))


def shape(engine, schema):
    """Columns, keys, indexes, constraints and references of every table."""
    found = inspect(engine)
    out = {}
    for table in found.get_table_names(schema=schema):
        columns = found.get_columns(table, schema=schema)
        out[table] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in columns],
            "defaults": [str(c["default"]).replace("::text", "") for c in columns if c["name"] != "seq"],
            "key": found.get_pk_constraint(table, schema=schema)["constrained_columns"],
            "indexes": sorted(
                (i["name"], i["column_names"], bool(i["unique"]), i.get("expressions"), *conditions(i))
                for i in found.get_indexes(table, schema=schema)
            ),
            "unique": sorted(
                (u["name"], u["column_names"]) for u in found.get_unique_constraints(table, schema=schema)
            ),
            "references": sorted(
                (f["constrained_columns"], f["referred_table"], f["referred_columns"], sorted(f["options"].items()))
                for f in found.get_foreign_keys(table, schema=schema)
            ),
            "checks": sorted(c["sqltext"] for c in found.get_check_constraints(table, schema=schema)),
            "collations": [(c["name"], getattr(c["type"], "collation", None)) for c in columns],
        }
    return out


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_the_migrations_make_the_tables_that_are_declared(database, tmp_path, metadata_url):
    if database.dialect == "sqlite":
        migrated = create_engine(f"sqlite:///{database.path}")
        declared = create_engine(f"sqlite:///{tmp_path}/declared.db")
    else:
        place = f"postgresql+psycopg://{metadata_url.partition('://')[2].partition('&schema')[0]}"
        schema = database.schema
        migrated = create_engine(place, connect_args={"options": f"-csearch_path={schema}"})
        declared = create_engine(place, connect_args={"options": f"-csearch_path={schema}_declared"})
        with database.transaction() as tx:
            tx.run(Statement(f"CREATE SCHEMA {schema}_declared"))
    tables.metadata.create_all(declared)
    assert shape(migrated, None) == shape(declared, None)
    assert set(shape(migrated, None)) == set(tables.metadata.tables)
    migrated.dispose()
    declared.dispose()
