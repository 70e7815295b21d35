"""WebHDFS: fsspec's client, where an error of a server is never taken for the content of a file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests
from fsspec.implementations.webhdfs import WebHDFile, WebHDFS

from tidemill.core.errors import ConfigError

_CHUNK = 1 << 20
_CONNECT_SECONDS = 10.0

#: What every file system of fsspec takes, and what this one does; anything else would be ignored.
_GENERAL = frozenset({"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths"})
_OPTIONS = _GENERAL | set(inspect.signature(WebHDFS.__init__).parameters) - {"self", "kwargs"} | {"timeout"}

#: What Hadoop calls an error -> what Python calls it; anything else is an OSError that names it.
_ERRORS: dict[str, type[OSError]] = {
    "FileNotFoundException": FileNotFoundError,
    "FileAlreadyExistsException": FileExistsError,
    "AccessControlException": PermissionError,
    "AuthorizationException": PermissionError,
    "SecurityException": PermissionError,
    "InvalidToken": PermissionError,
}


class WebHdfs(WebHDFS):  # type: ignore[misc]
    """HDFS over HTTP.

    fsspec's own client takes whatever a DataNode answers for the bytes of the file, a 404 in JSON too, reports a
    refused rename as done, and waits for ever on a server that is silent; this one does not.

    Parameters
    ----------
    host
        Of the NameNode, or of an HttpFS gateway.
    port
        Its HTTP port: 9870 in Hadoop 3, 50070 in Hadoop 2.
    timeout
        Seconds of silence after which a server counts as dead.
    options
        As of fsspec's ``WebHDFS``: ``user``, ``password``, ``token``, ``kerberos``, ``use_https``, ``data_proxy``, ….
    """

    protocol = "webhdfs"

    def __init__(self, host: str = "", port: int = 9870, *, timeout: float = 60.0, **options: Any) -> None:
        if self._cached:
            return
        unknown = sorted(set(options) - _OPTIONS)
        if unknown or not host:
            raise ConfigError(
                "webhdfs:// has no such option" if unknown else "webhdfs:// names no NameNode",
                value=unknown[0] if unknown else None,
                hint=f"Use {', '.join(sorted(_OPTIONS - _GENERAL))}." if unknown else "Write webhdfs://HOST:PORT/PATH.",
            )
        self._timeout = (_CONNECT_SECONDS, float(timeout))
        super().__init__(host, port, **options)

    @classmethod
    def options_of(cls, url: str) -> dict[str, Any]:
        """Host, port and user of an address."""
        parts = urlsplit(url.partition("?")[0].partition("#")[0])
        found = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
        return {name: unquote(item) if isinstance(item, str) else item for name, item in found.items() if item}

    @classmethod
    def path_of(cls, url: str) -> str:
        """The path of an address, in which a question mark is a wildcard and not the start of a query."""
        return "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return cls.path_of(str(path)).rstrip("/") or "/"

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
        """Download a file in one request, which sees one state of it."""
        expected = self.info(rpath)["size"]
        received = 0
        with self._opened(rpath) as answer, Path(lpath).open("wb") as file:
            try:
                for chunk in answer.iter_content(_CHUNK):
                    received += file.write(chunk)
            except requests.RequestException as error:
                raise _broke_off(rpath) from error
        _check_length(rpath, received, expected)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """The bytes of a file, or a part of them; negative positions count from its end."""
        size = self.info(path)["size"]
        first, last, _ = slice(start, end).indices(size)
        return self.read_range(path, first, max(last - first, 0))

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """So many bytes from a position."""
        if length == 0:
            return b""
        with self._opened(path, offset=offset, length=length) as answer:
            try:
                data: bytes = answer.content
            except requests.RequestException as error:
                raise _broke_off(path) from error
        _check_length(path, len(data), length)
        return data

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_options: Any) -> None:
        """Write a whole file."""
        self._create(path, value, overwrite=mode != "create")

    def put_file(self, lpath: str, rpath: str, *_: Any, mode: str = "overwrite", **_options: Any) -> None:
        """Upload a local file."""
        with Path(lpath).open("rb") as file:
            self._create(rpath, file, overwrite=mode != "create")

    def mv(self, path1: str, path2: str, **_options: Any) -> None:
        """Rename, over what is there, in one step of the NameNode."""
        target = self._strip_protocol(path2)
        answer = self._call("RENAME", "put", path1, destination=target, renameoptions="OVERWRITE")
        if answer.content and answer.json().get("boolean") is False:  # a gateway that does not know the option
            raise FileExistsError(f"{path1} cannot be renamed to {target}")

    def unstrip_protocol(self, name: str) -> str:
        """The address of a path."""
        return f"webhdfs://{urlsplit(self.url).netloc}{self._strip_protocol(name)}"

    @staticmethod
    def _process_info(info: dict[str, Any]) -> dict[str, Any]:
        info.update(type=info["type"].lower(), size=info["length"], mtime=info["modificationTime"] / 1000)
        return info

    def _call(
        self,
        op: str,
        method: str = "get",
        path: str | None = None,
        data: Any = None,
        redirect: bool = True,  # noqa: FBT001, FBT002 (fsspec's signature)
        **args: Any,
    ) -> requests.Response:
        place = quote(self._strip_protocol(path)) if path is not None else ""
        return self._ask(
            method,
            self._apply_proxy(self.url + place),
            params={**args, **self.pars, "op": op.upper()},
            data=data,
            allow_redirects=redirect,
        )

    def _ask(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            answer = self.session.request(method.upper(), url, timeout=self._timeout, **options)
        except requests.Timeout as error:
            raise TimeoutError(f"{urlsplit(url).netloc} was silent for {self._timeout[1]:g} s: timed out") from error
        except requests.ConnectionError as error:
            why = str(getattr(error.args[0], "reason", error) if error.args else error).rpartition(": ")[2]
            ports = "; Hadoop 3 listens on 9870, Hadoop 2 on 50070" if "refused" in why else ""
            raise ConnectionError(f"{urlsplit(url).netloc} does not answer: {why}{ports}") from error
        return _checked(answer)

    @contextmanager
    def _opened(self, path: str, **args: Any) -> Iterator[requests.Response]:
        """The answer of the DataNode that the NameNode names; a gateway answers itself."""
        url = self._apply_proxy(self.url + quote(self._strip_protocol(path)))
        first = self._ask(
            "get", url, params={**args, **self.pars, "op": "OPEN"}, allow_redirects=False, stream=True
        )  # fmt: skip
        with first:
            if "Location" not in first.headers:
                yield first
                return
            with self._ask("get", self._apply_proxy(first.headers["Location"]), stream=True) as second:
                yield second

    def _create(self, path: str, data: Any, *, overwrite: bool) -> None:
        first = self._call("CREATE", "put", path, redirect=False, overwrite=str(overwrite).lower())
        location = self._apply_proxy(first.headers["Location"])
        self._ask("put", location, data=data, headers={"content-type": "application/octet-stream"})

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        return _File(
            self,
            path,
            mode=mode,
            block_size=block_size or self.blocksize,
            tempdir=self.tempdir,
            autocommit=options.get("autocommit", True),
            replication=options.get("replication"),
            permissions=options.get("permissions"),
        )


class _File(WebHDFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        first, last = max(start, 0), min(end, self.size)
        data: bytes = self.fs.read_range(self.path, first, max(last - first, 0))
        return data

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002 (fsspec's signature)
        headers = {"content-type": "application/octet-stream"}
        self.fs._ask("post", self.location, data=self.buffer.getvalue(), headers=headers)  # noqa: SLF001
        return True


def _checked(answer: requests.Response) -> requests.Response:
    """The answer if it is one, else the error that it speaks of."""
    if answer.ok:
        return answer
    try:
        told = answer.json()["RemoteException"]
        kind, message = str(told["exception"]), str(told["message"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        raise OSError(f"the server answered {answer.status_code} {answer.reason}, and not as WebHDFS does") from None
    if kind in _ERRORS:
        raise _ERRORS[kind](message)
    raise OSError(f"{kind}: {message}")


def _broke_off(path: str) -> OSError:
    return OSError(f"{path} broke off: the DataNode is gone, or the file was replaced")


def _check_length(path: str, received: int, expected: int) -> None:
    if received != expected:
        raise OSError(f"{path} broke off: {received} of {expected} bytes came")
