"""Statements on an SQLite connection, and who may use the connection."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tidemill.store.database import Row
from tidemill.store.sqlite_errors import translate
from tidemill.store.statement import Dialect, Statement


class SqliteTransaction:
    """Statements on one connection, with the driver's errors translated."""

    __slots__ = ("_path", "_writing", "connection")
    dialect: Final[Dialect] = "sqlite"

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writing: bool) -> None:
        self.connection = connection
        self._path = path
        self._writing = writing

    def execute(self, text: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Execute SQL text."""
        try:
            return self.connection.execute(text, values)
        except sqlite3.Error as error:
            raise translate(error, self._path, writing=self._writing) from error

    def run(self, statement: Statement, /, **values: Any) -> int:
        """Execute, and say how many rows were touched."""
        return self.execute(statement.sqlite, values).rowcount

    def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Execute once for each row of values."""
        try:
            self.connection.executemany(statement.sqlite, rows)
        except sqlite3.Error as error:
            raise translate(error, self._path, writing=self._writing) from error

    def one(self, statement: Statement, /, **values: Any) -> Row | None:
        """Execute, and return the first row, if any."""
        rows = self.all(statement, **values)
        return rows[0] if rows else None

    def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        """Execute, and return every row."""
        try:
            return self.connection.execute(statement.sqlite, values).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self._path, writing=self._writing) from error


class Seat:
    """A connection that is opened when it is first used, and the thread that is using it.

    Closed when nobody holds it any more: a thread's own seat goes with the thread.
    """

    __slots__ = ("__weakref__", "_lock", "owner", "transaction")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.owner = 0
        self.transaction: SqliteTransaction | None = None

    def take(self, *, timeout: float = -1) -> bool:
        """Wait for the seat, at most `timeout` seconds, and say whether this thread has it now."""
        taken = self._lock.acquire(timeout=timeout)
        if taken:
            self.owner = threading.get_ident()
        return taken

    def leave(self) -> None:
        """Let the next thread have it."""
        self.owner = 0
        self._lock.release()

    def is_mine(self) -> bool:
        """Whether this thread has it."""
        return self.owner == threading.get_ident()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self.transaction is not None:
            self.transaction.connection.close()
            self.transaction = None

    def __del__(self) -> None:
        self.close()
