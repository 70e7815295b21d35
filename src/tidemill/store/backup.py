"""Copies of a store: one consistent moment of the metadata and every blob that it refers to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from tidemill.core import clock
from tidemill.core.errors import ConflictError, NotFoundError, StoreError, StoreUnavailableError, StoreVersionError
from tidemill.store import lineage, migrations
from tidemill.store.artifacts import open_artifacts
from tidemill.store.database import Transaction, connect
from tidemill.store.sqlite import SqliteDatabase
from tidemill.store.statement import Statement, insert_into
from tidemill.store.store import Store
from tidemill.store.tables import metadata

_FORMAT = "tidemill store backup"
_BATCH = 500
# A run may refer to one with a later id, made on a machine whose clock goes ahead.
_CHECK_LAST = Statement("PRAGMA defer_foreign_keys = ON", postgresql="SET CONSTRAINTS ALL DEFERRED")
_GO_ON = Statement(
    "SELECT 1", postgresql="SELECT setval(pg_get_serial_sequence('metrics', 'seq'), max(seq)) FROM metrics"
)


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied.

    Parameters
    ----------
    metadata
        The file with the metadata: ``store.db``, a store that can be opened as it is, or ``metadata.ndjson.gz``.
    blobs, bytes
        How many blobs were copied, and their size.
    """

    metadata: Path
    blobs: int
    bytes: int


def backup(store: Store, target: Path, *, portable: bool = False) -> Backup:
    """Copy a store into a new folder while it is in use.

    The metadata are of one moment. Blobs never change, and those that the metadata refer to are copied after it, so the
    copy is whole. The result is a store: open ``sqlite:///target/store.db`` with the artifacts ``target/artifacts``.

    Parameters
    ----------
    store
        What to copy.
    target
        A folder that is not there yet, or is empty.
    portable
        Write the metadata as text (``metadata.ndjson.gz``), which `restore` reads into any database. Always so for a
        PostgreSQL store.

    Raises
    ------
    ConflictError
        If the folder holds something.
    StoreUnavailableError
        If it cannot be written.
    CorruptArtifactError
        If a blob is missing or damaged.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ConflictError(
                "the folder for the backup is not empty", value=str(target), hint="Choose a new folder."
            )
    except OSError as error:
        raise _unwritable(target, error) from error
    database = store.metadata
    if isinstance(database, SqliteDatabase) and not portable:
        file = target / "store.db"
        database.copy_to(file)
        with closing(connect(f"sqlite:///{file.absolute()}")) as copy, copy.reading() as tx:
            digests = sorted(lineage.referenced_blobs(tx))
    else:
        file = target / "metadata.ndjson.gz"
        with database.reading() as tx:
            try:
                _write(tx, file)
            except OSError as error:
                raise _unwritable(target, error) from error
            digests = sorted(lineage.referenced_blobs(tx))
    copies = open_artifacts(str(target / "artifacts"))
    size = sum(copies.put_file(store.artifacts.path(digest)).size for digest in digests)
    return Backup(file, len(digests), size)


def restore(source: Path, url: str) -> int:
    """Read the metadata of a portable backup into a new, empty database: also a way from SQLite to PostgreSQL.

    Parameters
    ----------
    source
        The file ``metadata.ndjson.gz``.
    url
        Where the store shall be; nothing may be there.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    ConflictError
        If there is a store already.
    StoreVersionError
        If the backup was made with another schema version.
    """
    lines = _read(source)
    header: dict[str, Any] = next(lines, {})
    if header.get("format") != _FORMAT:
        raise StoreError("the file is not a backup of a store", value=str(source), hint="Give its metadata.ndjson.gz.")
    known = migrations.MIGRATIONS[-1].number
    if header["version"] != known:
        raise StoreVersionError(
            f"the backup has schema version {header['version']}, and this Tidemill makes version {known}",
            hint="Restore it with the Tidemill that made it, then run: tidemill store upgrade",
        )
    count = 0

    def build(tx: Transaction) -> None:
        nonlocal count
        migrations.build(tx)
        tx.run(Statement("DELETE FROM schema_versions"))
        count = _insert(tx, lines)

    with closing(connect(url)) as database:
        if database.exists():
            raise ConflictError("there is a store already", value=database.url, hint="Restore into a new place.")
        database.create(build)
    return count


def _write(tx: Transaction, file: Path) -> None:
    header = {"format": _FORMAT, "version": migrations.version(tx), "made_at": clock.now_us()}
    with gzip.open(file, "wt", encoding="utf-8") as out:
        print(json.dumps(header), file=out)
        for table in _tables():
            for row in _rows(tx, table):
                print(json.dumps([table.name, *row]), file=out)


def _rows(tx: Transaction, table: Table) -> Iterator[tuple[Any, ...]]:
    """Every row, a batch at a time by primary key, so that a large table does not fill the memory."""
    columns = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    chosen, order = ", ".join(columns), ", ".join(keys)
    first = Statement(f"SELECT {chosen} FROM {table.name} ORDER BY {order} LIMIT {_BATCH}")
    after = ", ".join(f":{key}" for key in keys)
    rest = Statement(f"SELECT {chosen} FROM {table.name} WHERE ({order}) > ({after}) ORDER BY {order} LIMIT {_BATCH}")
    rows = tx.all(first)
    while rows:
        yield from rows
        last = dict(zip(columns, rows[-1], strict=True))
        rows = tx.all(rest, **{key: last[key] for key in keys}) if len(rows) == _BATCH else []


def _read(source: Path) -> Iterator[Any]:
    try:
        with gzip.open(source, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except FileNotFoundError as error:
        raise NotFoundError("there is no such backup", value=str(source), hint="Check the path.") from error
    except (OSError, EOFError, ValueError) as error:
        raise StoreError(f"the backup cannot be read ({error})", value=str(source), hint="Use another copy.") from error


def _insert(tx: Transaction, lines: Iterator[Sequence[Any]]) -> int:
    tx.run(_CHECK_LAST)
    tables = {table.name: [column.name for column in table.columns] for table in _tables()}
    count = 0
    batch: list[dict[str, Any]] = []
    current = ""
    for name, *row in lines:
        if name != current or len(batch) == _BATCH:
            _flush(tx, current, batch)
            current = name
        batch.append(dict(zip(tables[name], row, strict=True)))
        count += 1
    _flush(tx, current, batch)
    tx.all(_GO_ON)
    return count


def _flush(tx: Transaction, table: str, batch: list[dict[str, Any]]) -> None:
    if batch:
        tx.many(insert_into(table, ", ".join(batch[0])), batch)
        batch.clear()


def _tables() -> list[Table]:
    """Every table, those that others refer to first."""
    return list(metadata.sorted_tables)


def _unwritable(target: Path, error: OSError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"the backup cannot be written ({error.strerror or error})", value=str(target), hint="Choose another folder."
    )
