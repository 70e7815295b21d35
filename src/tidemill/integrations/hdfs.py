"""HDFS by its own protocol, through hdfs-native: neither Java nor an HTTP port is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fsspec.spec import AbstractFileSystem
from hdfs_native import Client, WriteOptions

from tidemill.core.errors import ConfigError

_CHUNK = 1 << 22

#: Its own default is to try for three minutes to reach a NameNode that is not there.
_SETTINGS = {"dfs.client.failover.max.attempts": "3"}

#: How the client words what a server raised: ``RPCError("org.apache…Exception", "message\\n\\tat …")``.
_REMOTE = re.compile(r'RPCError\("(?:[\w$]+\.)*([\w$]+)", "(.*?)(?:\\n|"\)|$)', re.DOTALL)
_DATA = re.compile(r'DataTransferError\("(.*?)(?::|"\)|$)')


class Hdfs(AbstractFileSystem):  # type: ignore[misc]
    """The file system of a NameNode, or of a name service that ``HADOOP_CONF_DIR`` describes.

    Parameters
    ----------
    host
        Of the NameNode, or the name of the service; None for ``fs.defaultFS`` of ``HADOOP_CONF_DIR``.
    port
        Of its RPC: 8020 where nothing else is set; None for a name service.
    settings
        Of Hadoop, such as ``{"dfs.client.use.datanode.hostname": "true"}``.
    """

    protocol = "hdfs"
    root_marker = "/"
    #: A fork drops what fsspec caches, and a client that is dropped there waits for threads that the child never had.
    cachable = False

    def __init__(self, host: str | None = None, port: int | None = None, **settings: Any) -> None:
        if "user" in settings:
            raise ConfigError(
                "hdfs:// takes no user",
                value=settings["user"],
                hint="Set HADOOP_USER_NAME in the environment, log in with kinit, or use webhdfs://USER@HOST:PORT/….",
            )
        unknown = sorted(name for name in settings if "." not in name and name != "skip_instance_cache")
        if unknown:
            raise ConfigError(
                "hdfs:// has no such option",
                value=unknown[0],
                hint='Give settings of Hadoop by their full names, such as "dfs.client.use.datanode.hostname".',
            )
        super().__init__(host=host, port=port, **settings)
        self.place = f"hdfs://{host or ''}" + (f":{port}" if port else "")
        with _told():
            self.client = Client(
                self.place if host else None, {**_SETTINGS, **{name: _text(item) for name, item in settings.items()}}
            )

    @classmethod
    def options_of(cls, url: str) -> dict[str, Any]:
        """Host and port of an address."""
        parts = urlsplit(url.partition("?")[0].partition("#")[0])
        found = {"host": parts.hostname, "port": parts.port, "user": parts.username}
        return {name: item for name, item in found.items() if item}

    @classmethod
    def path_of(cls, url: str) -> str:
        """The path of an address, in which a question mark is a wildcard and not the start of a query."""
        return "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return cls.path_of(str(path)).rstrip("/") or "/"

    def unstrip_protocol(self, name: str) -> str:
        """The address of a path."""
        return self.place + self._strip_protocol(name)

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Name, size, type and times of a file or folder."""
        with _told():
            return _info(self.client.get_file_info(self._strip_protocol(path)))

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:  # noqa: FBT001, FBT002 (fsspec's)
        """What is in a folder."""
        with _told():
            found = [_info(item) for item in self.client.list_status(self._strip_protocol(path), recursive=False)]
        return found if detail else [item["name"] for item in found]

    def exists(self, path: str, **_options: Any) -> bool:
        """Whether it is there; a server that does not answer is an error, and not "no"."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def modified(self, path: str) -> float:
        """Seconds since the epoch at which its last writer closed it."""
        return float(self.info(path)["mtime"])

    def get_file(self, rpath: str, lpath: str, **_options: Any) -> None:
        """Download a file."""
        with _told(), Path(lpath).open("wb") as file:
            reader = self.client.read(self._strip_protocol(rpath))
            expected, received = len(reader), 0
            while chunk := reader.read(_CHUNK):
                received += file.write(chunk)
        if received != expected:
            raise OSError(f"{rpath} broke off: {received} of {expected} bytes came")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """The bytes of a file, or a part of them; negative positions count from its end."""
        with _told():
            reader = self.client.read(self._strip_protocol(path))
            first, last, _ = slice(start, end).indices(len(reader))
            return bytes(reader.read_range(first, max(last - first, 0)))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_options: Any) -> None:
        """Write a whole file."""
        with _told(), self.client.create(self._strip_protocol(path), _writing(overwrite=mode != "create")) as file:
            file.write(value)

    def put_file(self, lpath: str, rpath: str, *_: Any, mode: str = "overwrite", **_options: Any) -> None:
        """Upload a local file."""
        with (
            _told(),
            Path(lpath).open("rb") as source,
            self.client.create(self._strip_protocol(rpath), _writing(overwrite=mode != "create")) as file,
        ):
            while chunk := source.read(_CHUNK):
                file.write(chunk)

    def mv(self, path1: str, path2: str, **_options: Any) -> None:
        """Rename, over what is there, in one step of the NameNode."""
        with _told():
            self.client.rename(self._strip_protocol(path1), self._strip_protocol(path2), overwrite=True)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 (fsspec's)
        """Make a folder and those above it."""
        if not exist_ok and self.exists(path):
            raise FileExistsError(path)
        with _told():
            self.client.mkdirs(self._strip_protocol(path), 0o755, create_parent=True)

    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:  # noqa: FBT001, FBT002
        """Make a folder."""
        with _told():
            self.client.mkdirs(self._strip_protocol(path), 0o755, create_parents)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self.rm(path)

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Remove a file, or a folder with all below it."""
        with _told():
            self.client.delete(self._strip_protocol(path), recursive)

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> Any:
        place = self._strip_protocol(path)
        with _told():
            if mode == "rb":
                return self.client.read(place)
            if mode in ("wb", "xb"):
                return self.client.create(place, _writing(overwrite=mode == "wb"))
        raise ValueError(f"no mode {mode} on HDFS")


def _writing(*, overwrite: bool) -> Any:
    return WriteOptions(overwrite=overwrite)


def _info(status: Any) -> dict[str, Any]:
    return {
        "name": status.path,
        "size": status.length,
        "type": "directory" if status.isdir else "file",
        "owner": status.owner,
        "modification_time": status.modification_time,
        "mtime": status.modification_time / 1000,
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def _told() -> Iterator[None]:
    """What the servers say, as the error that Python has for it and in one line."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        remote, data = _REMOTE.search(text), _DATA.search(text)
        if remote is not None:
            kind = PermissionError if remote[1] == "AccessControlException" else OSError
            message = remote[2].replace('\\"', '"')
            raise kind(message if kind is PermissionError else f"{remote[1]}: {message}") from error
        raise OSError(data[1] if data else text.partition("\n")[0][:300]) from error
