"""The store of a project: its metadata and its artifacts, opened together."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from tidemill.core.errors import StoreUnavailableError
from tidemill.store import migrations
from tidemill.store.artifacts import ArtifactStore, open_artifacts
from tidemill.store.database import Database, connect


class Store:
    """The one record of everything: `metadata` in a database, `artifacts` in content-addressed blobs.

    Made by `open_store`. It may be shared by threads; closing it twice is harmless.
    """

    def __init__(self, metadata: Database, artifacts: ArtifactStore, url: str = "") -> None:
        self.metadata = metadata
        self.artifacts = artifacts
        #: What opens the same metadata in another process, passwords included; for that only, never to be shown.
        self.url = url or metadata.url

    def close(self) -> None:
        """Give back every connection."""
        self.metadata.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.metadata.url!r}, artifacts={self.artifacts.url!r})"


def open_store(url: str, artifacts: str, *, create: bool = True, **storage_options: Any) -> Store:
    """Open a store, and make it if there is none; an existing one is never upgraded without being asked.

    Parameters
    ----------
    url
        The metadata: ``sqlite:///path/to/store.db`` or ``postgresql://user@host/database``.
    artifacts
        The artifacts: a folder, or a URL that fsspec knows, such as ``s3://bucket/prefix``.
    create
        Make a new store where there is none.
    storage_options
        Passed to the artifacts' file system.

    Raises
    ------
    StoreUnavailableError
        If the database or the folder cannot be reached or written, or there is no store and `create` is false.
    StoreVersionError
        If the store's schema is newer than this Tidemill, or older and not upgraded.

    Examples
    --------
    >>> import tempfile
    >>> from tidemill.store import runs
    >>> folder = tempfile.TemporaryDirectory()
    >>> with open_store(f"sqlite:///{folder.name}/store.db", f"{folder.name}/artifacts") as store:
    ...     with store.metadata.reading() as tx:
    ...         runs.list_runs(tx)
    []
    >>> folder.cleanup()
    """
    metadata = connect(url)
    try:
        if not metadata.exists():
            if not create:
                raise StoreUnavailableError(
                    "there is no store here", value=metadata.url, hint="Check the path, or make one with: tidemill init"
                )
            metadata.create(migrations.build)
        migrations.check(metadata)
        opened = open_artifacts(artifacts, create=create, **storage_options)
        return Store(metadata, opened, metadata.url if metadata.dialect == "sqlite" else url)
    except BaseException:
        metadata.close()
        raise
