"""Forward migrations: numbered, each in one transaction, applied only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidemill.core import clock
from tidemill.core.errors import StoreError, StoreVersionError
from tidemill.store.database import Database, Transaction, connect
from tidemill.store.statement import Statement

_SCHEMA = Path(__file__).with_name("schema")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward of the schema.

    Parameters
    ----------
    number
        Its number; version N of the schema is what migrations 1 to N have made.
    title
        What it does, in a few words.
    sqlite, postgresql
        The statements for each database, separated by a semicolon at the end of a line.
    """

    number: int
    title: str
    sqlite: str
    postgresql: str


def _load(number: int, title: str) -> Migration:
    texts = [(_SCHEMA / f"{number:04}.{dialect}.sql").read_text() for dialect in ("sqlite", "postgresql")]
    return Migration(number, title, *texts)


#: Every migration, in order. A published one is never changed.
MIGRATIONS: tuple[Migration, ...] = (
    _load(1, "the first schema"),
    _load(2, "labelling queues"),
    _load(3, "the life of model versions"),
)

_HAS_VERSIONS = Statement(
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_versions'",
    postgresql="""
        SELECT count(*) FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = 'schema_versions'
    """,
)
# SQLite lets in one writer anyway.
_ALONE = Statement("SELECT 1", postgresql="LOCK TABLE schema_versions IN EXCLUSIVE MODE")
_VERSION = Statement("SELECT max(number) FROM schema_versions")
_APPLIED = Statement("INSERT INTO schema_versions (number, title, applied_at) VALUES (:number, :title, :applied_at)")


def build(tx: Transaction, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Apply every migration to an empty database."""
    for migration in migrations:
        _apply(tx, migration)


def version(tx: Transaction) -> int:
    """The number of the schema in a database.

    Raises
    ------
    StoreError
        If the database holds something else than a Tidemill store.
    """
    found = tx.one(_HAS_VERSIONS)
    if found is None or not found[0]:
        raise StoreError(
            "the database is not a Tidemill store",
            hint="Choose another store, or move this database away.",
        )
    row = tx.one(_VERSION)
    return int(row[0] or 0) if row else 0


def check(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make sure that this Tidemill and the store agree on the schema.

    Raises
    ------
    StoreVersionError
        If the store is newer, or older and not upgraded.
    StoreError
        If the database holds something else than a Tidemill store.
    """
    with database.reading() as tx:
        found = version(tx)
    known = migrations[-1].number
    if found > known:
        raise StoreVersionError(
            f"the store {database.url} has schema version {found}, and this Tidemill knows versions up to {known}",
            hint='Install a newer Tidemill: pip install --upgrade "tidemill"',
        )
    if found < known:
        raise StoreVersionError(
            f"the store {database.url} has schema version {found}, and this Tidemill needs version {known}",
            hint="Run: tidemill store upgrade (make a copy first: tidemill store backup)",
        )


def upgrade(url: str, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[int, int]:
    """Bring a store to the newest schema, one transaction for each migration.

    A migration that fails leaves the store at the version before it. Upgrading twice does nothing the second time, and
    two processes that upgrade at once do it once.

    Parameters
    ----------
    url
        Where the store's metadata is.
    migrations
        What there is to apply.

    Returns
    -------
    tuple of int
        The version that was found and the version that the store has now.
    """
    database = connect(url)
    try:
        with database.reading() as tx:
            before = version(tx)
        if before > migrations[-1].number:
            check(database, migrations)
        for migration in migrations:
            with database.transaction() as tx:
                tx.run(_ALONE)
                if version(tx) == migration.number - 1:
                    _apply(tx, migration)
    finally:
        database.close()
    return before, max(before, migrations[-1].number)


def _apply(tx: Transaction, migration: Migration) -> None:
    text = migration.sqlite if tx.dialect == "sqlite" else migration.postgresql
    for statement in text.split(";\n"):
        if statement.strip():
            tx.run(Statement(statement))
    tx.run(_APPLIED, number=migration.number, title=migration.title, applied_at=clock.now_us())
