"""Files elsewhere must read like files here: fetched once per content, noticed when they change, secrets unseen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from tidemill.core.errors import DataError, NotFoundError
from tidemill.data.read import read, resolve_source, scan_source
from tidemill.data.sources import remote
from tidemill.data.sources.shown import shown
from tidemill.engine import pipeline
from tidemill.project import load_project, use_project
from tidemill.store import open_store

CSV = "x\n1\n2\n"


class Handler(SimpleHTTPRequestHandler):
    """A plain file server that is silent."""

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"endpoint_url": f"http://{host}:{port}", "key": "${env:S3_KEY}", "secret": "${env:S3_SECRET}"}
    server.stop()


@pytest.fixture
def bucket(s3, monkeypatch) -> tuple[str, dict, fsspec.AbstractFileSystem]:
    monkeypatch.setenv("S3_KEY", "testing-key-of-s3")
    monkeypatch.setenv("S3_SECRET", "testing-secret-of-s3")
    system = fsspec.filesystem(
        "s3", endpoint_url=s3["endpoint_url"], key="testing-key-of-s3", secret="testing-secret-of-s3"
    )
    name = f"b{uuid4().hex}"
    system.mkdir(name)
    return name, s3, system


def values(root: Path, raw: dict) -> list[int]:
    return scan_source(resolve_source("s", root=root, sources={"s": raw}), root=root).collect()["x"].to_list()


def test_the_same_bytes_have_one_fingerprint_wherever_they_are(tmp_path, site, bucket):
    folder, url = site
    name, options, system = bucket
    memory = f"memory://{uuid4().hex}/f.csv"
    (folder / "f.csv").write_text(CSV)
    system.pipe(f"{name}/f.csv", CSV.encode())
    fsspec.filesystem("memory").pipe(memory.removeprefix("memory:/"), CSV.encode())
    places = [
        {"uri": "site/f.csv"},
        {"uri": f"{url}/f.csv"},
        {"uri": memory},
        {"uri": f"s3://{name}/f.csv", "storage_options": options},
    ]
    pinned = [resolve_source("s", root=tmp_path, sources={"s": raw}) for raw in places]
    assert len({item.fingerprint for item in pinned}) == 1
    for item in pinned:
        assert scan_source(item, root=tmp_path).collect()["x"].to_list() == [1, 2]
        assert "testing-secret" not in repr(item)


def test_globs_folders_and_partitions_on_s3(tmp_path, bucket):
    name, options, system = bucket
    for year in (2013, 2014):
        system.pipe(f"{name}/flights/year={year}/part.csv", f"x\n{year % 10}\n".encode())
    system.pipe(f"{name}/flights/_SUCCESS", b"")
    for uri in (f"s3://{name}/flights", f"s3://{name}/flights/*/*.csv"):
        raw = {"uri": uri, "storage_options": options}
        table = scan_source(resolve_source("s", root=tmp_path, sources={"s": raw}), root=tmp_path).collect()
        assert table.rows() == [(3, 2013), (4, 2014)]
    with pytest.raises(NotFoundError, match="no file"):
        values(tmp_path, {"uri": f"s3://{name}/gone/*.csv", "storage_options": options})


def test_what_is_here_is_not_fetched_again_until_it_changes(tmp_path, bucket, monkeypatch):
    name, options, system = bucket
    kept = []
    keep = remote.keep
    monkeypatch.setattr(remote, "keep", lambda *args: kept.append(args) or keep(*args))
    raw = {"uri": f"s3://{name}/f.csv", "storage_options": options}
    system.pipe(f"{name}/f.csv", CSV.encode())
    assert values(tmp_path, raw) == values(tmp_path, raw) == [1, 2]
    assert len(kept) == 1
    pinned = resolve_source("s", root=tmp_path, sources={"s": raw})
    system.pipe(f"{name}/f.csv", b"x\n7\n")
    assert values(tmp_path, raw) == [7]
    assert scan_source(pinned, root=tmp_path).collect()["x"].to_list() == [1, 2]  # what was pinned is still here


def test_a_copy_that_is_gone_is_fetched_again_and_must_be_the_same(tmp_path, site):
    folder, url = site
    (folder / "f.csv").write_text(CSV)
    pinned = resolve_source(f"{url}/f.csv", root=tmp_path, sources={})
    copies = list((tmp_path / ".tidemill" / "cache").rglob("f.csv"))
    for copy in copies:
        copy.unlink()
    assert scan_source(pinned, root=tmp_path).collect().height == 2
    for copy in copies:
        copy.unlink()
    (folder / "f.csv").write_text("x\n9\n")
    with pytest.raises(DataError, match="changed after the run was planned"):
        scan_source(pinned, root=tmp_path)


def test_a_copy_that_was_altered_is_not_used(tmp_path, site):
    folder, url = site
    (folder / "f.csv").write_text(CSV)
    pinned = resolve_source(f"{url}/f.csv", root=tmp_path, sources={})
    (copy,) = (tmp_path / ".tidemill" / "cache").rglob("f.csv")
    copy.write_text("x\n5\n5\n")
    assert scan_source(pinned, root=tmp_path).collect()["x"].to_list() == [1, 2]


def test_what_is_not_there_and_who_does_not_answer(tmp_path, site):
    _, url = site
    with pytest.raises(NotFoundError, match="there is no file"):
        values(tmp_path, {"uri": f"{url}/gone.csv"})
    with pytest.raises(DataError, match="cannot be fetched: Cannot connect to host") as caught:
        values(tmp_path, {"uri": "http://ann:hunter2@127.0.0.1:1/f.csv?token=hunter3"})
    assert "hunter" not in str(caught.value)


def test_a_changed_remote_file_makes_its_step_run_again_and_no_record_holds_a_secret(tmp_path, bucket):
    name, options, system = bucket
    system.pipe(f"{name}/f.csv", CSV.encode())
    listed = "\n".join(f"{key} = '{value}'" for key, value in options.items())
    (tmp_path / "tidemill.toml").write_text(
        f"[project]\nname = 'tests'\n[sources.s]\nuri = 's3://{name}/f.csv'\n[sources.s.storage_options]\n{listed}\n"
    )

    @pipeline
    def flow():
        return read("s")

    with (
        open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store,
        use_project(load_project(tmp_path)),
    ):
        placed = flow.using(store=store, project="tests", root=tmp_path)
        statuses = [placed.run().steps[0].status, placed.run().steps[0].status]
        system.pipe(f"{name}/f.csv", b"x\n7\n")
        last = placed.run()
        assert last.result.collect()["x"].to_list() == [7]
    assert [*statuses, last.steps[0].status] == ["succeeded", "cached", "succeeded"]
    for kept in tmp_path.rglob("*"):
        assert not kept.is_file() or b"testing-secret-of-s3" not in kept.read_bytes(), kept


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/f.csv", "s3://bucket/f.csv"),
        ("https://h/f?X-Amz-Signature=abc&a=1", "https://h/f?X-Amz-Signature=***&a=1"),
        ("https://ann:p@h/f", "https://ann:***@h/f"),
    ],
)
def test_addresses_are_shown_without_secrets(uri, expected):
    assert shown(uri) == expected
