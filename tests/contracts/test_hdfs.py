"""HDFS as a source and as an artifact store: on a stand-in always, and on a real Hadoop with `make test-services`.

One file for both: what the stand-in promises is what NameNode and DataNode do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import hdfs_native
import pytest
import requests
from hadoop import USER
from webhdfs_server import webhdfs_server

from tidemill.core.errors import ConfigError, CorruptArtifactError, DataError, NotFoundError, StoreUnavailableError
from tidemill.data.read import resolve_source, scan_source
from tidemill.store.blobs_remote import RemoteArtifacts
from tidemill.store.file_systems import connect
from tidemill.testing import artifact_contract, remote_contract
from tidemill.testing.remote_contract import Place

CSV = b"x\n1\n2\n"


@pytest.fixture(scope="module")
def stand_in():
    with webhdfs_server() as served:
        yield served


@dataclass
class Site:
    """A file system to test, and a second way into it."""

    uri: str
    options: dict[str, Any]
    direct: Any  # writes behind the back of the client that is tested
    base: str

    def place(self) -> Place:
        return Place(self.uri, self.options, lambda path, data: self.direct.pipe_file(f"{self.base}/{path}", data))

    def write(self, path: str, data: bytes) -> None:
        self.direct.pipe_file(f"{self.base}/{path}", data)

    def source(self, path: str) -> dict[str, Any]:
        return {"uri": f"{self.uri}/{path}", "storage_options": self.options}


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("hadoop webhdfs", marks=pytest.mark.services),
        pytest.param("hadoop hdfs", marks=pytest.mark.services),
    ]
)
def site(request) -> Site:
    base = f"/tests/{uuid4().hex}"
    if request.param == "stand-in":
        _, port = request.getfixturevalue("stand_in")
        address, options = f"webhdfs://127.0.0.1:{port}", {"user": USER}
        direct, _ = connect(address, "the tests", **options)
    else:
        servers = request.getfixturevalue("hadoop")
        direct, _ = connect(f"hdfs://127.0.0.1:{servers.name_port}", "the tests")
        over_http = request.param.endswith("webhdfs")
        address = f"webhdfs://127.0.0.1:{servers.web_port}" if over_http else f"hdfs://127.0.0.1:{servers.name_port}"
        options = {"user": USER} if over_http else {}
    direct.makedirs(base)
    return Site(f"{address}{base}", options, direct, base)


@pytest.mark.parametrize("check", remote_contract.CHECKS, ids=lambda check: check.__name__)
def test_as_a_source(site, tmp_path, check):
    check(site.place(), tmp_path)


@pytest.fixture
def artifacts(site, tmp_path):
    return RemoteArtifacts(f"{site.uri}/store", cache=tmp_path / "cache", young=0.0, **site.options)


@pytest.mark.parametrize("check", artifact_contract.CHECKS, ids=lambda check: check.__name__)
def test_as_an_artifact_store(artifacts, check):
    check(artifacts)


@pytest.mark.parametrize("check", artifact_contract.DAMAGE_CHECKS, ids=lambda check: check.__name__)
def test_as_an_artifact_store_that_is_damaged(site, artifacts, check):
    def damage(digest, data):
        path = f"{site.base}/store/blobs/{digest[:2]}/{digest[2:]}"
        site.direct.rm_file(path)
        if data is not None:
            site.direct.pipe_file(path, data)

    check(artifacts, damage)


def test_no_temporary_file_is_left_by_an_artifact(site, artifacts):
    for _ in range(2):
        artifacts.put(b"the same, twice")
    assert site.direct.ls(f"{site.base}/store/tmp", detail=False) == []


@pytest.mark.parametrize("read", [RemoteArtifacts.read, lambda store, digest: store.path(digest).read_bytes()])
def test_a_blob_that_is_renewed_while_it_is_read(stand_in, tmp_path, read):
    """HDFS drops what a rename replaces, whoever reads it; the same bytes are there again."""
    files, port = stand_in
    store = RemoteArtifacts(f"webhdfs://127.0.0.1:{port}/renewed", cache=tmp_path, young=0.0, user=USER)
    digest = store.put(b"tide" * 50).digest
    files.meanwhile = lambda _path: store.put(b"tide" * 50)
    assert read(store, digest) == b"tide" * 50
    assert files.meanwhile is None


def test_a_blob_that_is_removed_while_it_is_read_is_gone(stand_in, tmp_path):
    files, port = stand_in
    store = RemoteArtifacts(f"webhdfs://127.0.0.1:{port}/removed", cache=tmp_path, user=USER)
    digest = store.put(b"tide" * 60).digest
    files.meanwhile = files.nodes.pop
    with pytest.raises(CorruptArtifactError, match="is gone"):
        store.read(digest)


def test_a_data_node_that_breaks_off_each_time_is_told(stand_in, tmp_path):
    files, port = stand_in
    store = RemoteArtifacts(f"webhdfs://127.0.0.1:{port}/broken", cache=tmp_path, user=USER)
    digest = store.put(b"tide" * 70).digest
    files.data_node = "cut"
    try:
        with pytest.raises(StoreUnavailableError, match=r"broke off: 140 of 280 bytes came"):
            store.read(digest)
    finally:
        files.data_node = "ok"


def values(site: Site, path: str, root) -> list[int]:
    pinned = resolve_source("s", root=root, sources={"s": site.source(path)})
    return scan_source(pinned, root=root).collect()["x"].to_list()


def test_an_answer_of_the_servers_is_never_taken_for_the_file(stand_in, tmp_path):
    """fsspec's own client hands the JSON of an error over as the content."""
    files, port = stand_in
    files.nodes["/f.csv"] = type(files.nodes["/"])(CSV, USER, 0o644, 99)
    raw = {"uri": f"webhdfs://127.0.0.1:{port}/f.csv", "storage_options": {"user": USER, "timeout": 0.2}}
    told = {"lost": (NotFoundError, "no file"), "html": (DataError, "502 Bad Gateway, and not as WebHDFS does")}
    told |= {"cut": (DataError, r"f\.csv broke off: 3 of 6 bytes"), "silent": (DataError, "timed out")}
    try:
        for state, (kind, message) in told.items():
            files.data_node = state
            with pytest.raises(kind, match=message):
                resolve_source("s", root=tmp_path, sources={"s": raw})
            assert not [path for path in (tmp_path / ".tidemill" / "cache").rglob("*") if path.is_file()], state
    finally:
        files.data_node = "ok"
    assert resolve_source("s", root=tmp_path, sources={"s": raw}).bytes == 6


