"""The SQLite store when things go wrong: a user must read what happened, and lose nothing that was committed."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tidemill.core.errors import (
    ConfigError,
    NotFoundError,
    OutOfSpaceError,
    StoreError,
    StoreUnavailableError,
)
from tidemill.core.records import Run
from tidemill.store import migrations, open_store, runs, sqlite, values
from tidemill.store.database import connect
from tidemill.store.statement import Statement
from tidemill.testing.building import a_run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def database(path):
    database = connect(f"sqlite:///{path}")
    database.create(migrations.build)
    yield database
    database.close()


def opened(path, *, create=True):
    return open_store(f"sqlite:///{path}", str(path.parent / "artifacts"), create=create)


def python(code, *args, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        **options,
    ).stdout


def test_a_new_store_is_whole_and_leaves_no_drafts(tmp_path):
    folder = tmp_path / "a b%20#ü" / "deep"
    with opened(folder / "store.db") as store:
        a_run(store.metadata)
        assert store.metadata.path == folder / "store.db"
    with opened(folder / "store.db", create=False) as store, store.metadata.reading() as tx:
        assert len(runs.list_runs(tx)) == 1
    assert {path.name for path in folder.iterdir()} == {"store.db", "artifacts"}


def test_a_relative_path_is_fixed_when_the_store_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///.tidemill/store.db", ".tidemill/artifacts") as store:
        monkeypatch.chdir("/")
        a_run(store.metadata)
    assert (tmp_path / ".tidemill" / "store.db").stat().st_size > 0


def test_a_store_whose_making_fails_is_not_there(path):
    def build(tx):
        migrations.build(tx)
        raise KeyboardInterrupt

    database = connect(f"sqlite:///{path}")
    with pytest.raises(KeyboardInterrupt):
        database.create(build)
    assert list(path.parent.iterdir()) == []


def test_whoever_makes_the_store_first_is_kept(path):
    first, second = connect(f"sqlite:///{path}"), connect(f"sqlite:///{path}")
    first.create(migrations.build)
    run = a_run(first)
    second.create(migrations.build)
    with second.reading() as tx:
        assert runs.get(tx, run.id) == run
    first.close()
    second.close()


def test_a_store_survives_without_hard_links(path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with opened(path) as store:
        a_run(store.metadata)
    assert [file.name for file in path.parent.glob("store.db*")] == ["store.db"]


def test_opening_loads_neither_sqlalchemy_nor_psycopg(path):
    code = """
import sys
from tidemill.store import open_store
open_store(f"sqlite:///{sys.argv[1]}", sys.argv[1] + ".artifacts").close()
print(*[name for name in ("sqlalchemy", "psycopg", "fsspec", "polars", "numpy") if name in sys.modules])
"""
    assert python(code, path).strip() == ""


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "store.db"])
def test_a_url_that_names_no_file_is_refused(url):
    with pytest.raises(ConfigError, match=r"the SQLite store|cannot be understood"):
        connect(url)


def test_an_unknown_scheme_is_refused_without_its_password():
    with pytest.raises(ConfigError, match=r"mysql://ann:\*\*\*@db/x"):
        connect("mysql://ann:s3cret@db/x")


def test_a_missing_store_is_not_made_unasked(path):
    with pytest.raises(StoreUnavailableError, match="there is no store here"):
        opened(path, create=False)
    assert not path.exists()


def test_a_directory_in_place_of_the_file(path):
    path.mkdir()
    with pytest.raises(StoreUnavailableError, match="is a directory"):
        opened(path)


def test_a_file_in_place_of_the_folder(path):
    path.write_text("x")
    with pytest.raises(StoreUnavailableError, match="Check that the folder exists"):
        opened(path / "store.db")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system where nobody may write: /proc")
def test_a_place_where_nobody_may_write():
    with pytest.raises(StoreUnavailableError, match=r"/proc/tidemill/store\.db"):
        opened(Path("/proc/tidemill/store.db"))


@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_a_store_that_belongs_to_somebody_else(mode):
    # As root every file may be written, so the attempt is made by a process that has given its rights away.
    code = """
import os, sys
from tidemill.core.errors import StoreUnavailableError
from tidemill.store import migrations, runs, sqlite
from tidemill.store.database import connect
from tidemill.testing.building import a_run
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
database = connect(f"sqlite:///{sys.argv[1]}/store.db")
try:
    a_run(database)
except StoreUnavailableError as error:
    print(error)
