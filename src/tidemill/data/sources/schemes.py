"""Which module reads a URI: one static table, and the entry points of installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.sources.source import REST_OPTIONS, ResolvedSource, Selection, Source, SourceFile, Window

#: A file of a source: its address without secrets, and where its bytes are on this machine.
Found: TypeAlias = tuple[str, Path]

#: From ``(uri, root)`` to the files on this machine, in reading order.
Locator: TypeAlias = Callable[[str, Path], list[Path]]


class Connector(Protocol):
    """What reads a source that is not files: a module or an object with these two functions.

    A package provides one, or a `Locator`, under the entry-point group ``tidemill.sources``, named by the URI's scheme.
    """

    def pin(
        self, source: Source, root: Path, selection: Selection, window: Window | None
    ) -> tuple[tuple[SourceFile, ...], Window | None]:
        """Pin what the source holds now; a `window` whose `upto` is open is closed at the newest row."""
        ...

    def scan(self, resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
        """The rows of a pinned source and its window: at least those of the selection, which is applied again after."""
        ...


_ENTRY_POINTS = "tidemill.sources"

#: scheme -> "module:function" of a locator.
_FILES = {
    "": "tidemill.data.sources.locate:local_files",
    "file": "tidemill.data.sources.locate:local_files",
    "package": "tidemill.data.sources.locate:package_file",
}

#: Schemes whose files are fetched through fsspec.
REMOTE = frozenset(
    "s3 s3a gs gcs az abfs abfss adl http https memory ftp sftp webhdfs hdfs".split()  # each read by fsspec
)

_HTML = "tidemill.integrations.html"
_REST = "tidemill.integrations.rest"
_SPARK = "tidemill.integrations.spark"
_SQL = "tidemill.integrations.sql"

#: scheme, without a driver's name -> the module that is its connector.
_CONNECTORS = {
    "adbc": "tidemill.integrations.adbc",
    "duckdb": "tidemill.integrations.duckdb",
    **dict.fromkeys(("spark", "sc"), _SPARK),
    **dict.fromkeys(("sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle"), _SQL),
}


def scheme_of(uri: str) -> str:
    """The scheme of a URI, without the name of a driver; empty for a path.

    >>> scheme_of("postgresql+psycopg://host/db"), scheme_of("data/flights.csv")
    ('postgresql', '')
    """
    return uri.partition("://")[0].partition("+")[0].lower() if "://" in uri else ""


def connector_of(source: Source) -> Connector | None:
    """What reads the source if it is not files; None if it is."""
    scheme = scheme_of(source.uri)
    if scheme in ("http", "https") and (source.format == "html" or _has_selectors(source)):
        return cast("Connector", importlib.import_module(_HTML))
    if scheme in ("http", "https") and (
        source.format == "rest" or any(name in REST_OPTIONS for name in source.options)
    ):
        return cast("Connector", importlib.import_module(_REST))
    if scheme in _CONNECTORS:
        return cast("Connector", importlib.import_module(_CONNECTORS[scheme]))
    is_query = "query" in source.options or "table" in source.options
    provided = None if scheme in _FILES or scheme in REMOTE else _provided(scheme)
    if provided is None and is_query:  # any other database: SQLAlchemy knows, or says that it does not
        return cast("Connector", importlib.import_module(_SQL))
    return cast("Connector", provided) if hasattr(provided, "pin") else None


def _has_selectors(source: Source) -> bool:
    """Whether the source says what to select on a web page."""
    return source.format is None and any(name in source.options for name in ("rows", "fields", "follow"))


def locator_of(uri: str) -> Locator:
    """What finds the files of a URI that is neither remote nor a connector's.

    Raises
    ------
    ConfigError
        If nothing reads this scheme.
    """
    scheme = scheme_of(uri)
    if scheme in _FILES:
        module, _, name = _FILES[scheme].partition(":")
        return cast("Locator", getattr(importlib.import_module(module), name))
    provided = _provided(scheme)
    if provided is not None:
        return cast("Locator", provided)
    known = sorted({*_FILES, *REMOTE, *_CONNECTORS} - {""})
    raise ConfigError(
        f"no source reads the scheme {scheme!r}",
        hint=f"Use a path or one of {', '.join(known)}, or install a package that provides this scheme.",
    )


def _provided(scheme: str) -> Any:
    for entry in importlib.metadata.entry_points(group=_ENTRY_POINTS, name=scheme):
        return entry.load()
    return None
