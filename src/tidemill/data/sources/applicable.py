"""Which options a source takes, by what reads it: an option that would be ignored is an error."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.core.errors import ConfigError
from tidemill.data.sources.source import (
    ACCESS_OPTIONS,
    FILE_OPTIONS,
    HTML_OPTIONS,
    REST_OPTIONS,
    SPARK_OPTIONS,
    SQL_OPTIONS,
    Source,
)

_ANY_FILE = frozenset({"member", "null_values", "partitions", *ACCESS_OPTIONS})
_TYPES = frozenset({"schema", "dates"})
#: format, or module of a connector -> the options that it looks at.
_TAKEN: Mapping[str, frozenset[str]] = {
    "csv": frozenset(FILE_OPTIONS) - {"sheet"} | _ANY_FILE,
    "ndjson": frozenset({"encoding", "bad_lines"}) | _ANY_FILE,
    "json": frozenset({"encoding"}) | _ANY_FILE,
    "parquet": _ANY_FILE,
    "ipc": _ANY_FILE,
    "excel": frozenset({"sheet", "header", "schema"}) | _ANY_FILE,
    "duckdb": frozenset(SQL_OPTIONS),
    "adbc": frozenset(SQL_OPTIONS) | {"dates"},
    "sql": frozenset(SQL_OPTIONS) | {"dates"},
    "spark": frozenset(SQL_OPTIONS) - {"chunk_rows"} | frozenset(SPARK_OPTIONS) | {"timeout"},
    "rest": frozenset(REST_OPTIONS) | _TYPES,
    "html": frozenset(HTML_OPTIONS) | _TYPES | {"encoding", "headers", "retries", "timeout"},
}


def require_applicable(source: Source, reader: str) -> None:
    """Refuse options that mean nothing to what reads the source.

    Parameters
    ----------
    source
        The source.
    reader
        A format, or the name of a connector's module; one that is not of this package takes any option.

    Raises
    ------
    ConfigError
        If an option would be ignored.

    Examples
    --------
    >>> require_applicable(Source("s", "a.csv", options={"separator": ";"}), "csv")
    """
    module = reader.removeprefix("tidemill.integrations.")
    taken = _TAKEN.get(module)
    ignored = [] if taken is None else sorted(set(source.options) - taken)
    if ignored and taken is not None:
        raise ConfigError(
            f"[sources.{source.name}] has options that are not for {module}",
            value=ignored,
            hint=f"It takes: {', '.join(sorted(taken))}.",
        )
