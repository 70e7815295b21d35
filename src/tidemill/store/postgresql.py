"""The metadata database in a PostgreSQL schema, through psycopg 3."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final

import psycopg

from tidemill.core.errors import ConfigError, StoreError
from tidemill.store.database import Row, Transaction, redact, secrets, without_parameter
from tidemill.store.forks import watch
from tidemill.store.postgresql_errors import translate
from tidemill.store.statement import Dialect, Statement

#: Seconds until an unreachable server is given up, unless the URL says ``connect_timeout``.
CONNECT_TIMEOUT: Final = 10
#: Connections kept open between transactions.
IDLE: Final = 8
#: The PostgreSQL schema that holds the tables, unless the URL says ``schema``.
SCHEMA: Final = "tidemill"
_LOCK_KEY = 0x74696465  # "tide": nobody else should take this advisory lock
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class PostgresTransaction:
    """Statements on one connection, with the driver's errors translated."""

    __slots__ = ("_secrets", "_writing", "connection")
    dialect: Final[Dialect] = "postgresql"

    def __init__(self, connection: psycopg.Connection[Row], hidden: list[str], *, writing: bool) -> None:
        self.connection = connection
        self._secrets = hidden
        self._writing = writing

    def execute(self, text: str, values: Mapping[str, Any] | None = None) -> psycopg.Cursor[Row]:
        """Execute SQL text."""
        try:
            return self.connection.execute(text, values)
        except (psycopg.Error, UnicodeEncodeError) as error:
            raise translate(error, self._secrets, writing=self._writing) from None

    def run(self, statement: Statement, /, **values: Any) -> int:
        """Execute, and say how many rows were touched."""
        return self.execute(statement.postgresql, values).rowcount

    def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Execute once for each row of values."""
        try:
            with self.connection.cursor() as cursor:
                cursor.executemany(statement.postgresql, rows)
        except (psycopg.Error, UnicodeEncodeError) as error:
            raise translate(error, self._secrets, writing=self._writing) from None

    def one(self, statement: Statement, /, **values: Any) -> Row | None:
        """Execute, and return the first row, if any."""
        rows = self.all(statement, **values)
        return rows[0] if rows else None

    def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        """Execute, and return every row."""
        cursor = self.execute(statement.postgresql, values)
        return [] if cursor.description is None else cursor.fetchall()


class PostgresDatabase:
    """The store's metadata in one schema of a PostgreSQL database.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:port/database?schema=tidemill``, with any option of libpq (``sslmode``).
    """

    dialect: Final[Dialect] = "postgresql"

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        plain, schema = without_parameter(f"{scheme.partition('+')[0]}://{rest}", "schema")
        self.url = redact(url)
        self.schema = schema or SCHEMA
        if not _SCHEMA_NAME.fullmatch(self.schema):
            raise ConfigError(
                "the schema in the store's URL is not a plain name",
                value=self.schema,
                hint="Use lower-case letters, digits and underscores.",
            )
        self._plain = plain
        self._secrets = secrets(url)
        self._start()
        watch(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[Row]] = []
        self._busy: set[psycopg.Connection[Row]] = set()
        self._local = threading.local()

    def before_fork(self) -> list[object]:
        """Every open connection: a child that closed one would end its parent's session."""
        self._lock.acquire()
        return [*self._idle, *self._busy]

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start without connections and locks, leaving any that were open untouched."""
        self._start()

    def exists(self) -> bool:
        """Whether the schema holds a store."""
        with self.reading() as tx:
            row = tx.one(_EXISTS, schema=self.schema)
        return row is not None and row[0] > 0

    def create(self, build: Callable[[Transaction], None]) -> None:
        """Make the schema and its tables in one transaction; does nothing if another process was first."""
        with self.transaction() as tx:
            tx.one(_LOCK, key=_LOCK_KEY)
            row = tx.one(_EXISTS, schema=self.schema)
            if row is not None and row[0] > 0:
                return
            if tx.one(_HAS_SCHEMA, schema=self.schema) is None:
                tx.run(Statement(f'CREATE SCHEMA "{self.schema}"'))
            build(tx)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One write transaction: committed at the end of the block, rolled back on an error."""
        return _Write(self)

    def reading(self) -> AbstractContextManager[Transaction]:
        """One read snapshot: every statement in the block sees the same moment."""
        return _Read(self)

    def close(self) -> None:
        """Close every connection that is not in use; the next use opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def begin(self, command: str, *, writing: bool) -> PostgresTransaction:
        """A transaction on a connection of its own."""
        for _ in range(IDLE + 1):
            connection, is_new = self._take()
            tx = PostgresTransaction(connection, self._secrets, writing=writing)
            try:
                tx.execute(command)
            except BaseException as error:
                broken = connection.broken
                self._drop(connection)
                # A server that was restarted leaves dead connections behind; nothing was done on this one yet.
                if isinstance(error, StoreError) and broken and not is_new:
                    continue
                raise
            return tx
        raise AssertionError("more dead connections than were kept")  # pragma: no cover

    def end(self, tx: PostgresTransaction, command: str) -> None:
        """Commit or roll back, and keep the connection for the next transaction."""
        connection = tx.connection
        if connection not in self._busy:
            if command == "COMMIT":
                raise StoreError(
                    "the transaction belongs to the process that this one was forked from",
                    hint="Fork outside of it, and open one in the child.",
                )
            return
        try:
            if not (connection.broken and command == "ROLLBACK"):
                tx.execute(command)
        except BaseException:
            self._drop(connection)
            raise
        if connection.broken:
            self._drop(connection)
            return
        with self._lock:
            self._busy.discard(connection)
            keep = len(self._idle) < IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    @property
    def local(self) -> threading.local:
        """What this thread has open."""
        return self._local

    def _take(self) -> tuple[psycopg.Connection[Row], bool]:
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection, False
        connection = self._open()
        with self._lock:
            self._busy.add(connection)
        return connection, True

    def _drop(self, connection: psycopg.Connection[Row]) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _open(self) -> psycopg.Connection[Row]:
        options: dict[str, Any] = {} if "connect_timeout" in self._plain else {"connect_timeout": CONNECT_TIMEOUT}
        try:
            connection = psycopg.connect(self._plain, autocommit=True, application_name="tidemill", **options)
            connection.execute(f'SET search_path TO "{self.schema}"')
        except psycopg.Error as error:
            raise translate(error, self._secrets, writing=True, url=self.url) from None
        return connection


class _Write:
    """The block of a write transaction."""

    __slots__ = ("_database", "_tx")

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def __enter__(self) -> Transaction:
        local = self._database.local
        if getattr(local, "writing", False):
            raise StoreError(
                "a write transaction is already open on this thread",
                hint="Pass the open transaction on instead of starting another one.",
            )
        self._tx = self._database.begin("BEGIN", writing=True)
        local.writing = True
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.local.writing = False
        self._database.end(self._tx, "COMMIT" if kind is None else "ROLLBACK")


class _Read:
    """The block of a read snapshot; a block inside another joins its snapshot."""

    __slots__ = ("_database", "_outermost")

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def __enter__(self) -> Transaction:
        local = self._database.local
        tx: PostgresTransaction | None = getattr(local, "reader", None)
        self._outermost = tx is None
        if tx is None:
            tx = self._database.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", writing=False)
            local.reader = tx
        return tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tx: PostgresTransaction | None = getattr(self._database.local, "reader", None)
        if self._outermost and tx is not None:  # in a forked child there is none
            self._database.local.reader = None
            self._database.end(tx, "COMMIT" if kind is None else "ROLLBACK")


_EXISTS = Statement("""
    SELECT count(*) FROM information_schema.tables WHERE table_schema = :schema AND table_name = 'schema_versions'
""")
_HAS_SCHEMA = Statement("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
_LOCK = Statement("SELECT pg_advisory_xact_lock(:key)")
