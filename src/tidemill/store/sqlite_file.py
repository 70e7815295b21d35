"""The SQLite store's file: made whole, recognised later."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tidemill.core.errors import StoreUnavailableError
from tidemill.store.database import Transaction
from tidemill.store.sqlite_errors import translate
from tidemill.store.sqlite_transaction import SqliteTransaction


def make(path: Path, build: Callable[[Transaction], None]) -> None:
    """Make the file beside its place and link it there: it is whole or absent, also when two processes race."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign_log(path)
        _build(draft, build)
        _publish(draft, path)
    except sqlite3.Error as error:
        raise translate(error, path, writing=True) from error
    except OSError as error:
        raise unreachable(path, error) from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            _remove(draft.with_name(draft.name + suffix))


def identity(path: Path) -> tuple[int, int] | None:
    """What tells the file from another one at the same place; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  on every transaction: a Path costs twice as much
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse_foreign_log(path: Path) -> None:
    # SQLite would replay the log of a database that was removed into the new one.
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0 and not path.exists():
        raise StoreUnavailableError(
            "there is the log of a store here, but not its database",
            value=str(log),
            hint="Put the database back; or, to begin anew, remove this file and the one that ends in -shm.",
        )


def _build(draft: Path, build: Callable[[Transaction], None]) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        # Nobody sees the draft before it is whole, so it needs no journal; `_publish` flushes it.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("BEGIN")
        build(SqliteTransaction(connection, draft, writing=True))
        connection.execute("COMMIT")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailableError(
            "this file system cannot hold an SQLite store (no shared memory for its log)",
            value=str(draft.parent),
            hint="Use a local disk, or a PostgreSQL store.",
        )


def _publish(draft: Path, path: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process was first, and its store is as good
    except OSError:
        # File systems without hard links; the window of this race is a few microseconds.
        if not path.exists():
            draft.rename(path)


def unreachable(path: Path, error: OSError) -> StoreUnavailableError:
    """The error for a path that the file system does not give us."""
    return StoreUnavailableError(
        f"the store cannot be opened ({error.strerror or error})",
        value=str(path),
        hint="Check that the folder exists and that you may write to it, or choose another store.",
    )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # it could not be made either: its folder is not ours, or is no folder
