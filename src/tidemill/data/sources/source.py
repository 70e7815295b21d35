"""What a source is: where data comes from, how it is read, and when each of its columns is known."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeAlias

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError

_KINDS = Mapping[str, type | tuple[type, ...]]

#: Options of files.
FILE_OPTIONS: _KINDS = {
    "null_values": (list, tuple, str),
    "separator": str,
    "quote": str,
    "decimal": str,
    "thousands": str,
    "encoding": str,
    "header": bool,
    "comment": str,
    "member": str,
    "dates": bool,
    "schema": Mapping,
    "infer_rows": int,
    "bad_lines": str,
    "partitions": bool,
    "sheet": str,
}

#: Options of databases.
SQL_OPTIONS: _KINDS = {"query": str, "table": str, "chunk_rows": int}

#: Options of Spark, besides those of databases and `timeout`.
SPARK_OPTIONS: _KINDS = {"conf": Mapping}

#: Options of REST APIs.
REST_OPTIONS: _KINDS = {
    "resource": str,
    "method": str,
    "params": Mapping,
    "body": Mapping,
    "headers": Mapping,
    "auth": Mapping,
    "pagination": Mapping,
    "records": str,
    "rate_limit": (int, float),
    "retries": int,
    "timeout": (int, float),
    "max_pages": int,
    "cursor_param": str,
}

#: Options of web pages.
HTML_OPTIONS: _KINDS = {
    "rows": str,
    "fields": Mapping,
    "table": str,
    "next": str,
    "follow": str,
    "depth": int,
    "max_pages": int,
    "max_bytes": int,
    "delay": (int, float),
    "cache_age": str,
    "hosts": (list, tuple),
    "user_agent": str,
    "provenance": bool,
}

#: How to get to the data; it says nothing about what they are, and is not part of a fingerprint.
ACCESS_OPTIONS: _KINDS = {"storage_options": Mapping}

#: Every option of a source, and the types that it may have.
OPTIONS: _KINDS = {
    **FILE_OPTIONS,
    **SQL_OPTIONS,
    **SPARK_OPTIONS,
    **REST_OPTIONS,
    **HTML_OPTIONS,
    **ACCESS_OPTIONS,
}

_ACCESS = frozenset(
    {*ACCESS_OPTIONS, "auth", "headers", "rate_limit", "retries", "timeout", "chunk_rows", "conf"}
    | {"delay", "cache_age", "max_bytes", "user_agent"}
)

#: What an option with few values may be.
_CHOICES = {"bad_lines": ("fail", "quarantine")}

#: The least number that an option may be; 0 for others.
_LEAST = {"infer_rows": 1, "chunk_rows": 1, "max_pages": 1, "max_bytes": 1}

#: A value that rows can be ordered by, and that a cursor stands at.
CursorValue: TypeAlias = int | float | str | datetime | date


@dataclass(frozen=True, slots=True)
class Source:
    """A place that data comes from, declared in ``[sources.NAME]`` or made for a bare URI.

    Parameters
    ----------
    name
        How pipelines call it.
    uri
        A path, folder or glob relative to the project; ``package://DISTRIBUTION/PATH`` for a file inside an installed
        package; ``s3://``, ``https://`` and whatever else fsspec knows; ``sqlite:///…``, ``postgresql://…``,
        ``duckdb:///…`` or any URL of SQLAlchemy, with the option `query` or `table`; ``spark://…`` or ``sc://…``, with
        the same; or the base URL of a REST API. It may hold references to secrets, ``${env:NAME}``.
    format
        ``"csv"``, ``"parquet"``, ``"ndjson"``, ``"json"``, ``"ipc"`` or ``"excel"``; None reads it off the file's
        name. ``"rest"`` reads an ``https://`` URL as an API, ``"html"`` as web pages.
    event_time
        The column that says when a row happened.
    available_at
        For each column that is known later (or earlier) than that, the time column, possibly shifted, that says when:
        ``{"dep_delay": "departed_at"}``. The key ``"*"`` stands for the columns not named; without it they are known
        at `event_time`.
    options
        How it is read; see `OPTIONS`.
    cursor
        A column that only grows, such as ``updated_at``: a pipeline then reads what came after its last run that
        succeeded.
    """

    name: str
    uri: str
    format: str | None = None
    event_time: str | None = None
    available_at: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file, query or page sequence of a source as it was found.

    Parameters
    ----------
    path
        Where it is, without any secret; relative to the project where it lies inside it.
    size
        Bytes; 0 where it is not known.
    digest
        Of the content; for a window of a database, of what tells it from every other.
    partition
        The columns that its folders name: ``(("year", "2013"), …)``.
    """

    path: str
    size: int
    digest: str
    partition: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a source is wanted; see `tidemill.data.read.read`."""

    columns: tuple[str, ...] | None = None
    where: str | None = None
    since: str | datetime | None = None
    until: str | datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one incremental read: ``after < column <= upto``; None is open."""

    column: str
    after: CursorValue | None = None
    upto: CursorValue | None = None


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """A source pinned to the bytes that it had at one moment; equal bytes read the same way have equal fingerprints."""

    source: Source
    files: tuple[SourceFile, ...]
    window: Window | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of the contents and of how they are read; independent of where the files lie."""
        options = {name: value for name, value in self.source.options.items() if name not in _ACCESS}
        how = {"format": self.source.format, "options": options, "time": self.source.event_time}
        return digest_value([how, [(file.digest, file.partition) for file in self.files], self.window])

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)


def parse_source(name: str, raw: Mapping[str, Any]) -> Source:
    """Read the table ``[sources.NAME]`` of ``tidemill.toml``.

    Raises
    ------
    ConfigError
        If `uri` is missing, a key is unknown, or an option has the wrong type.

    Examples
    --------
    >>> parse_source("flights", {"uri": "data/flights.csv", "null_values": ["NA"]}).options
    {'null_values': ('NA',)}
    """
    known = ["uri", "format", "event_time", "available_at", "cursor", *OPTIONS]
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            raise ConfigError(f"[sources.{name}] has an unknown key", value=key, hint=hint)
    if not isinstance(raw.get("uri"), str) or not raw["uri"]:
        raise ConfigError(f"[sources.{name}] has no uri", value=raw.get("uri"), hint='Write uri = "data/file.csv".')
    options = {key: _option(name, key, raw[key]) for key in OPTIONS if key in raw}
    available = raw.get("available_at", {})
    if not isinstance(available, Mapping) or not all(isinstance(value, str) for value in available.values()):
        raise ConfigError(
            f"[sources.{name}] available_at is not a table of columns",
            value=available,
            hint='Write available_at = { column = "time_column" }.',
        )
    names = {key: raw.get(key) for key in ("format", "event_time", "cursor")}
    for key, value in names.items():
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"[sources.{name}] {key} is not text", value=value, hint="See the reference.")
    return Source(name, raw["uri"], names["format"], names["event_time"], dict(available), options, names["cursor"])


def _option(name: str, key: str, value: Any) -> Any:
    expected: Any = OPTIONS[key]
    wrong = not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)
    parts = () if wrong else value if key == "null_values" else value.values() if key == "schema" else ()
    if wrong or not all(isinstance(part, str) for part in parts):
        raise ConfigError(f"[sources.{name}] {key} has the wrong type", value=value, hint="See the reference.")
    least = _LEAST.get(key, 0)
    if isinstance(value, int | float) and value < least:
        raise ConfigError(f"[sources.{name}] {key} is below {least}", value=value, hint="See the reference.")
    if key in _CHOICES and value not in _CHOICES[key]:
        choices = " or ".join(map(repr, _CHOICES[key]))
        raise ConfigError(f"[sources.{name}] {key} must be {choices}", value=value, hint="See the reference.")
    if key == "null_values":
        return (value,) if isinstance(value, str) else tuple(value)  # a list or a tuple
    return dict(value) if isinstance(value, Mapping) else value
