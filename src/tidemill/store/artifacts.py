"""Opening the artifact store that a URL names: a local folder quickly, anything else through fsspec."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tidemill.core.errors import UsageError
from tidemill.store.blobs import ArtifactStore, Blob, BlobInfo, Writer
from tidemill.store.blobs_local import LocalArtifacts

__all__ = ["ArtifactStore", "Blob", "BlobInfo", "Writer", "open_artifacts"]

# Named by string: importing fsspec takes longer than everything else that a local store does.
_REMOTE = ("tidemill.store.blobs_remote", "RemoteArtifacts")


def open_artifacts(
    url: str | Path,
    *,
    cache: Path | None = None,
    durable: bool = False,
    create: bool = True,
    **storage_options: Any,
) -> ArtifactStore:
    """Open an artifact store.

    Parameters
    ----------
    url
        A path, a ``file://`` URL, or any URL that fsspec knows: ``s3://bucket/prefix``, ``memory://name``,
        ``gs://…``, ``hdfs://…``.
    cache
        Remote stores only: a local folder for blobs that something wants to read as a file. By default
        ``$TIDEMILL_CACHE``, or ``tidemill/blobs`` in the user's cache folder.
    durable
        Local stores only: flush file and folder to the disk before a blob counts as stored.
    create
        Make a missing local folder; otherwise a missing store is `StoreUnavailableError`.
    storage_options
        Remote stores only: passed to the fsspec file system, such as ``endpoint_url`` or ``key``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_artifacts(folder)
    ...     blob = store.put(b"tide")
    ...     store.read(blob.digest)
    b'tide'
    """
    text = str(url)
    local = local_path(text)
    if local is not None:
        if storage_options:
            raise UsageError(
                "a local artifact store takes no storage options",
                value=sorted(storage_options),
                hint="Leave them out, or give the URL of the file system that they are for.",
            )
        return LocalArtifacts(local, durable=durable, create=create)
    module, name = _REMOTE
    remote: Callable[..., ArtifactStore] = getattr(importlib.import_module(module), name)
    return remote(text, cache=cache, **storage_options)


def local_path(url: str) -> Path | None:
    """The folder that a path or ``file://`` URL names, absolute; None for anything remote.

    >>> local_path("s3://bucket/prefix") is None
    True
    >>> local_path("file:///data/my%20store")
    PosixPath('/data/my store')
    """
    if url.startswith("file://"):
        return Path(unquote(urlsplit(url).path)).absolute()
    if "://" in url or "::" in url:
        return None
    return Path(url).expanduser().absolute()
