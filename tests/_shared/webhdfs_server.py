"""A stand-in: WebHDFS as its specification describes it, NameNode and DataNode on two ports, files in memory.

It is no Hadoop: what holds here is shown to hold on a real one by the same tests under ``make test-services``.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

ROOT = "/webhdfs/v1"


class Remote(Exception):
    """What the specification calls a RemoteException: an HTTP status, a Java class and a message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


@dataclass
class Node:
    """A file, or a folder where `data` is None."""

    data: bytes | None
    owner: str
    mode: int
    number: int
    modified: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


class WebHdfsServer:
    """The file system and the two servers before it."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node(None, "root", 0o755, 1)}
        self.opened = 0
        #: What the DataNode does next: "ok", "cut" (half of the bytes), "lost" (a 404 in JSON), "html", "silent".
        self.data_node = "ok"
        self.safe = False
        #: What comes between once, after the first half of a file: the rest is never sent, as on HDFS.
        self.meanwhile: Callable[[str], object] | None = None
        self.released = threading.Event()
        self._numbers = itertools.count(16386)
        self.lock = threading.RLock()

    def status(self, path: str, name: str = "") -> dict:
        """A FileStatus."""
        node = self.nodes[path]
        return {
            "accessTime": 0,
            "blockSize": 0 if node.data is None else 1 << 20,
            "fileId": node.number,
            "group": "supergroup",
            "length": len(node.data or b""),
            "modificationTime": node.modified,
            "owner": node.owner,
            "pathSuffix": name,
            "permission": f"{node.mode:o}",
            "replication": int(node.data is not None),
            "type": "DIRECTORY" if node.data is None else "FILE",
        }

    def find(self, path: str, user: str, need: int = 0) -> Node:
        """The node of a path, if the user has these rights (4: read, 2: write) to it."""
        node = self.nodes.get(path)
        if node is None:
            raise Remote(404, "FileNotFoundException", f"File does not exist: {path}")
        rights = node.mode >> 6 if user == node.owner else node.mode
        if user != "root" and rights & need != need:
            access = {4: "READ", 2: "WRITE"}[need]
            raise Remote(
                403, "AccessControlException", f'Permission denied: user={user}, access={access}, inode="{path}"'
            )
        return node

    def children(self, path: str) -> list[str]:
        """The paths right below a folder."""
        inside = path.rstrip("/") + "/"
        return sorted(item for item in self.nodes if item != "/" and item.rpartition("/")[0] + "/" == inside)

    def make_folders(self, path: str, user: str) -> None:
        """A folder and those above it."""
        while path not in self.nodes:
            self.nodes[path] = Node(None, user, 0o755, next(self._numbers))
            path = path.rpartition("/")[0] or "/"
        if self.nodes[path].data is not None:
            raise Remote(403, "ParentNotDirectoryException", f"{path} is not a directory")

    def store(self, path: str, data: bytes, user: str, *, overwrite: bool) -> None:
        """A file, new or instead of the one that is there: then it has another number, as on HDFS."""
        with self.lock:
            if path in self.nodes and not overwrite:
                raise Remote(403, "FileAlreadyExistsException", f"{path} for client 127.0.0.1 already exists")
            self.make_folders(path.rpartition("/")[0] or "/", user)
            self.nodes[path] = Node(data, user, 0o644, next(self._numbers))

    def rename(self, source: str, target: str, *, overwrite: bool | None) -> dict | None:
        """RENAME: without options it answers false where it cannot; with them it raises."""
        with self.lock:
            if source not in self.nodes or (target in self.nodes and not overwrite):
                if overwrite is None:
                    return {"boolean": False}
                if source not in self.nodes:
                    raise Remote(404, "FileNotFoundException", f"rename source {source} is not found.")
                raise Remote(403, "FileAlreadyExistsException", f"rename destination {target} already exists")
            self.nodes.pop(target, None)
            for path in [item for item in self.nodes if item == source or item.startswith(source + "/")]:
                self.nodes[target + path[len(source):]] = self.nodes.pop(path)  # fmt: skip
        return {"boolean": True} if overwrite is None else None

    def delete(self, path: str, *, recursive: bool) -> dict:
        """DELETE: false where nothing is."""
        with self.lock:
            below = [item for item in self.nodes if item.startswith(path.rstrip("/") + "/")]
            if below and not recursive:
                raise Remote(403, "PathIsNotEmptyDirectoryException", f"`{path} is non empty': Directory is not empty")
            for item in below:
                del self.nodes[item]
            return {"boolean": self.nodes.pop(path, None) is not None}


class Asked(BaseHTTPRequestHandler):
    """What both servers share: the question taken apart, and errors in JSON."""

    files: WebHdfsServer
    other: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def answer(self) -> None:
        parts = urlsplit(self.path)
        self.where = unquote(parts.path.removeprefix(ROOT)).rstrip("/") or "/"
        self.asked = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
        self.user = self.asked.get("user.name", "dr.who")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            operation = getattr(self, f"{self.command.lower()}_{self.asked.get('op', '').lower()}", None)
            if operation is None:
                raise Remote(400, "IllegalArgumentException", f'Invalid value for webhdfs parameter "op": {self.path}')
            with self.files.lock if isinstance(self, NameNode) else nullcontext():
                operation()
        except Remote as error:
            told = {"exception": error.kind, "javaClassName": f"org.apache.hadoop.{error.kind}", "message": str(error)}
            self.send_json({"RemoteException": told}, error.status)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def send_json(self, value: dict, status: int = 200) -> None:
        self.send_bytes(json.dumps(value).encode(), status, "application/json")

    def send_bytes(self, data: bytes, status: int = 200, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class NameNode(Asked):
    """Names and rights; for bytes it sends to the DataNode."""

    def elsewhere(self) -> None:
        self.send_response(307)
        self.send_header("Location", f"{self.other}{ROOT}{quote(self.where)}?{urlencode(self.asked)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def changing(self) -> None:
        if self.files.safe:
            raise Remote(403, "SafeModeException", f"Cannot change {self.where}. Name node is in safe mode.")

    def get_getfilestatus(self) -> None:
        self.files.find(self.where, self.user)
        self.send_json({"FileStatus": self.files.status(self.where)})

    def get_liststatus(self) -> None:
        node = self.files.find(self.where, self.user, 4)
        if node.data is not None:
            listed = [self.files.status(self.where)]
        else:
            listed = [self.files.status(item, item.rpartition("/")[2]) for item in self.files.children(self.where)]
        self.send_json({"FileStatuses": {"FileStatus": listed}})

    def get_open(self) -> None:
        if self.files.find(self.where, self.user, 4).data is None:
            raise Remote(404, "FileNotFoundException", f"Path is not a file: {self.where}")
        self.elsewhere()

    def put_create(self) -> None:
        self.changing()
        if self.where in self.files.nodes and self.asked.get("overwrite") == "true":
            self.files.find(self.where, self.user, 2)
        self.elsewhere()

    def post_append(self) -> None:
        self.changing()
        self.files.find(self.where, self.user, 2)
        self.elsewhere()

    def put_mkdirs(self) -> None:
        self.changing()
        self.files.make_folders(self.where, self.user)
        self.send_json({"boolean": True})

    def put_rename(self) -> None:
        self.changing()
        options = self.asked.get("renameoptions")
        overwrite = None if options is None else options == "OVERWRITE"
        done = self.files.rename(self.where, self.asked["destination"], overwrite=overwrite)
        self.send_json(done) if done is not None else self.send_bytes(b"")

    def delete_delete(self) -> None:
        self.changing()
        self.send_json(self.files.delete(self.where, recursive=self.asked.get("recursive") == "true"))


class DataNode(Asked):
    """Bytes."""

    def get_open(self) -> None:
        self.files.opened += 1
        data = self.files.find(self.where, self.user, 4).data
        first = int(self.asked.get("offset", 0))
        data = data[first : first + int(self.asked.get("length", len(data)))]
        meanwhile, self.files.meanwhile = self.files.meanwhile, None
        if meanwhile is not None:
            self.send_half(data)
            meanwhile(self.where)
            return
        if self.files.data_node == "lost":
            raise Remote(404, "FileNotFoundException", f"File does not exist: {self.where}")
        if self.files.data_node == "html":
            self.send_bytes(b"<html>a proxy says no</html>", 502, "text/html")
        elif self.files.data_node == "silent":
            self.files.released.wait()
        elif self.files.data_node == "cut":
            self.send_response(200)
            self.send_header("Connection", "close")  # as of a stream whose length is not said
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.send_bytes(data)

    def send_half(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def put_create(self) -> None:
        self.files.store(self.where, self.body, self.user, overwrite=self.asked.get("overwrite") == "true")
        self.send_bytes(b"", 201)

    def post_append(self) -> None:
        node = self.files.find(self.where, self.user, 2)
        node.data += self.body
        node.modified = max(node.modified + 1, time.time_ns() // 1_000_000)
        self.send_bytes(b"")


@contextmanager
def webhdfs_server() -> Iterator[tuple[WebHdfsServer, int]]:
    """The stand-in and the port of its NameNode, while the context lasts."""
    files = WebHdfsServer()
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), type("Data", (DataNode,), {"files": files})) as data,
        ThreadingHTTPServer(
            ("127.0.0.1", 0),
            type("Name", (NameNode,), {"files": files, "other": f"http://127.0.0.1:{data.server_port}"}),
        ) as names,
    ):
        threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in (data, names)]
        for thread in threads:
            thread.start()
        try:
            yield files, names.server_port
        finally:
            files.released.set()
            for server, thread in zip((data, names), threads, strict=True):
                server.shutdown()
                thread.join()
