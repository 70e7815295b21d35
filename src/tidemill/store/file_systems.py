"""Which client opens a remote address: fsspec's, or one of ours where fsspec's loses data or hides errors."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from fsspec.core import url_to_fs
from fsspec.registry import available_protocols, known_implementations
from fsspec.registry import registry as fsspec_registry

from tidemill.core.errors import ConfigError, MissingExtraError

#: scheme -> the package that its client needs, and the extra that brings it.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure")),
    **dict.fromkeys(("http", "https"), ("aiohttp", "http")),
    "hdfs": ("hdfs_native", "hdfs"),
    "webhdfs": ("requests", "hdfs"),
    "sftp": ("paramiko", "sftp"),
}

#: Where fsspec takes a question mark, which is a wildcard in our addresses, for the start of a query.
_AS_WRITTEN = frozenset({"ftp", "sftp"})

_SILENCE = 60.0  # seconds

#: scheme -> "module:class" of a file system of ours.
_OURS = {
    "hdfs": "tidemill.integrations.hdfs:Hdfs",
    "webhdfs": "tidemill.integrations.webhdfs:WebHdfs",
}


def require_client(url: str, purpose: str) -> None:
    """Refuse an address that nothing on this machine opens; nothing is connected to, nor loaded.

    Parameters
    ----------
    url, purpose
        As for `connect`.

    Raises
    ------
    ConfigError
        If no file system is known for it.
    MissingExtraError
        If the package for this scheme is not installed.
    """
    for part in url.split("::"):
        scheme = part.partition("://")[0]
        if scheme in _OURS or scheme in _PACKAGES:
            package, extra = _PACKAGES[scheme]
        elif scheme in known_implementations:
            package, extra = known_implementations[scheme]["class"].partition(".")[0], "all"
        elif scheme in fsspec_registry:
            continue
        else:
            hint = f"fsspec knows: {', '.join(available_protocols())}."
            raise ConfigError(f"there is no file system for {purpose}", value=f"{scheme}://", hint=hint)
        if find_spec(package) is None:
            raise MissingExtraError(package, extra, purpose=purpose)


def connect(url: str, purpose: str, **options: Any) -> tuple[Any, str]:
    """The file system of an address, as fsspec defines one, and the path in it.

    Parameters
    ----------
    url
        With every secret revealed.
    purpose
        What it is needed for, in words for the error; without secrets.
    options
        Of the file system: its ``storage_options``.

    Raises
    ------
    MissingExtraError
        If the package for this scheme is not installed.

    Examples
    --------
    >>> system, path = connect("memory://folder/f.csv", "the example")
    >>> path
    '/folder/f.csv'
    """
    scheme = url.partition("://")[0]
    if scheme in _PACKAGES:
        package, extra = _PACKAGES[scheme]
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError(package, extra, purpose=purpose) from error
    if scheme in ("http", "https"):
        options = _patient(options)
    if scheme not in _OURS:
        if scheme not in _AS_WRITTEN:
            system, path = url_to_fs(url, **options)
            return system, str(path)
        system, _ = url_to_fs(url.partition("?")[0].partition("#")[0], **options)
        return system, "/" + url.partition("://")[2].partition("/")[2]
    module, _, name = _OURS[scheme].partition(":")
    kind = getattr(importlib.import_module(module), name)
    system = kind(**{**kind.options_of(url), **options})
    return system, str(kind.path_of(url))


def _patient(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the HTTP client, which gives up on silence and not, as by its own default, on a long download."""
    given = options.get("client_kwargs", {})
    timeout = importlib.import_module("aiohttp").ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
    return {**options, "client_kwargs": {"timeout": timeout, **given}}
