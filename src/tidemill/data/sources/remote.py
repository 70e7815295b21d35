"""Files of other machines and clouds, through fsspec: fetched once for each content that they have."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from tidemill.core.digests import digest_value
from tidemill.core.errors import DataError, MissingExtraError, NotFoundError
from tidemill.data.sources.cache import cached, keep, recall, receiving, remember
from tidemill.data.sources.schemes import Found, scheme_of
from tidemill.data.sources.shown import shown
from tidemill.project import reveal, reveal_all

#: scheme -> the package that fsspec needs for it, and the extra that brings it.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure")),
    **dict.fromkeys(("http", "https"), ("aiohttp", "http")),
    "webhdfs": ("requests", "hdfs"),
    "sftp": ("paramiko", "sftp"),
}
_CHUNK = 1 << 20


def fetch(uri: str, root: Path, storage_options: Mapping[str, Any]) -> list[Found]:
    """Bring the files of a URI, a folder or a glob to this machine, and name them without secrets.

    A store's version or strong ETag decides whether a file that is here already is fetched again; without one it always
    is. What tells data from other data is the digest of the content alone.

    Raises
    ------
    NotFoundError
        If there is no such file.
    MissingExtraError
        If the package for this scheme is not installed.
    DataError
        If the other side does not answer, refuses, or breaks off.
    """
    scheme = scheme_of(uri)
    if scheme in _PACKAGES:
        _require(*_PACKAGES[scheme], uri)
    options = reveal_all(dict(storage_options), root=root)
    try:
        system, path = fsspec.core.url_to_fs(reveal(uri, root=root), **options)
        system.invalidate_cache()
        paths = _paths(system, path, scheme)
        if not paths:
            raise NotFoundError(
                "no file matches the source's uri",
                value=shown(uri),
                hint="Check the address, and that you may list it.",
            )
        return [_fetch(system, item, root, digest_value([uri, dict(storage_options)])) for item in paths]
    except FileNotFoundError:
        raise NotFoundError(  # the client's own message may hold the secrets of the address
            "there is no file at the source's uri",
            value=shown(uri),
            hint="Check the address, that the server answers, and your rights.",
        ) from None
    except _client_errors(scheme) as error:
        raise DataError(
            f"{shown(uri)} cannot be fetched: {shown(str(error).splitlines()[0] if str(error) else repr(error))}",
            hint="Check the address, storage_options and your rights, then run again.",
        ) from None


def _require(package: str, extra: str, uri: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, extra, purpose=f"reading {shown(uri)}") from error


def _client_errors(scheme: str) -> tuple[type[Exception], ...]:
    """What a file system raises when the other side does not do as asked."""
    client = (importlib.import_module("aiohttp").ClientError,) if scheme in ("http", "https") else ()
    return (OSError, ValueError, *client)


def _paths(system: Any, path: str, scheme: str) -> list[str]:
    if scheme in ("http", "https"):
        return [path]  # a question mark there begins a query, and folders are not listed
    if any(sign in path for sign in "*?["):
        return sorted(item for item in system.glob(path) if system.isfile(item))
    if system.isfile(path):
        return [path]
    return sorted(item for item in system.find(path) if not _is_hidden(item))


def _is_hidden(path: str) -> bool:
    return PurePosixPath(path).name.startswith(("_", "."))


def _fetch(system: Any, path: str, root: Path, how: str) -> Found:
    address = shown(system.unstrip_protocol(path))
    name = PurePosixPath(address.partition("?")[0]).name or "data"
    state = _state(system.info(path))
    if state is not None:
        digest = recall(root, [how, path], state)
        here = None if digest is None else cached(root, digest, name)
        if here is not None:
            return address, here
    with receiving(root) as temporary:
        with system.open(path, "rb") as remote, temporary.open("wb") as local:
            while chunk := remote.read(_CHUNK):
                local.write(chunk)
        here, digest = keep(root, temporary, name)
    if state is not None and _state(system.info(path)) == state:  # it did not change while it was read
        remember(root, [how, path], state, digest)
    return address, here


def _state(info: Mapping[str, Any]) -> str | None:
    """The version of a file where the store vouches that other bytes have another one."""
    marks = [str(info[name]) for name in ("VersionId", "ETag", "etag", "generation") if info.get(name)]
    if not marks or any(mark.startswith("W/") for mark in marks):
        return None
    return "|".join([*marks, str(info.get("size"))])
