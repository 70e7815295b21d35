"""The PostgreSQL store when things go wrong: what a user reads, and that no password is ever in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tidemill.core.errors import ConfigError, ConflictError, StoreError, StoreUnavailableError
from tidemill.core.ids import new_id
from tidemill.core.records import Execution, Run
from tidemill.engine import pipeline, step
from tidemill.project import current_project, open_project_store
from tidemill.store import executions, leases, migrations, open_store, runs
from tidemill.store.database import connect
from tidemill.store.gc import collect
from tidemill.store.statement import Statement
from tidemill.testing.building import a_run, an_artifact


@pytest.fixture
def database(postgres_url):
    database = connect(postgres_url)
    database.create(migrations.build)
    yield database
    database.close()


@pytest.fixture
def admin(postgres_server):
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


def refused(url, tmp_path):
    with pytest.raises(StoreUnavailableError) as caught:
        open_store(url, str(tmp_path / "artifacts"))
    return str(caught.value) + "".join(traceback.format_exception(caught.value))


def test_an_unreachable_server_is_named_without_the_password(tmp_path):
    with socket.socket() as closed:  # bound, not listening: a port where nobody answers
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        said = refused(f"postgresql://ann:s3cr%21et@127.0.0.1:{port}/db?sslpassword=s3cond", tmp_path)
    assert f"postgresql://ann:***@127.0.0.1:{port}/db?sslpassword=***" in said
    assert "does not answer" in said
    assert "Check that it runs" in said
    for secret in ("s3cr", "s3cond"):
        assert secret not in said


def test_a_url_that_makes_no_sense_keeps_its_password(tmp_path):
    for url in (
        "postgresql://ann:s3cret@[broken/db",
        "postgresql://ann:s3cret@host:port/db",
        "postgresql://ann:s3cret@h/d?x=y",
    ):
        with pytest.raises((StoreUnavailableError, ConfigError, StoreError)) as caught:
            open_store(url, str(tmp_path / "artifacts"))
        said = "".join(traceback.format_exception(caught.value, chain=True))
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in said.replace(url, "")


def test_a_database_that_is_not_there(postgres_server, tmp_path):
    assert "nowhere" in refused(postgres_server.replace("/postgres?", "/nowhere?"), tmp_path)


def test_a_schema_that_is_not_a_name(postgres_server):
    with pytest.raises(ConfigError, match="not a plain name"):
        connect(postgres_server + '&schema=a";DROP')


def test_a_user_who_may_not_make_the_schema(admin, postgres_server, tmp_path):
    admin.execute("DROP ROLE IF EXISTS weak")
    admin.execute("CREATE ROLE weak LOGIN")
    said = refused(postgres_server.replace("postgres@", "weak@") + "&schema=weakling", tmp_path)
    assert "permission denied" in said
    assert "GRANT" in said
    admin.execute("CREATE SCHEMA ours AUTHORIZATION weak")
    url = postgres_server.replace("postgres@", "weak@") + "&schema=ours"
    with open_store(url, str(tmp_path / "artifacts")) as store:
        a_run(store.metadata)
    admin.execute("DROP SCHEMA ours CASCADE")
    admin.execute("DROP ROLE weak")


def test_stores_in_two_schemas_do_not_mix(database, postgres_server, tmp_path):
    a_run(database)
    other = open_store(f"{postgres_server}&schema={database.schema}_b", str(tmp_path / "artifacts"))
    with other, other.metadata.reading() as tx:
        assert runs.list_runs(tx) == []


def test_connections_that_died_while_idle_are_replaced(database, admin):
    with database.reading() as reading:  # two at once, so that both are kept
        runs.list_runs(reading)
        run = a_run(database)
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidemill'")
    with database.reading() as tx:
        assert runs.get(tx, run.id) == run


def test_a_connection_that_dies_in_a_transaction_fails_it(database, admin):
    def write():
        with database.transaction() as tx:
            runs.insert(tx, Run("r", "p", "train", "running", 1))
            (pid,) = tx.one(Statement("SELECT pg_backend_pid()"))
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            runs.insert(tx, Run("s", "p", "train", "running", 1))

    with pytest.raises(StoreUnavailableError, match="does not answer"):
        write()
    with database.reading() as tx:
        assert runs.list_runs(tx) == []


def test_tables_that_were_dropped(database, admin):
    a_run(database)
    admin.execute(f"DROP SCHEMA {database.schema} CASCADE")
    with pytest.raises(StoreUnavailableError, match="tables are gone"):
        a_run(database)


def test_a_checked_lease_cannot_be_taken_before_the_commit(database):
    with database.transaction() as tx:
        lease = leases.acquire(tx, "run:r", "old", -1)

    def take():
        with database.transaction() as tx:
            tx.run(Statement("SET LOCAL lock_timeout = '20ms'"))
            return leases.acquire(tx, "run:r", "new", 60)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            leases.check(tx, lease)
            with pytest.raises(ConflictError, match="another writer was in the way"):
                pool.submit(take).result()
            leases.check(tx, lease)
        assert pool.submit(take).result().epoch == 2


def test_two_writers_that_wait_for_each_other(database):
    first, second = a_run(database), a_run(database)
    both = threading.Barrier(2)

    def write(mine, other):
        with database.transaction() as tx:
            runs.finish(tx, mine.id, "failed", 1)
            both.wait()
            runs.finish(tx, other.id, "failed", 1)

    with ThreadPoolExecutor(2) as pool:
        errors = [pool.submit(write, first, second).exception, pool.submit(write, second, first).exception]
        raised = [error() for error in errors]
    assert sorted(type(error) for error in raised if error is not None) == [ConflictError]


def test_the_collector_gives_way_to_a_writer_that_it_is_in_the_way_of(postgres_url, admin, tmp_path):
    """PostgreSQL would end one of two that wait for each other: it must not be the run."""
    with open_store(postgres_url, str(tmp_path / "artifacts")) as store:
        os.utime(store.artifacts.path(store.artifacts.put(b"garbage").digest), (1, 1))
        run = a_run(store.metadata)
        with ThreadPoolExecutor(1) as pool, store.metadata.transaction() as tx:
            executions.start(tx, Execution(new_id(), run.id, "s", "s", "running", 1))
            collected = pool.submit(collect, store)
            while not admin.execute("SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted").fetchall():
                assert not collected.done(), "the collector did not wait for the writer"
            executions.put_artifacts(tx, [an_artifact()])
        assert collected.result(30).deleted == 1


@step(executor="worker", cache=False)
def looks() -> str:
    with open_project_store(current_project()).metadata.reading() as tx:
        return runs.list_runs(tx)[0].pipeline


@pipeline
def flow() -> str:
    return looks()


def test_steps_in_workers_reach_the_store_of_their_run(postgres_server, postgres_url, tmp_path):
    """Verbs in a worker would look into another store, since this one is known without its password."""
    url = postgres_url.replace("postgres@", "postgres:s3cret@")
    with open_store(url, str(tmp_path / "artifacts")) as store:
        assert "s3cret" not in store.metadata.url
        assert flow.using(store=store)() == "flow"


def test_a_server_that_is_restarted_during_a_run_ends_no_run(postgres_url, admin, tmp_path):
    """A failover takes seconds, a training hours."""

    @step(cache=False)
    def fit() -> int:
        others = "datname = current_database() AND application_name = 'tidemill'"
        return len(admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}").fetchall())

    @pipeline
    def train() -> int:
        return fit()

    with open_store(postgres_url, str(tmp_path / "artifacts")) as store:
        assert train.using(store=store)() >= 1


def test_a_forked_child_leaves_its_parents_session_alone(postgres_url, tmp_path):
    code = """
import os, sys
from tidemill.core.errors import StoreError
from tidemill.store import open_store, runs
from tidemill.testing.building import a_run
store = open_store(sys.argv[1], sys.argv[2])
a_run(store.metadata)
try:
    with store.metadata.reading() as reading, store.metadata.transaction() as tx:
        runs.list_runs(reading)
        child = os.fork()
except StoreError as error:
    assert child == 0 and "forked from" in str(error), error
    a_run(store.metadata)
    store.close()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
a_run(store.metadata)
with store.metadata.reading() as tx:
    print(len(runs.list_runs(tx)))
"""
    argv = [sys.executable, "-c", code, postgres_url, str(tmp_path / "artifacts")]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "3"


def test_without_the_driver_the_extra_is_named():
    code = """
import sys
sys.modules["psycopg"] = None
from tidemill.core.errors import MissingExtraError
from tidemill.store.database import connect
try:
    connect("postgresql://ann:s3cret@host/db")
except MissingExtraError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "tidemill[postgres]"' in said
    assert "s3cret" not in said
