"""Object stores as sources and as artifact stores, each against a server that speaks its protocol.

S3 is moto, Google Cloud Storage gcp-storage-emulator, both in memory; Azure is Azurite, with `make test-services`.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.server import ThreadedMotoServer
from object_stores import ACCOUNT, KEY, Wire

from tidemill.core.errors import DataError
from tidemill.data.read import resolve_source, scan_source
from tidemill.store.blobs_remote import RemoteArtifacts
from tidemill.testing import artifact_contract, remote_contract
from tidemill.testing.remote_contract import Place

# gcsfs asks by gRPC which kind of bucket it is, which the emulator does not speak; the switch is read at its import.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

# gcsfs hands aiohttp what a test writes in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

SECRET = "a-secret-of-the-tests"


@dataclass
class Cloud:
    """A bucket that is reached over a wire, and the client's options with and without references to secrets."""

    uri: str
    options: dict[str, Any]
    plain: dict[str, Any]
    wire: Wire
    vouches: bool = True

    @property
    def system(self) -> Any:
        return fsspec.filesystem(self.uri.partition("://")[0], **self.plain)

    def write(self, path: str, data: bytes) -> None:
        self.system.pipe_file(f"{self.uri.partition('://')[2]}/{path}", data)


@pytest.fixture(scope="module")
def s3_wire():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    wire = Wire(server.get_host_and_port()[1])
    yield wire
    wire.close()
    server.stop()


@pytest.fixture(scope="module")
def gcs_wire():
    # Its own server has one thread, which the first connection that stays open holds for ever.
    handler = partial(RequestHandler, Storage(use_memory_fs=True))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        wire = Wire(server.server_port)
        yield wire
        wire.close()
        server.daemon_threads = True
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def azure_wire(azurite):
    wire = Wire(azurite)
    yield wire
    wire.close()


@pytest.fixture(params=["s3", "gcs", pytest.param("azure", marks=pytest.mark.services)])
def cloud(request, monkeypatch) -> Cloud:
    monkeypatch.setenv("A_SECRET", KEY if request.param == "azure" else SECRET)
    wire: Wire = request.getfixturevalue(f"{request.param}_wire")
    url, bucket = f"http://127.0.0.1:{wire.port}", f"b{uuid4().hex}"
    if request.param == "s3":
        options = {"endpoint_url": url, "key": "ann", "secret": "${env:A_SECRET}"}
        uri = f"s3://{bucket}"
    elif request.param == "gcs":
        options = {"endpoint_url": url, "token": "anon", "project": "tests", "cache_timeout": 0}
        uri = f"gs://{bucket}"
    else:
        endpoint = f"BlobEndpoint={url}/{ACCOUNT};AccountName={ACCOUNT};AccountKey=${{env:A_SECRET}};"
        options = {"connection_string": f"DefaultEndpointsProtocol=http;{endpoint}"}
        uri = f"az://{bucket}"
    plain = {
        k: v.replace("${env:A_SECRET}", os.environ["A_SECRET"]) if isinstance(v, str) else v for k, v in options.items()
    }
    made = Cloud(f"{uri}/base", options, plain, wire)
    made.system.mkdir(bucket)
    return made


@pytest.mark.parametrize("check", remote_contract.CHECKS, ids=lambda check: check.__name__)
def test_as_a_source(cloud, tmp_path, check):
    check(Place(cloud.uri, cloud.options, cloud.write), tmp_path)


@pytest.fixture
def artifacts(cloud, tmp_path):
    return RemoteArtifacts(f"{cloud.uri}/store", cache=tmp_path / "cache", young=0.0, **cloud.plain)


@pytest.mark.parametrize("check", artifact_contract.CHECKS, ids=lambda check: check.__name__)
def test_as_an_artifact_store(artifacts, check):
    check(artifacts)


@pytest.mark.parametrize("check", artifact_contract.DAMAGE_CHECKS, ids=lambda check: check.__name__)
def test_as_an_artifact_store_that_is_damaged(cloud, artifacts, check):
    def damage(digest, data):
        path = f"{cloud.uri.partition('://')[2]}/store/blobs/{digest[:2]}/{digest[2:]}"
        cloud.system.rm_file(path)
        if data is not None:
            cloud.system.pipe_file(path, data)

    check(artifacts, damage)


async def no_pause(_seconds: float) -> None:
    """gcsfs waits between its tries, for minutes in all."""


@pytest.mark.slow
def test_a_wire_that_is_cut_in_the_middle_of_a_download_leaves_nothing_half(cloud, tmp_path, monkeypatch):
    monkeypatch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=no_pause))
    table = b"x\n" + b"".join(b"%d\n" % number for number in range(400_000))
    cloud.write("large.csv", table)
    raw = {"uri": f"{cloud.uri}/large.csv", "storage_options": cloud.options}
    cloud.wire.limit = 300_000
    try:
        with pytest.raises(DataError, match=r"large\.csv cannot be fetched: ") as caught:
            resolve_source("s", root=tmp_path, sources={"s": raw})
    finally:
        cloud.wire.limit = None
    assert cloud.wire.cuts
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)
    assert not [path for path in (tmp_path / ".tidemill" / "cache").rglob("*") if path.is_file()]
    pinned = resolve_source("s", root=tmp_path, sources={"s": raw})
    assert pinned.bytes == len(table)
    assert scan_source(pinned, root=tmp_path).collect().height == 400_000
