"""What a metadata database is: write transactions, read snapshots, and where it lives."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote

from tidemill.core.errors import ConfigError, MissingExtraError
from tidemill.store.statement import Dialect, Statement

Row = tuple[Any, ...]

#: URL scheme -> the module and class that speak it; loaded when such a URL is opened.
_DRIVERS = {
    "sqlite": "tidemill.store.sqlite:SqliteDatabase",
    "postgresql": "tidemill.store.postgresql:PostgresDatabase",
    "postgres": "tidemill.store.postgresql:PostgresDatabase",
}
#: Module that a driver imports -> the extra that installs it.
_EXTRAS = {"psycopg": "postgres", "psycopg_binary": "postgres"}


class Transaction(Protocol):
    """An open transaction; the functions of the store take it first."""

    @property
    def dialect(self) -> Dialect:
        """Whose SQL it speaks."""
        ...

    def run(self, statement: Statement, /, **values: Any) -> int:
        """Execute, and say how many rows were touched."""
        ...

    def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Execute once for each row of values."""
        ...

    def one(self, statement: Statement, /, **values: Any) -> Row | None:
        """Execute, and return the first row, if any."""
        ...

    def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        """Execute, and return every row."""
        ...


class Database(Protocol):
    """A metadata database. It may be used from any thread, and in a forked child."""

    @property
    def dialect(self) -> Dialect:
        """Whose SQL it speaks."""
        ...

    @property
    def url(self) -> str:
        """Where it is, without its password."""
        ...

    def exists(self) -> bool:
        """Whether there is a store at all, of whatever version."""
        ...

    def create(self, build: Callable[[Transaction], None]) -> None:
        """Make a new store with `build`, all or nothing; does nothing if another process was first."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One write transaction: committed at the end of the block, rolled back on an error.

        Writers wait for each other. A transaction inside another on the same thread is an error.
        """
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """One read snapshot: every statement in the block sees the same moment. It cannot write."""
        ...

    def close(self) -> None:
        """Close every connection of this process; the next use opens new ones."""
        ...


def connect(url: str) -> Database:
    """The database at a URL, without touching it yet.

    Parameters
    ----------
    url
        ``sqlite:///relative/store.db``, ``sqlite:////absolute/store.db`` or ``postgresql://user@host/database``.

    Raises
    ------
    ConfigError
        If nobody speaks the URL's scheme.
    MissingExtraError
        If the driver is not installed.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    target = _DRIVERS.get(scheme)
    if target is None or "://" not in url:
        raise ConfigError(
            "the store's URL cannot be understood",
            value=redact(url),
            hint="Write sqlite:///path/to/store.db or postgresql://user@host/database.",
        )
    module, _, name = target.partition(":")
    try:
        driver = getattr(importlib.import_module(module), name)
    except ImportError as error:
        package = (error.name or "psycopg").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise MissingExtraError("psycopg", _EXTRAS[package], purpose="a PostgreSQL store") from error
    return cast("Database", driver(url))


def redact(url: str) -> str:
    """The URL with its password, if any, replaced by stars.

    >>> redact("postgresql://ann:s3cret@db.example.org/tidemill?sslmode=require&password=s3cret")
    'postgresql://ann:***@db.example.org/tidemill?sslmode=require&password=***'
    """
    base, mark, query = url.partition("?")
    head, at, host = base.rpartition("@")
    scheme, slashes, user = head.partition("://")
    if at and ":" in user:
        base = f"{scheme}{slashes}{user.partition(':')[0]}:***@{host}"
    shown = [_without_password(pair) for pair in query.split("&")]
    return f"{base}{mark}{'&'.join(shown)}"


def _without_password(pair: str) -> str:
    key, equals, _ = pair.partition("=")
    return f"{key}=***" if equals and key.lower().endswith("password") else pair


def secrets(url: str) -> list[str]:
    """Every spelling of the URL's passwords, so that messages of a driver can be cleared of them."""
    base, _, query = url.partition("?")
    user = base.rpartition("@")[0].partition("://")[2]
    found = [user.partition(":")[2]]
    found += [pair.partition("=")[2] for pair in query.split("&") if "password=" in pair.lower()]
    spellings = {spelling for raw in found for spelling in (raw, unquote(raw), quote(unquote(raw), safe=""))}
    return sorted(spellings - {""}, key=len, reverse=True)


def without_parameter(url: str, name: str) -> tuple[str, str | None]:
    """The URL without one query parameter, and the value that it had.

    >>> without_parameter("postgresql://host/db?schema=team&sslmode=require", "schema")
    ('postgresql://host/db?sslmode=require', 'team')
    """
    base, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    value = next((unquote(pair.partition("=")[2]) for pair in pairs if pair.partition("=")[0] == name), None)
    rest = "&".join(pair for pair in pairs if pair.partition("=")[0] != name)
    return f"{base}?{rest}" if rest else base, value
