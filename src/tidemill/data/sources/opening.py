"""From a file to the bytes that a reader understands: unpacked, and in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import importlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError, DataError

#: Suffixes of compressed files.
COMPRESSED = frozenset({".gz", ".zip", ".zst"})
_UTF8 = frozenset({"utf8", "utf-8", "utf8-lossy"})
#: Formats whose reader sees through zstandard itself.
_SEES_ZST = frozenset({"csv", "ndjson"})


def opened(path: Path, kind: str, options: Mapping[str, Any]) -> Path | bytes:
    """The path itself where the reader of this format can take it, else the bytes behind compression and encoding.

    Raises
    ------
    DataError
        If a byte is not of the declared encoding; it names the line.
    ConfigError
        If the encoding is unknown, or an archive holds several files.
    """
    data = _unpacked(path, options, plainly=kind in _SEES_ZST and not _recodes(kind, options))
    if not _recodes(kind, options):
        return data
    return recoded(data if isinstance(data, bytes) else data.read_bytes(), options["encoding"], path.name)


def content(path: Path, options: Mapping[str, Any]) -> bytes:
    """The bytes behind a compression, as they are encoded."""
    data = _unpacked(path, options, plainly=False)
    return data if isinstance(data, bytes) else data.read_bytes()


def is_utf8(options: Mapping[str, Any]) -> bool:
    """Whether the text needs no recoding."""
    return str(options.get("encoding", "utf8")).lower() in _UTF8


def recoded(data: bytes, encoding: str, name: str) -> bytes:
    """Text of another encoding in UTF-8."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigError(
            "no such encoding", value=encoding, hint='Use a name that Python knows, such as "cp1252" or "utf-16".'
        ) from None
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{name} is not encoded as {encoding}: line {line} has {data[error.start : error.end]!r}",
            hint="Set encoding to what it is, or bad_lines to quarantine.",
        ) from error


def _recodes(kind: str, options: Mapping[str, Any]) -> bool:
    return kind in ("csv", "ndjson", "json") and not is_utf8(options)


def _unpacked(path: Path, options: Mapping[str, Any], *, plainly: bool) -> Path | bytes:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if suffix == ".zst" and not plainly:
        unpack = importlib.import_module("tidemill.integrations.zstandard").decompress
        return bytes(unpack(path))
    return _member(path, options) if suffix == ".zip" else path


def _member(path: Path, options: Mapping[str, Any]) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        member = options.get("member")
        if member is None and len(names) != 1:
            raise ConfigError(
                f"{path.name} holds {len(names)} files", value=names, hint='Choose one with member = "NAME".'
            )
        if member is not None and member not in names:
            raise ConfigError(f"{path.name} has no member of this name", value=member, hint=f"It has: {names}.")
        return archive.read(member or names[0])


def stream(data: Path | bytes) -> Path | io.BytesIO:
    """What Polars reads from."""
    return io.BytesIO(data) if isinstance(data, bytes) else data
