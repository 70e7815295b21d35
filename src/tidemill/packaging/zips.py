"""Zip archives with the same bytes for the same members: sorted names, one moment, no compression chosen by chance."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping

from tidemill.core.errors import UnsafeModelError

_MOMENT = (1980, 1, 1, 0, 0, 0)
_LIMIT = 8 << 30
#: What unpacks to more than this must not be more than so many times as large as it is packed.
_SMALL, _RATIO = 256 << 20, 100


def write_zip(members: Mapping[str, bytes], *, level: int = 6) -> bytes:
    """An archive of the members.

    Where the digest of an archive counts, its level must stay what it was. The first level packs a model of trees into
    a tenth more bytes than the sixth, in a fifth of the time.

    >>> write_zip({"b": b"2", "a": b"1"}) == write_zip({"a": b"1", "b": b"2"})
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name], compresslevel=level)  # the archive's own is not for entries
    return out.getvalue()


def read_zip(data: bytes) -> dict[str, bytes]:
    """The members of an archive; names that leave the folder or are there twice, links, and bombs are refused.

    >>> read_zip(write_zip({"a": b"1"}))
    {'a': b'1'}
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            counts = Counter(entry.filename for entry in entries)
            for entry in entries:
                if problem := _problem(entry, counts[entry.filename]):
                    raise UnsafeModelError(f"a member of the archive {problem}", value=entry.filename)
            size = sum(entry.file_size for entry in entries)
            if size > _LIMIT or (size > _SMALL and size > _RATIO * len(data)):
                raise UnsafeModelError(
                    f"the archive of {len(data):,} bytes unpacks to {size:,}", hint="This is no model of ours."
                )
            return {entry.filename: archive.read(entry) for entry in entries if not entry.is_dir()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise UnsafeModelError(f"this is not a model archive: {error}", hint="Package the model again.") from error


def _problem(entry: zipfile.ZipInfo, count: int) -> str:
    """Why a member is refused, or nothing."""
    if entry.filename.startswith(("/", "\\")) or ".." in entry.filename.replace("\\", "/").split("/"):
        return "leaves its folder"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or no file"
    return "is there twice" if count > 1 else ""
