"""Kinds of columns and indexes that the tables of the metadata store are made of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, MetaData, SmallInteger, Text, text

metadata = MetaData()

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def identifier(name: str = "id") -> Column[str]:
    """Text that is the key, or a part of it."""
    return Column(name, TEXT, primary_key=True)


def free_text(name: str, *, default: str | None = "") -> Column[str]:
    """Text; nullable when its default is None."""
    shown = None if default is None else text(f"'{default}'")
    return Column(name, TEXT, nullable=default is None, server_default=shown)


def required_text(name: str) -> Column[str]:
    """Text that must be given."""
    return Column(name, TEXT, nullable=False)


def json_text(name: str) -> Column[str]:
    """A JSON object as text."""
    return free_text(name, default="{}")


def moment(name: str, *, nullable: bool = False) -> Column[int]:
    """Microseconds since the epoch."""
    return Column(name, BigInteger, nullable=nullable)


def count(name: str, default: int = 0) -> Column[int]:
    """A whole number, 0 unless said otherwise."""
    return Column(name, BigInteger, nullable=False, server_default=text(str(default)))


def seconds(name: str) -> Column[float]:
    """Seconds, 0 unless said otherwise."""
    return Column(name, Double, nullable=False, server_default=text("0"))


def flag(name: str, default: int = 0) -> Column[int]:
    """0 or 1."""
    return Column(name, SmallInteger, nullable=False, server_default=text(str(default)))


def index_where(name: str, *columns: str, condition: str) -> Index:
    """An index of the rows that meet a condition."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def reference(name: str, target: str, *, key: bool = False, nullable: bool = False) -> Column[str]:
    """A reference to a row of another table."""
    return Column(name, TEXT, ForeignKey(target), primary_key=key, nullable=nullable)


def reference_within(name: str, target: str) -> Column[str]:
    """A reference to another row of the same table; a restore checks it when all rows are there."""
    return Column(name, TEXT, ForeignKey(target, deferrable=True, initially="IMMEDIATE"), nullable=True)
