"""Files compressed with Zstandard, through Arrow."""

from __future__ import annotations

from pathlib import Path

from tidemill.core.errors import MissingExtraError


def decompress(path: Path) -> bytes:
    """The unpacked bytes of a file."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "arrow", purpose="unpacking a .zst file") from error
    with pa.input_stream(str(path), compression="zstd") as unpacked:
        return bytes(unpacked.read())