def test_a_name_node_in_safe_mode_is_an_unavailable_store(stand_in, tmp_path):
    files, port = stand_in
    store = RemoteArtifacts(f"webhdfs://127.0.0.1:{port}/safe", cache=tmp_path, user=USER)
    files.safe = True
    try:
        with pytest.raises(StoreUnavailableError, match=r"SafeModeException: Cannot change .* safe mode"):
            store.put(b"x")
    finally:
        files.safe = False


def test_a_file_that_changes_while_it_is_read_is_read_again(stand_in, tmp_path, monkeypatch):
    """Half of the old and half of the new content is a table that never was."""
    _, port = stand_in
    direct, _ = connect(f"webhdfs://127.0.0.1:{port}", "the tests", user=USER)
    direct.pipe_file("/moving.csv", CSV)
    raw = {"uri": f"webhdfs://127.0.0.1:{port}/moving.csv", "storage_options": {"user": USER}}
    get_file, changes = type(direct).get_file, [b"x\n3\n4\n"]

    def meanwhile(self, rpath, lpath, **options):
        get_file(self, rpath, lpath, **options)
        if changes:
            direct.pipe_file("/moving.csv", changes.pop())

    monkeypatch.setattr(type(direct), "get_file", meanwhile)
    pinned = resolve_source("s", root=tmp_path, sources={"s": raw})
    assert scan_source(pinned, root=tmp_path).collect()["x"].to_list() == [3, 4]
    changes.extend(b"x\n%d\n" % number for number in range(9))
    direct.pipe_file("/moving.csv", CSV)
    with pytest.raises(DataError, match="changed each time"):
        resolve_source("s", root=tmp_path, sources={"s": raw})


def test_who_may_not_read_is_told_who_he_is(site, tmp_path, hadoop_user):
    site.write("secret.csv", CSV)
    hadoop_user.forbid(site, "secret.csv")
    with pytest.raises(AssertionError, match=r"DataError.*Permission denied: user=ann, access=READ.*Check who you are"):
        hadoop_user.read(site, "secret.csv", tmp_path)


def test_a_folder_that_may_not_be_read_is_not_left_out(site, tmp_path, hadoop_user):
    """The rows below it would be missing, and nobody would know."""
    site.write("years/year=2013/f.csv", CSV)
    site.write("years/year=2014/f.csv", CSV)
    hadoop_user.forbid(site, "years/year=2014")
    with pytest.raises(AssertionError, match=r"DataError.*Permission denied: user=ann"):
        hadoop_user.read(site, "years", tmp_path)


@pytest.fixture
def hadoop_user(request):
    """A user without rights, who reads in a process of his own: hdfs:// knows one user in each."""
    return Reader(request)


