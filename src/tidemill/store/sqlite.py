"""The metadata database in one SQLite file: WAL, one writer at a time, a reader for each thread."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote

from tidemill.core.clock import elapsed
from tidemill.core.errors import ConfigError, StoreError, StoreUnavailableError
from tidemill.store.database import Transaction
from tidemill.store.forks import watch
from tidemill.store.sqlite_errors import translate
from tidemill.store.sqlite_file import identity, make, unreachable
from tidemill.store.sqlite_transaction import Seat, SqliteTransaction
from tidemill.store.statement import Dialect

#: Seconds that a writer waits for writers in other processes.
BUSY_TIMEOUT: Final = 60.0
#: Seconds that a fork waits for the transactions of other threads.
FORK_PATIENCE: Final = 5.0
_PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA synchronous = NORMAL", "PRAGMA temp_store = MEMORY")

#: Files that had an open connection when this process was forked off. SQLite believes that it still holds their locks,
#: while the system has given it none, so it must not touch them.
_tainted: set[tuple[int, int] | None] = set()


class SqliteDatabase:
    """The store's metadata in one SQLite file.

    Parameters
    ----------
    url
        ``sqlite:///relative/path.db`` (from the working directory) or ``sqlite:////absolute/path.db``.
    """

    dialect: Final[Dialect] = "sqlite"

    def __init__(self, url: str) -> None:
        self.path = _path(url)
        self.url = f"sqlite:///{self.path}"
        self._held: list[Seat] = []
        self._is_clean = True
        self._start()
        watch(self)

    def _start(self) -> None:
        self._identity: tuple[int, int] | None = None
        self._writer = Seat()
        self._local = threading.local()
        self._readers: weakref.WeakSet[Seat] = weakref.WeakSet()
        self._readers_lock = threading.Lock()

    def exists(self) -> bool:
        """Whether the file is there."""
        try:
            if self.path.is_dir():
                raise StoreUnavailableError(
                    "the store's path is a directory, not a file",
                    value=str(self.path),
                    hint="Name a file in it, such as store.db.",
                )
            return self.path.exists()
        except OSError as error:
            raise unreachable(self.path, error) from error

    def create(self, build: Callable[[Transaction], None]) -> None:
        """Make a new store with `build`, all or nothing; does nothing if another process was first."""
        make(self.path, build)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One write transaction: committed at the end of the block, rolled back on an error."""
        return _Write(self)

    def reading(self) -> AbstractContextManager[Transaction]:
        """One read snapshot: every statement in the block sees the same moment."""
        return _Read(self)

    def close(self) -> None:
        """Close every connection of this process; the next use opens new ones."""
        self._refuse_nesting()
        self._writer.take()
        try:
            self._writer.close()
            with self._readers_lock:
                for reader in self._readers:
                    reader.close()
            self._identity = None
        finally:
            self._writer.leave()

    def connections(self) -> int:
        """How many connections are open in this process."""
        with self._readers_lock:
            return sum(seat.transaction is not None for seat in (self._writer, *self._readers))

    def copy_to(self, target: Path) -> None:
        """Write a consistent copy of the database as it is now, while others go on writing (SQLite's online backup)."""
        try:
            with _Read(self) as source, closing(sqlite3.connect(target)) as copy:
                source.connection.backup(copy)
        except sqlite3.Error as error:
            target.unlink(missing_ok=True)
            raise translate(error, target, writing=True) from error

    def begin(self) -> SqliteTransaction:
        """Open the write transaction of this thread."""
        self._refuse_nesting()
        self._writer.take()
        try:
            return self._begin(self._writer, "BEGIN IMMEDIATE", writing=True)
        except BaseException:
            self._writer.leave()
            raise

    def end(self, tx: SqliteTransaction, *, commit: bool) -> None:
        """Commit or roll back, and let the next writer in."""
        writer = self._writer
        if tx is not writer.transaction:
            if commit:
                raise StoreError(
                    "the transaction belongs to the process that this one was forked from",
                    hint="Fork outside of it, and open one in the child.",
                )
            return
        try:
            if commit:
                self._check_in_place()
                tx.execute("COMMIT", {})
        finally:
            # Some errors (disk full, I/O) have rolled back already.
            if tx.connection.in_transaction:
                tx.connection.execute("ROLLBACK")
            writer.leave()

    def reader(self) -> Seat:
        """The seat that this thread reads on."""
        seat: Seat | None = getattr(self._local, "seat", None)
        if seat is None:
            seat = Seat()
            with self._readers_lock:
                self._readers.add(seat)
            self._local.seat = seat
        return seat

    def begin_reading(self, seat: Seat) -> SqliteTransaction:
        """Open the read snapshot of this thread."""
        seat.take()
        try:
            return self._begin(seat, "BEGIN", writing=False)
        except BaseException:
            seat.leave()
            raise

    def _begin(self, seat: Seat, command: str, *, writing: bool) -> SqliteTransaction:
        tx = seat.transaction
        if tx is None:
            tx = seat.transaction = SqliteTransaction(self._connect(), self.path, writing=writing)
            if not writing:
                tx.execute("PRAGMA query_only = ON", {})
        self._check_in_place()
        tx.execute(command, {})
        return tx

    def _refuse_nesting(self) -> None:
        if self._writer.is_mine():
            raise StoreError(
                "a write transaction is already open on this thread",
                hint="Pass the open transaction on, and end it before another is started or the store is closed.",
            )

    def _check_in_place(self) -> None:
        # SQLite would go on writing into a file that was removed, and everything would be lost without a word.
        if identity(self.path) != self._identity:
            raise StoreUnavailableError(
                "the store's database file is no longer the one that was opened",
                value=str(self.path),
                hint="It was removed, moved or replaced: put it back, or restore a backup, and start again.",
            )

    def _connect(self) -> sqlite3.Connection:
        if _tainted and identity(self.path) in _tainted:
            raise StoreError(
                "this process was forked in the middle of a transaction of its parent, and cannot use the store",
                value=str(self.path),
                hint="Fork outside of transactions, or start processes with multiprocessing's 'spawn'.",
            )
        uri = f"file:{quote(str(self.path))}?mode=rw"
        try:
            connection = sqlite3.connect(
                uri,
                uri=True,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.Error as error:
            raise translate(error, self.path, writing=True) from error
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except sqlite3.Error as error:
            connection.close()
            raise translate(error, self.path, writing=True) from error
        if self._identity is None:
            self._identity = identity(self.path)
        return connection

    def before_fork(self) -> list[object]:
        """Close every connection that is not in the middle of a transaction, and keep the threads from opening others.

        SQLite keeps a process's locks on a file in that process's memory; only a child that is forked while no
        connection is open gets a true picture of them.
        """
        self._readers_lock.acquire()
        self._is_clean = True
        deadline = elapsed() + FORK_PATIENCE
        seats = [self._writer, *self._readers]
        for seat in seats:
            if not seat.is_mine() and seat.take(timeout=max(0.0, deadline - elapsed())):
                self._held.append(seat)
                seat.close()
            else:
                self._is_clean = False
        return list(seats)

    def after_fork_in_parent(self) -> None:
        """Go on: connections are opened again when they are used."""
        held, self._held = self._held, []
        for seat in held:
            seat.leave()
        self._readers_lock.release()

    def after_fork_in_child(self) -> None:
        """Start without connections and locks, leaving any that were open untouched."""
        if not self._is_clean:
            _tainted.add(self._identity)
        self._held = []
        self._start()


class _Write:
    """The block of a write transaction."""

    __slots__ = ("_database", "_tx")

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def __enter__(self) -> SqliteTransaction:
        self._tx = self._database.begin()
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.end(self._tx, commit=kind is None)


class _Read:
    """The block of a read snapshot; a block inside another joins its snapshot."""

    __slots__ = ("_database", "_joined", "_seat")

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def __enter__(self) -> SqliteTransaction:
        seat = self._seat = self._database.reader()
        self._joined = seat.is_mine() and seat.transaction is not None
        if self._joined:
            assert seat.transaction is not None
            return seat.transaction
        return self._database.begin_reading(seat)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seat = self._seat
        if self._joined or seat is not self._database.reader():  # in a forked child it is another one
            return
        try:
            if seat.transaction is not None and seat.transaction.connection.in_transaction:
                seat.transaction.execute("COMMIT", {})
        finally:
            seat.leave()


def _path(url: str) -> Path:
    rest = url.partition(":///")[2]
    if not rest or rest == ":memory:" or "?" in rest:
        raise ConfigError(
            "the SQLite store's URL does not name a file",
            value=url,
            hint="Write sqlite:///path/to/store.db (relative) or sqlite:////path/to/store.db (absolute).",
        )
    return Path.cwd() / Path(rest).expanduser()
