"""From a file to the bytes that a reader understands: unpacked, and in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import importlib
import io
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, DataError

#: Suffixes of compressed files.
COMPRESSED = frozenset({".gz", ".zip", ".zst"})
_UTF8 = frozenset({"utf8", "utf-8", "utf8-lossy"})
#: Formats whose reader sees through zstandard itself.
_SEES_ZST = frozenset({"ndjson"})
_CHUNK = 1 << 22
#: The size of what was packed stands in the last bytes of a gzip file.
_GZIP_TAIL = 4


def opened(path: Path, kind: str, options: Mapping[str, Any], folder: Path | None = None) -> Path | bytes:
    """The path itself where the reader of this format can take it, else the bytes behind compression and encoding.

    Parameters
    ----------
    path, kind, options
        The file, its format, and how it is read.
    folder
        Where it is unpacked to if that is not to be in memory; what is there from before is used.

    Raises
    ------
    DataError
        If a byte is not of the declared encoding; it names the line. If the archive is damaged.
    ConfigError
        If the encoding is unknown, or an archive holds several files.
    """
    data = _unpacked(path, options, folder, plainly=kind in _SEES_ZST and not _recodes(kind, options))
    if not _recodes(kind, options):
        return data
    return recoded(data if isinstance(data, bytes) else data.read_bytes(), options["encoding"], path.name)


def content(path: Path, options: Mapping[str, Any]) -> bytes:
    """The bytes behind a compression, as they are encoded."""
    data = _unpacked(path, options, None)
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


def unpacked_size(path: Path, options: Mapping[str, Any]) -> int:
    """Bytes behind a compression, as far as the file says: of a gzip of over 4 GiB and of zstandard, at least."""
    packed, suffix = path.stat().st_size, path.suffix.lower()
    if suffix == ".zip":
        with _damage_named(path), zipfile.ZipFile(path) as archive:
            return archive.getinfo(_member(archive, path, options)).file_size
    if suffix == ".gz" and packed > _GZIP_TAIL:
        with path.open("rb") as file:
            file.seek(-_GZIP_TAIL, os.SEEK_END)
            return max(packed, int.from_bytes(file.read(), "little"))  # modulo 4 GiB
    return packed


def _unpacked(path: Path, options: Mapping[str, Any], folder: Path | None, *, plainly: bool = False) -> Path | bytes:
    suffix = path.suffix.lower()
    if "member" in options and suffix != ".zip":
        raise ConfigError(
            f"{path.name} is no archive of several files, and has no member",
            value=options["member"],
            hint="Leave member out: it chooses a file of a .zip.",
        )
    if suffix not in COMPRESSED or (suffix == ".zst" and plainly):
        return path
    if folder is None:
        with _damage_named(path), _unpacking(path, options) as file:
            return file.read()
    target = folder / f"unpacked-{digest_value(options.get('member'))[:16]}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix="tmp-", delete=False) as temporary:
            try:
                with _damage_named(path), _unpacking(path, options) as file:
                    shutil.copyfileobj(file, temporary, _CHUNK)
            except BaseException:
                Path(temporary.name).unlink()
                raise
        os.replace(temporary.name, target)  # noqa: PTH105 — atomic, over what is there
    return target


@contextmanager
def _unpacking(path: Path, options: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.open(path) as file:
            yield file  # type: ignore[misc]  # it reads as one
    elif suffix == ".zst":
        with importlib.import_module("tidemill.integrations.zstandard").opened(path) as file:
            yield file
    else:
        with zipfile.ZipFile(path) as archive, archive.open(_member(archive, path, options)) as file:
            yield file


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path.name} cannot be unpacked: {error}", hint="It is damaged or cut off: fetch it again."
        ) from error


def _member(archive: zipfile.ZipFile, path: Path, options: Mapping[str, Any]) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    member = options.get("member")
    if member is None and len(names) != 1:
        raise ConfigError(f"{path.name} holds {len(names)} files", value=names, hint='Choose one with member = "NAME".')
    if member is not None and member not in names:
        raise ConfigError(f"{path.name} has no member of this name", value=member, hint=f"It has: {names}.")
    return str(member or names[0])


def stream(data: Path | bytes) -> Path | io.BytesIO:
    """What Polars reads from."""
    return io.BytesIO(data) if isinstance(data, bytes) else data
