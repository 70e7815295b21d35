"""What a source is: where data comes from, how it is read, and when each of its columns is known."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError

#: Options that say how the bytes are read, and what they must be.
OPTIONS: dict[str, type | tuple[type, ...]] = {
    "null_values": (list, tuple, str),
    "separator": str,
    "quote": str,
    "encoding": str,
    "header": bool,
    "comment": str,
    "member": str,
    "dates": bool,
    "schema": Mapping,
    "infer_rows": int,
}


@dataclass(frozen=True, slots=True)
class Source:
    """A place that data comes from, declared in ``[sources.NAME]`` or made for a bare URI.

    Parameters
    ----------
    name
        How pipelines call it.
    uri
        A path or glob relative to the project, or ``package://DISTRIBUTION/PATH`` for a file inside an installed
        package.
    format
        ``"csv"``, ``"parquet"``, ``"ndjson"``, ``"json"`` or ``"ipc"``; None reads it off the file's name.
    event_time
        The column that says when a row happened.
    available_at
        For each column that is known later (or earlier) than that, the time column, possibly shifted, that says when:
        ``{"dep_delay": "departed_at"}``. The key ``"*"`` stands for the columns not named; without it they are known
        at `event_time`.
    options
        How the bytes are read; see `OPTIONS`.
    """

    name: str
    uri: str
    format: str | None = None
    event_time: str | None = None
    available_at: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source as it was found: `path` is relative to the project where it lies inside it."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """A source pinned to the bytes that it had at one moment; equal bytes read the same way have equal fingerprints."""

    source: Source
    files: tuple[SourceFile, ...]

    @property
    def fingerprint(self) -> str:
        """Digest of the contents and of how they are read; independent of where the files lie."""
        how = {"format": self.source.format, "options": dict(self.source.options), "time": self.source.event_time}
        return digest_value([how, [file.digest for file in self.files]])

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
    known = ["uri", "format", "event_time", "available_at", *OPTIONS]
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
    return Source(name, raw["uri"], raw.get("format"), raw.get("event_time"), dict(available), options)


def _option(name: str, key: str, value: Any) -> Any:
    expected: Any = OPTIONS[key]
    if not isinstance(value, expected):
        raise ConfigError(f"[sources.{name}] {key} has the wrong type", value=value, hint="See the reference.")
    if key == "null_values":
        return (value,) if isinstance(value, str) else tuple(value)  # a list or a tuple
    return dict(value) if isinstance(value, Mapping) else value
