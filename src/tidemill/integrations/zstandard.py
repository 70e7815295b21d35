"""Files compressed with Zstandard, through Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tidemill.core.errors import MissingExtraError


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file, as a file to read."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "arrow", purpose="unpacking a .zst file") from error
    with pa.input_stream(str(path), compression="zstd") as unpacked:
        yield unpacked