class Reader:
    def __init__(self, request) -> None:
        self.request = request

    def forbid(self, site: Site, path: str) -> None:
        if hasattr(site.direct, "client"):
            site.direct.client.set_permission(f"{site.base}/{path}", 0o700)
        else:
            files, _ = self.request.getfixturevalue("stand_in")
            files.nodes[f"{site.base}/{path}"].mode = 0o700

    def read(self, site: Site, path: str, root) -> None:
        options = {"user": "ann"} if site.options else {}
        raw = {"uri": f"{site.uri}/{path}", "storage_options": options}
        code = (
            "from pathlib import Path; from tidemill.data.read import resolve_source;"
            f"resolve_source('s', root=Path({str(root)!r}), sources={{'s': {raw!r}}})"
        )
        environment = {**os.environ, "HADOOP_USER_NAME": "ann"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("scheme", ["webhdfs", "hdfs"])
def test_a_name_node_that_is_not_there_is_not_an_empty_folder(scheme, tmp_path):
    for path in ("f.csv", "folder/*.csv"):
        raw = {"uri": f"{scheme}://127.0.0.1:1/{path}", "storage_options": {}}
        if scheme == "hdfs":
            raw["storage_options"] = {"dfs.client.failover.max.attempts": 1}
        with pytest.raises(DataError, match="Connection refused"):
            resolve_source("s", root=tmp_path, sources={"s": raw})


def test_a_user_that_hdfs_would_ignore_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"takes no user: 'ann'\. Set HADOOP_USER_NAME"):
        resolve_source("hdfs://ann@127.0.0.1:1/f.csv", root=tmp_path, sources={})


def kill_after_the_first_piece(monkeypatch, hadoop) -> list[bool]:
    """Whichever client reads: the first bytes have come, most have not."""
    killed: list[bool] = []
    pieces, read = requests.Response.iter_content, hdfs_native.FileReader.read

    def strike():
        if not killed:
            hadoop.kill("data")
            killed.append(True)

    def iterate(self, *args):
        for piece in pieces(self, *args):
            yield piece
            strike()

    def read_piece(self, *args):
        piece = read(self, *args)
        strike()
        return piece

    monkeypatch.setattr(requests.Response, "iter_content", iterate)
    monkeypatch.setattr(hdfs_native.FileReader, "read", read_piece)
    return killed


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        (
            "webhdfs://127.0.0.1:1/f.csv",
            {"usr": "ann"},
            r"webhdfs:// has no such option: 'usr'\. Use .*timeout, .*user",
        ),
        ("hdfs://127.0.0.1:1/f.csv", {"usr": "ann"}, r"hdfs:// has no such option: 'usr'\. Give settings of Hadoop"),
        ("webhdfs:///f.csv", {}, r"names no NameNode\. Write webhdfs://HOST:PORT/PATH"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(tmp_path, uri, options, message):
    """A misspelt user reads as somebody else."""
    with pytest.raises(ConfigError, match=message):
        resolve_source("s", root=tmp_path, sources={"s": {"uri": uri, "storage_options": options}})


@pytest.mark.services
@pytest.mark.parametrize("scheme", ["webhdfs", "hdfs"])
def test_kill_9_of_the_data_node_in_the_middle_of_a_read(hadoop, scheme, tmp_path, monkeypatch):
    """The error is clear, nothing half is kept, and after a restart the same read has every row."""
    direct, _ = connect(f"hdfs://127.0.0.1:{hadoop.name_port}", "the tests")
    table = b"x\n" + b"".join(b"%d\n" % number for number in range(3_000_000))
    direct.pipe_file("/large.csv", table)
    port = hadoop.web_port if scheme == "webhdfs" else hadoop.name_port
    options = {"user": USER} if scheme == "webhdfs" else {}
    raw = {"uri": f"{scheme}://127.0.0.1:{port}/large.csv", "storage_options": options}
    kept = tmp_path / ".tidemill" / "cache"
    killed = kill_after_the_first_piece(monkeypatch, hadoop)
    try:
        with pytest.raises(DataError, match=r"large\.csv cannot be fetched: ") as caught:
            resolve_source("s", root=tmp_path, sources={"s": raw})
        assert killed
        assert "\n" not in str(caught.value)
        assert not [path for path in kept.rglob("*") if path.is_file()]
        with pytest.raises(DataError, match="cannot be fetched"):
            resolve_source("s", root=tmp_path, sources={"s": raw})
    finally:
        monkeypatch.undo()
        hadoop.start_data_node()
    pinned = resolve_source("s", root=tmp_path, sources={"s": raw})
    assert pinned.bytes == len(table)
    assert scan_source(pinned, root=tmp_path).collect().height == 3_000_000
