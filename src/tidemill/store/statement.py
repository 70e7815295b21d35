"""SQL text, translated once for each dialect."""

from __future__ import annotations

import re
from typing import Literal

Dialect = Literal["sqlite", "postgresql"]

_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class Statement:
    """One SQL statement with ``:name`` parameters, ready for both drivers.

    SQLite and PostgreSQL share everything that the store needs (upserts, ``RETURNING``, recursive queries, row values),
    so a statement is written once; where they differ, `postgresql` gives the other text.

    Parameters
    ----------
    text
        The statement as SQLite reads it.
    postgresql
        The statement for PostgreSQL where it is not the same.

    Examples
    --------
    >>> statement = Statement("SELECT name FROM runs WHERE id = :id AND name LIKE 'a%'")
    >>> statement.postgresql
    "SELECT name FROM runs WHERE id = %(id)s AND name LIKE 'a%%'"
    """

    __slots__ = ("postgresql", "sqlite")

    def __init__(self, text: str, *, postgresql: str | None = None) -> None:
        self.sqlite = " ".join(text.split())
        self.postgresql = _NAME.sub(r"%(\1)s", " ".join((postgresql or text).split()).replace("%", "%%"))

    def __repr__(self) -> str:
        return f"Statement({self.sqlite!r})"


def insert_into(table: str, columns: str, then: str = "") -> Statement:
    """The statement that inserts a row into `table`; `columns` are separated by commas.

    >>> insert_into("tags", "run_id, name", "ON CONFLICT DO NOTHING")
    Statement('INSERT INTO tags (run_id, name) VALUES (:run_id, :name) ON CONFLICT DO NOTHING')
    """
    values = ", ".join(f":{name.strip()}" for name in columns.split(","))
    return Statement(f"INSERT INTO {table} ({columns}) VALUES ({values}) {then}")