fresh = connect(f"sqlite:///{sys.argv[1]}/new/store.db")
try:
    fresh.create(migrations.build)
except StoreUnavailableError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = connect(f"sqlite:///{folder}/store.db")
        database.create(migrations.build)
        (folder / "store.db").chmod(0o444)
        if mode == 0o755 and os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        folder.chmod(mode)
        try:
            said = python(code, folder).splitlines()
        finally:
            folder.chmod(0o755)
    assert "may not be written" in said[0]
    if mode == 0o555:
        assert "Permission denied" in said[1]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_file_that_vanished(database, path, replaced):
    run = a_run(database)
    with database.reading() as tx:
        runs.get(tx, run.id)
    path.rename(path.with_suffix(".away"))
    if replaced:
        shutil.copy(path.with_suffix(".away"), path)
    for attempt in (lambda: a_run(database), lambda: database.reading().__enter__()):
        with pytest.raises(StoreUnavailableError, match="no longer the one that was opened"):
            attempt()
    database.close()
    path.with_suffix(".away").replace(path)
    with database.reading() as tx:
        assert runs.get(tx, run.id) == run


def test_a_file_that_vanishes_inside_a_transaction_fails_it(database, path):
    def write():
        with database.transaction() as tx:
            runs.insert(tx, Run("r", "p", "train", "running", 1))
            path.unlink()

    with pytest.raises(StoreUnavailableError):
        write()


def test_the_log_of_a_removed_store_is_not_mixed_into_a_new_one(path):
    database = connect(f"sqlite:///{path}")
    database.create(migrations.build)
    a_run(database)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreUnavailableError, match="there is the log of a store here, but not its database"):
        opened(path)
    path.with_suffix(".away").rename(path)
    with opened(path) as store, store.metadata.reading() as tx:
        assert len(runs.list_runs(tx)) == 1
    database.close()


def test_a_file_that_is_gone_before_it_was_opened(path):
    database = connect(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        a_run(database)
    assert not path.exists()


def test_a_file_that_is_no_database(path):
    path.write_text("not a database, but long enough for a header of a hundred bytes " * 4)
    with pytest.raises(StoreError, match="is damaged or is not an SQLite database"):
        opened(path)


def test_a_damaged_database(path):
    with opened(path) as store:
        a_run(store.metadata)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"damaged.*Restore a backup"), opened(path) as store:
        a_run(store.metadata)


@pytest.mark.parametrize("content", [None, "CREATE TABLE runs (id INTEGER)"])
def test_a_database_of_somebody_else_is_left_alone(path, content):
    if content is None:
        path.touch()
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(content)
        connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a Tidemill store"):
        opened(path)
    assert path.read_bytes() == before


def test_a_full_disk_keeps_what_was_committed(database):
    run = a_run(database)
    with database.transaction() as tx:
        (pages,) = tx.one(Statement("PRAGMA page_count"))
        tx.one(Statement(f"PRAGMA max_page_count = {pages + 4}"))

    def write():
        with database.transaction() as tx:
            values.put_params(tx, run.id, {"kept": "no"})
            values.put_params(tx, run.id, {f"p{i}": "x" * 1000 for i in range(100)})

    with pytest.raises(OutOfSpaceError, match="nothing of this transaction was kept"):
        write()
    with database.transaction() as tx:
        assert values.params(tx, run.id) == {}
        tx.one(Statement("PRAGMA max_page_count = 100000"))
        values.put_params(tx, run.id, {"kept": "yes"})
    with database.reading() as tx:
        assert values.params(tx, run.id) == {"kept": "yes"}


def test_a_writer_that_never_lets_go(database, path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="write lock"):
        a_run(database)
    with database.reading() as tx:
        assert runs.list_runs(tx) == []
    other.execute("ROLLBACK")
    other.close()
    a_run(database)


def test_a_thread_takes_its_connection_with_it(database):
    run = a_run(database)

    def read():
        with database.reading() as tx:
            assert runs.get(tx, run.id) == run

    read()
    before = database.connections()
    for _ in range(5):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    gc.collect()
    assert database.connections() == before


def test_a_failed_begin_does_not_lock_the_others_out(database, path, monkeypatch):
    moved = path.with_suffix(".away")
    a_run(database)
    path.rename(moved)
    with pytest.raises(StoreUnavailableError):
        a_run(database)
    moved.rename(path)
    a_run(database)


