"""The artifact contract on every kind of file system: if one failed, a team could not move to its own storage."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from moto.server import ThreadedMotoServer

from tidemill.core.errors import CorruptArtifactError, StoreUnavailableError
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution, Run
from tidemill.store import executions, runs
from tidemill.store.artifacts import open_artifacts
from tidemill.store.blobs_remote import RemoteArtifacts
from tidemill.store.gc import collect
from tidemill.store.store import open_store
from tidemill.testing import artifact_contract

BACKENDS = ["local", "local-durable", "memory", "s3", "renaming"]


@pytest.fixture(scope="session")
def s3_endpoint():
    """A real HTTP server that speaks S3, on a port of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_options(endpoint):
    return {"key": "test", "secret": "test", "endpoint_url": endpoint, "client_kwargs": {"region_name": "eu-west-1"}}


@pytest.fixture(params=BACKENDS)
def backend(request, tmp_path):
    """A store and the way to damage it."""
    name, unique = request.param, uuid4().hex
    if name.startswith("local"):
        store = open_artifacts(tmp_path / "store", durable=name == "local-durable")
        return store, lambda digest, data: damage_local(store, digest, data)
    if name == "memory":
        url, options = f"memory://{unique}", {}
    elif name == "s3":
        options = s3_options(request.getfixturevalue("s3_endpoint"))
        fsspec.filesystem("s3", **options).mkdir(f"bucket-{unique}")
        url = f"s3://bucket-{unique}/prefix"
    else:  # a file system where a file is seen while it is written, so that it must be renamed
        url, options = f"file://{tmp_path}/remote", {}
    store = RemoteArtifacts(url, cache=tmp_path / "cache", young=0.0, **options)
    return store, lambda digest, data: damage_remote(store, digest, data)


def damage_local(store, digest, data):
    path = store.root / "blobs" / digest[:2] / digest[2:]
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def damage_remote(store, digest, data):
    fs, root = fsspec.core.url_to_fs(store.url, **store.options)
    fs.rm_file(f"{root}/blobs/{digest[:2]}/{digest[2:]}")
    if data is not None:
        fs.pipe_file(f"{root}/blobs/{digest[:2]}/{digest[2:]}", data)


@pytest.mark.parametrize("check", artifact_contract.CHECKS, ids=lambda check: check.__name__)
def test_artifact_contract(backend, check):
    check(backend[0])


@pytest.mark.parametrize("check", artifact_contract.DAMAGE_CHECKS, ids=lambda check: check.__name__)
def test_damage(backend, check):
    check(*backend)


def test_garbage_is_collected_with_every_database(metadata_url, tmp_path):
    with open_store(metadata_url, str(tmp_path / "artifacts")) as store:
        kept, log, garbage = (store.artifacts.put(data).digest for data in (b"kept", b"log", b"garbage"))
        for digest in (kept, log, garbage):
            os.utime(store.artifacts.path(digest), (1, 1))
        run = Run(new_id(), "p", "train", "running", 1)
        execution = Execution(new_id(), run.id, "s", "s", "succeeded", 1, 2, log=log)
        with store.metadata.transaction() as tx:
            runs.insert(tx, run)
            executions.record(tx, execution, [], [("output", Artifact(new_id(), kept, "bytes", "m", 4, 1, blob=kept))])
        assert collect(store).digests == (garbage,)


def test_nobody_records_a_reference_between_the_look_and_the_deletion(metadata_url, tmp_path, monkeypatch):
    """A run that finishes in that moment would have an artifact without bytes."""
    with open_store(metadata_url, str(tmp_path / "artifacts")) as store:
        late = store.artifacts.put(b"late").digest
        os.utime(store.artifacts.path(late), (1, 1))
        run = Run(new_id(), "p", "train", "running", 1)
        with store.metadata.transaction() as tx:
            runs.insert(tx, run)

        def write():
            execution = Execution(new_id(), run.id, "s", "s", "succeeded", 1, 2)
            output = [("output", Artifact(new_id(), late, "bytes", "m", 4, 1, blob=late))]
            with store.metadata.transaction() as tx:
                executions.record(tx, execution, [], output)

        writer = threading.Thread(target=write)
        discard = store.artifacts.discard

        def meanwhile(*args, **kwargs):
            writer.start()
            writer.join(0.3)
            assert writer.is_alive(), "a reference was recorded while its blob was being deleted"
            return discard(*args, **kwargs)

        monkeypatch.setattr(store.artifacts, "discard", meanwhile)
        collect(store)
        writer.join(30)
        assert not writer.is_alive()


def test_an_s3_server_that_is_not_there_is_unavailable(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        options = s3_options(endpoint) | {"config_kwargs": {"retries": {"max_attempts": 1}, "connect_timeout": 1}}
        store = RemoteArtifacts("s3://bucket/prefix", cache=tmp_path, **options)
        with pytest.raises(StoreUnavailableError, match="s3://bucket/prefix"):
            store.put(b"x")


def test_an_s3_bucket_that_is_not_there_is_unavailable(s3_endpoint, tmp_path):
    before = threading.active_count()
    store = RemoteArtifacts("s3://no-such-bucket/prefix", cache=tmp_path, **s3_options(s3_endpoint))
    for call in (lambda: store.put(b"x"), lambda: store.read("0" * 64)):
        with pytest.raises(StoreUnavailableError, match="no-such-bucket"):
            call()
    assert threading.active_count() < before + 20


class Refusing(LocalFileSystem):
    """A file system that renames onto no file, as SFTP and SMB; a writer waits until the file was missed in between."""

    protocol, cachable = "refusing", False
    away, missed = threading.Event(), threading.Event()

    @classmethod
    def _strip_protocol(cls, path):
        return str(path).removeprefix("refusing://")

    def mv(self, path1, path2, **options):
        if Path(path2).exists():
            raise OSError("Failure")
        if self.away.is_set() and not path2.endswith("-old"):
            assert self.missed.wait(60)
        Path(path1).rename(path2)
        if path2.endswith("-old"):
            self.away.set()

    def cat_file(self, path, **options):
        return self._looked(super().cat_file, path, **options)

    def get_file(self, *paths, **options):
        return self._looked(super().get_file, *paths, **options)

    def _looked(self, read, *paths, **options):
        try:
            return read(*paths, **options)
        except FileNotFoundError:
            self.missed.set()
            raise


@pytest.mark.parametrize("read", [RemoteArtifacts.read, lambda store, digest: store.path(digest).read_bytes()])
def test_a_blob_that_is_moved_aside_while_it_is_renewed_is_not_gone(tmp_path, read):
    """A run would be told to make anew what a step beside it has just put again."""
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    Refusing.away.clear()
    Refusing.missed.clear()
    url = f"refusing://{tmp_path}/store"
    reader, writer = (RemoteArtifacts(url, cache=tmp_path / name, young=0.0) for name in ("reader", "writer"))
    digest = writer.put(b"tide").digest
    renewing = threading.Thread(target=writer.put, args=(b"tide",), daemon=True)
    renewing.start()
    assert Refusing.away.wait(60)
    assert read(reader, digest) == b"tide"
    assert Refusing.missed.is_set()
    renewing.join(60)
    writer.delete(digest)
    with pytest.raises(CorruptArtifactError, match="is gone"):
        read(RemoteArtifacts(url, cache=tmp_path / "another"), digest)
