"""What SQLite's error codes mean for a user of the store."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from tidemill.core.errors import (
    ConflictError,
    NotFoundError,
    OutOfSpaceError,
    StoreError,
    StoreUnavailableError,
    TidemillError,
)

_NEARLY_NOTHING = 1 << 20


def translate(error: sqlite3.Error, path: Path, *, writing: bool) -> TidemillError:
    """The error of our tree for an error of the driver.

    Parameters
    ----------
    error
        What `sqlite3` raised.
    path
        The store's file.
    writing
        Whether it came from a write transaction; a write inside a read snapshot is the caller's mistake.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return NotFoundError(
            "a record refers to another that is not in the store", hint="Store the run, execution or artifact first."
        )
    if code is None:
        return StoreError(f"the store refused the call ({error})", value=str(path))
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_IOERR and _is_full(path):
        code = primary = sqlite3.SQLITE_FULL
    if primary == sqlite3.SQLITE_READONLY and not writing:
        return StoreError("a read snapshot cannot write", hint="Open it with transaction() instead of reading().")
    meaning = _MEANINGS.get(code, _MEANINGS.get(primary))
    if meaning is None:
        return StoreError(f"the store's database refused the statement ({error})", value=str(path))
    kind, what, hint = meaning
    return kind(what.format(error=error), value=str(path), hint=hint)


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NEARLY_NOTHING
    except OSError:
        return False


_BUSY = (
    StoreUnavailableError,
    "another process has held the store's write lock for a minute",
    "Find it (fuser shows who has the file open), or use a PostgreSQL store for many writers.",
)
_DAMAGED = (
    StoreError,
    "the store's database file is damaged or is not an SQLite database ({error})",
    "Restore a backup made with tidemill store backup, or move the file away to begin anew.",
)
_UNAVAILABLE = (
    StoreUnavailableError,
    "the store's database file cannot be opened or read ({error})",
    "Check that the file and its folder exist and that you may write to both.",
)
_UNWRITABLE = (
    StoreUnavailableError,
    "the store's database file may not be written",
    "Give yourself write access to the file and to its folder, or choose another store.",
)
#: Error code (the extended one first) -> the kind of our error, what happened, what to do.
_MEANINGS: dict[int, tuple[type[StoreError], str, str]] = {
    sqlite3.SQLITE_FULL: (
        OutOfSpaceError,
        "there is no space left for the store's database; nothing of this transaction was kept",
        "Free some space (tidemill gc --dry-run shows what it would), then go on with run --resume.",
    ),
    sqlite3.SQLITE_CONSTRAINT: (
        ConflictError,
        "another record is in its place already ({error})",
        "Read what is there: another writer was first.",
    ),
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CANTOPEN: _UNAVAILABLE,
    sqlite3.SQLITE_IOERR: _UNAVAILABLE,
    sqlite3.SQLITE_IOERR_WRITE: (
        StoreUnavailableError,
        "a write to the store's database failed ({error}); nothing of this transaction was kept",
        "Look whether the disk or the quota is full, then go on with run --resume.",
    ),
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
}