def test_a_killed_writer_leaves_whole_transactions(path):
    code = """
import sys
from tidemill.core.records import Run
from tidemill.store import open_store, runs, values
store = open_store(f"sqlite:///{sys.argv[1]}", sys.argv[1] + ".artifacts")
for i in range(1000000):
    with store.metadata.transaction() as tx:
        runs.insert(tx, Run(f"r{i:07}", "p", "train", "running", i))
        values.put_params(tx, f"r{i:07}", {"a": "b"})
    print(i, flush=True)
"""
    for _ in range(3):
        path = path.with_name(f"{path.name}x")
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        said = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        said += [int(line) for line in writer.communicate()[0].splitlines()]
        with opened(path) as store, store.metadata.reading() as tx:
            ids = [run.id for run in reversed(runs.list_runs(tx, limit=1000000))]
            assert ids[: len(said)] == [f"r{i:07}" for i in said]
            assert len(ids) <= len(said) + 1
            assert all(values.params(tx, id_) == {"a": "b"} for id_ in ids)
            assert tx.one(Statement("PRAGMA integrity_check")) == ("ok",)


FORK = """
import os, sys, threading
from tidemill.core.errors import StoreError
from tidemill.core.records import Run
from tidemill.store import open_store, runs, sqlite
store = open_store(f"sqlite:///{sys.argv[1]}", sys.argv[1] + ".artifacts")
def insert(tx, name):
    runs.insert(tx, Run(name, "p", "train", "running", 1))
def write(name):
    with store.metadata.transaction() as tx:
        insert(tx, name)
    with store.metadata.reading() as tx:
        assert runs.get(tx, name).id == name
def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def report():
    with store.metadata.reading() as tx:
        print(*sorted(run.id for run in runs.list_runs(tx)))
        print(*tx.one(runs.Statement("PRAGMA integrity_check")))
"""


def forked(path, code):
    # Python 3.12 warns of forking with threads, which is what this is about: no -W error.
    return subprocess.run(
        [sys.executable, "-c", FORK + code, str(path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()


def test_a_forked_child_has_connections_of_its_own(path):
    code = """
write("parent")
stop = threading.Event()
def work(name):  # other threads go on reading and writing while this one forks
    i = 0
    while not stop.is_set():
        write(f"{name}{i}")
        i += 1
threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in "ab"]
for thread in threads:
    thread.start()
for i in range(10):
    child = os.fork()
    if child == 0:
        write(f"child{i}")
        store.close()
        sys.exit(0)
    write(f"parent{i}")
    wait(child)
stop.set()
for thread in threads:
    thread.join()
with store.metadata.reading() as tx:
    names = {run.id for run in runs.list_runs(tx, limit=100000)}
    assert names >= {f"{who}{i}" for who in ("child", "parent") for i in range(10)}
    print(*tx.one(runs.Statement("PRAGMA integrity_check")))
"""
    assert forked(path, code) == ["ok"]


def test_a_child_that_is_forked_inside_a_transaction_leaves_the_store_alone(path):
    code = """
write("parent")
try:
    with store.metadata.transaction() as tx:
        insert(tx, "ours")
        child = os.fork()
except StoreError as error:
    assert child == 0 and "forked from" in str(error), error
    try:
        write("child")
    except StoreError as error:
        assert "in the middle of a transaction" in str(error), error
        sys.exit(0)
wait(child)
report()
"""
    assert forked(path, code) == ["ours", "parent", "ok"]


def test_a_fork_does_not_wait_for_ever(path):
    code = """
sqlite.FORK_PATIENCE = 0.05
busy, go = threading.Event(), threading.Event()
def hold():
    with store.metadata.reading() as tx, store.metadata.transaction() as writing:
        runs.list_runs(tx)
        busy.set()
        go.wait()
        insert(writing, "held")
holder = threading.Thread(target=hold, daemon=True)
holder.start()
busy.wait()
with store.metadata.reading() as tx:
    child = os.fork()
if child == 0:
    try:
        write("child")
    except StoreError as error:
        assert "in the middle of a transaction" in str(error), error
        sys.exit(0)
go.set()
holder.join()
wait(child)
report()
"""
    assert forked(path, code) == ["held", "ok"]


def test_a_statement_that_makes_no_sense_is_a_store_error(database):
    with pytest.raises(StoreError, match="refused the statement"), database.transaction() as tx:
        tx.run(Statement("SELECT nothing FROM nowhere"))
    with pytest.raises(StoreError, match="refused the call"), database.transaction() as tx:
        tx.run(Statement("SELECT :missing"))
    with pytest.raises(NotFoundError), database.reading() as tx:
        runs.get(tx, "nobody")
