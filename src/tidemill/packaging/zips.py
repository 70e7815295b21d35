"""Zip archives with the same bytes for the same members: sorted names, one moment, no compression chosen by chance."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from tidemill.core.errors import UnsafeModelError

_MOMENT = (1980, 1, 1, 0, 0, 0)
_LIMIT = 8 << 30


def write_zip(members: Mapping[str, bytes]) -> bytes:
    """An archive of the members.

    >>> write_zip({"b": b"2", "a": b"1"}) == write_zip({"a": b"1", "b": b"2"})
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return out.getvalue()


def read_zip(data: bytes) -> dict[str, bytes]:
    """The members of an archive; names that leave the folder, and archives that unpack to more than 8 GiB, are refused.

    >>> read_zip(write_zip({"a": b"1"}))
    {'a': b'1'}
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            for entry in entries:
                if entry.filename.startswith(("/", "\\")) or ".." in entry.filename.replace("\\", "/").split("/"):
                    raise UnsafeModelError("a member of the archive leaves its folder", value=entry.filename)
            if sum(entry.file_size for entry in entries) > _LIMIT:
                raise UnsafeModelError("the archive unpacks to more than 8 GiB", hint="This is no model of ours.")
            return {entry.filename: archive.read(entry) for entry in entries if not entry.is_dir()}
    except zipfile.BadZipFile as error:
        raise UnsafeModelError(f"this is not a model archive: {error}", hint="Package the model again.") from error
