"""What PostgreSQL's errors mean for a user of the store. No message ever holds the password."""

from __future__ import annotations

import psycopg
from psycopg import errors

from tidemill.core.errors import (
    ConflictError,
    NotFoundError,
    OutOfSpaceError,
    StoreError,
    StoreUnavailableError,
    TidemillError,
)

_AGAIN = "Do the same again: nothing of this transaction was kept."
#: Kind of the driver's error -> the kind of ours, what happened, what to do; the first that fits counts.
_MEANINGS: tuple[tuple[tuple[type[psycopg.Error], ...], type[TidemillError], str, str], ...] = (
    (
        (errors.UniqueViolation,),
        ConflictError,
        "another record is in its place already ({error})",
        "Read what is there: another writer was first.",
    ),
    (
        (errors.ForeignKeyViolation,),
        NotFoundError,
        "a record refers to another that is not in the store",
        "Store the run, execution or artifact first.",
    ),
    (
        (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable),
        ConflictError,
        "another writer was in the way ({error})",
        _AGAIN,
    ),
    (
        (errors.DiskFull,),
        OutOfSpaceError,
        "there is no space left on the PostgreSQL server; nothing of this transaction was kept",
        "Free some space there, then go on with run --resume.",
    ),
    (
        (errors.InsufficientPrivilege,),
        StoreUnavailableError,
        "the PostgreSQL user may not do this ({error})",
        "Let it create the schema (GRANT CREATE ON DATABASE …), or create the schema and make it the owner.",
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        StoreUnavailableError,
        "the PostgreSQL server takes no writes",
        "It is probably a standby: connect to the primary.",
    ),
    (
        (errors.UndefinedTable, errors.InvalidSchemaName),
        StoreUnavailableError,
        "the store's tables are gone from the PostgreSQL database ({error})",
        "Restore a backup, or open the store again to make a new one.",
    ),
    (
        (psycopg.OperationalError, psycopg.InterfaceError),
        StoreUnavailableError,
        "the PostgreSQL server does not answer ({error})",
        "Check that it runs, and the host, port, user, password and database in the store's URL.",
    ),
)


def translate(error: Exception, hidden: list[str], *, writing: bool, url: str | None = None) -> TidemillError:
    """The error of our tree for an error of the driver.

    Parameters
    ----------
    error
        What `psycopg` raised.
    hidden
        Texts that must not be shown: every spelling of the password.
    writing
        Whether it came from a write transaction; a write inside a read snapshot is the caller's mistake.
    url
        Where the store is, without its password; shown if given.
    """
    if isinstance(error, errors.ReadOnlySqlTransaction) and not writing:
        return StoreError("a read snapshot cannot write", hint="Open it with transaction() instead of reading().")
    message = _one_line(error, hidden)
    for kinds, kind, what, hint in _MEANINGS:
        if isinstance(error, kinds):
            return kind(what.format(error=message), value=url, hint=hint)
    return StoreError(f"the store's database refused the statement ({message})", value=url)


def _one_line(error: Exception, hidden: list[str]) -> str:
    lines = str(error).strip().splitlines()
    shown = lines[0] if lines else type(error).__name__
    for secret in hidden:
        shown = shown.replace(secret, "***")
    return shown.rstrip(".")
