"""Where predictions are kept: what a table of them must do, and which module does it for a URI."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tidemill.core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import polars as pl

#: The table that is written when the URI names none.
TABLE = "predictions"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")

#: scheme -> the module with ``open_table(place, layout)`` and ``find(place, entity)``.
_MODULES = {
    "": "tidemill.serving.scoring.parquet",
    "sqlite": "tidemill.serving.scoring.sqlite",
    "duckdb": "tidemill.integrations.scores_duckdb",
    **dict.fromkeys(("postgresql", "postgres"), "tidemill.integrations.scores_postgresql"),
    **dict.fromkeys(("redis", "rediss"), "tidemill.integrations.redis"),
}
#: Endings that say what kind of file one is: a folder is not called like that.
_ENDINGS = frozenset(
    ".csv .tsv .tab .txt .json .ndjson .jsonl .parquet .pq .arrow .feather .ipc .avro .orc .xlsx .xls .xlsb .xlsm .ods "
    ".db .sqlite .sqlite3 .duckdb .html .xml .pkl .pickle .gz .zip .zst .bz2 .xz".split()
)
_DATABASES = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
_LINES = (".ndjson", ".jsonl", ".txt")
#: Schemes of files.
_LOCAL = ("", "sqlite", "duckdb")


@dataclass(frozen=True, slots=True)
class Place:
    """A URI, taken apart.

    Parameters
    ----------
    scheme
        Empty for a path.
    address
        The URI without its fragment, its secrets revealed; for files, the path from the project's folder.
    table
        The fragment: ``sqlite:///scores.db#late_flights``.
    shown
        The URI for people, without secrets.
    """

    scheme: str
    address: str
    table: str
    shown: str

    @property
    def identity(self) -> str:
        """What tells it from other places; no secret is part of it."""
        return self.address if self.scheme in _LOCAL else self.shown


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table of predictions.

    Parameters
    ----------
    keys
        ``("entity",)``, or ``("entity", "as_of")``: there is one row for each.
    columns
        All columns with their types, the keys first.
    model
        Whose predictions they are: a table is of one model.
    entity
        The column of the source that the entities are from: a table is of one kind of entity.
    """

    keys: tuple[str, ...]
    columns: Mapping[str, pl.DataType]
    model: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that is in the table: the digest of its rows, and what became of them."""

    digest: str
    counts: Mapping[str, int]


class Table(Protocol):
    """A table of predictions that is open for writing."""

    def begin(self, job: str) -> Mapping[int, Done]:
        """Make the table if it is not there; the chunks of this job that are in it. Records of other jobs go.

        Raises
        ------
        ConfigError
            If it has another key, or holds predictions of another model or about another kind of entity.
        """
        ...

    def known(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The keys, ``version`` and ``row_digest`` of those that the table has."""
        ...

    def write(self, job: str, place: int, rows: pl.DataFrame, done: Done) -> None:
        """Put a chunk's rows in the place of older ones of the same keys, and record the chunk: both or neither."""
        ...

    def finish(self, job: str) -> None:
        """All chunks are written: show them, and forget their records."""
        ...

    def close(self) -> None:
        """Let go of the table."""
        ...


class _Module(Protocol):
    def open_table(self, place: Place, layout: Layout) -> Table: ...

    def find(self, place: Place, entity: str) -> dict[str, Any] | None: ...


def place_of(uri: str, root: Path, *, revealed: str | None = None) -> Place:
    """Take a URI apart; relative paths count from `root`.

    Raises
    ------
    UsageError
        If nothing writes this scheme, or the table's name is none.

    Examples
    --------
    >>> place_of("sqlite:///scores.db#late", Path("/project"))
    Place(scheme='sqlite', address='/project/scores.db', table='late', shown='sqlite:///scores.db#late')
    """
    text, _, table = (revealed or uri).partition("#")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.partition("+")[0].lower() if separator else ""
    if scheme == "file":
        scheme, text = "", rest
    if scheme not in _MODULES:
        hint = f"Write a path, or one of {', '.join(f'{name}://' for name in _MODULES if name)}."
        raise UsageError("predictions cannot be written there", value=uri.partition("@")[2] or uri, hint=hint)
    if table and not _NAME.fullmatch(table):
        hint = "Use letters, digits and underscores after the #, such as #late_flights or #schema.late_flights."
        raise UsageError("this cannot be the name of a table", value=table, hint=hint)
    address = text
    if scheme in ("sqlite", "duckdb"):
        address = str(root / rest.removeprefix("/").partition("?")[0])
    elif not scheme:
        address = str(root / text)
    return Place(scheme, address, table or TABLE, uri)


def check_target(place: Place) -> None:
    """Raise ConfigError if a path ends as a kind of file that no table of predictions is.

    Of a file that is there, its bytes tell more when it is opened.

    >>> check_target(place_of("out.csv", Path("/project")))
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: predictions are not written as .csv: 'out.csv'. Name a .parquet file, a folder, \
or a database: sqlite:///scores.db.
    >>> check_target(place_of("scores.v2", Path("/project")))
    """
    ending = "" if place.scheme else Path(place.address).suffix
    if ending.lower() in _ENDINGS and ending != ".parquet" and not Path(place.address).is_file():
        database = f"{_DATABASES.get(ending.lower(), 'sqlite')}:///scores.{'duckdb' if ending == '.duckdb' else 'db'}"
        hint = f"Name a .parquet file, a folder, or a database: {database}."
        raise ConfigError(f"predictions are not written as {ending}", value=place.shown, hint=hint)


def check_errors_file(file: str | Path) -> None:
    """Raise ConfigError if the name of a file of errors says that it is none of lines of JSON.

    >>> check_errors_file("bad.csv")
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: rows without a prediction are written as NDJSON: 'bad.csv'. Name a .ndjson file.
    """
    ending = Path(file).suffix.lower()
    if ending in _ENDINGS and ending not in _LINES:
        what = "rows without a prediction are written as NDJSON"
        raise ConfigError(what, value=str(file), hint="Name a .ndjson file.")


def check_entity(table: str, known: str, layout: Layout) -> None:
    """Raise ConfigError if the table is of entities from another column; `known` is empty where that was not recorded.

    >>> check_entity("late", "order_id", Layout(("entity",), {}, "m", "customer_id"))
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: the entities in 'late' are from the column 'order_id': 'customer_id'. Write to \
another table; if it is the same under another name, rename it in the source.
    """
    if known and layout.entity and known != layout.entity:
        hint = "Write to another table; if it is the same under another name, rename it in the source."
        raise ConfigError(f"the entities in {table!r} are from the column {known!r}", value=layout.entity, hint=hint)


def open_table(place: Place, layout: Layout) -> Table:
    """The table at a place, opened to be written."""
    return _module(place).open_table(place, layout)


def require_reader(place: Place) -> None:
    """Raise MissingExtraError if the package that reads a place is not installed."""
    _module(place)


def find_prediction(place: Place, entity: str) -> dict[str, Any] | None:
    """The newest row of an entity, ``as_of`` and ``scored_at`` as datetimes in UTC; None if the table has none.

    Raises
    ------
    StoreUnavailableError
        If the table cannot be read now.
    """
    return _module(place).find(place, entity)


def _module(place: Place) -> _Module:
    return cast("_Module", importlib.import_module(_MODULES[place.scheme]))
