"""The local artifact store when things go wrong: full disks, dead writers, vanished folders, other users' blobs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tidemill.core.errors import ConfigError, CorruptArtifactError, StoreUnavailableError, UsageError
from tidemill.store import blobs_local
from tidemill.store.artifacts import open_artifacts


@pytest.fixture
def artifacts(tmp_path):
    return open_artifacts(tmp_path / "store")


def stored(artifacts, digest) -> Path:
    return artifacts.root / "blobs" / digest[:2] / digest[2:]


def temporary(artifacts) -> list[Path]:
    return list((artifacts.root / "tmp").iterdir())


def run_python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_local_store_needs_no_fsspec(tmp_path):
    """`tidemill run` on a laptop would start 0.2 s later."""
    loaded = run_python(
        """
        import sys
        from tidemill.store.artifacts import open_artifacts
        store = open_artifacts(sys.argv[1])
        store.read(store.put(b"x").digest)
        print("fsspec" in sys.modules, "polars" in sys.modules)
        """,
        tmp_path,
    )
    assert loaded == "False False\n"


def test_a_put_is_one_read_only_file(artifacts):
    """Somebody who edits the file behind a path would damage every run that used it."""
    blob = artifacts.put(b"tide")
    files = [path for path in artifacts.root.rglob("*") if path.is_file()]
    assert files == [stored(artifacts, blob.digest)]
    assert files[0].stat().st_mode & 0o222 == 0
    with artifacts.writer() as writer:
        writer.write(b"mill")
    assert stored(artifacts, writer.blob.digest).stat().st_mode & 0o222 == 0


def test_putting_a_blob_again_heals_it(tmp_path, artifacts):
    """A step that runs again after a disk error would leave the damage in place."""
    blob = artifacts.put(b"tide")
    stored(artifacts, blob.digest).unlink()
    stored(artifacts, blob.digest).write_bytes(b"tidy")
    with pytest.raises(CorruptArtifactError, match="Run the step"):
        artifacts.read(blob.digest)
    assert open_artifacts(tmp_path / "store").put(b"tide") == blob
    assert artifacts.read(blob.digest) == b"tide"


def test_a_blob_is_hashed_once(artifacts, monkeypatch):
    """Every step that scans a table of gigabytes would first read all of it again."""
    hashed = []
    monkeypatch.setattr(blobs_local, "digest_file", lambda path: hashed.append(path) or digest(path))
    blob = artifacts.put(b"tide")
    fresh = open_artifacts(artifacts.root)
    for _ in range(3):
        fresh.path(blob.digest)
    assert len(hashed) == 1
    os.utime(stored(artifacts, blob.digest), (1, 1))
    fresh.path(blob.digest)
    assert len(hashed) == 2


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_durable_store_flushes_file_and_folder(tmp_path, monkeypatch):
    """A power cut after a run was reported as done would lose its results."""
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    quick, durable = open_artifacts(tmp_path / "quick"), open_artifacts(tmp_path / "durable", durable=True)
    quick.put(b"x")
    assert flushed == []
    blob = durable.put(b"x")
    folder = str(stored(durable, blob.digest).parent)
    assert any("/tmp/" in path for path in flushed)
    assert folder in flushed
    flushed.clear()
    with durable.writer() as writer:
        writer.write(b"y")
    assert any("/tmp/" in path for path in flushed)


def test_a_store_that_vanishes_is_unavailable_and_not_made_anew(artifacts):
    """An unmounted disk would be taken for an empty store, and everything would seem to be lost or run again."""
    blob = artifacts.put(b"tide")
    shutil.rmtree(artifacts.root)
    calls = [
        lambda: artifacts.put(b"more"),
        lambda: artifacts.read(blob.digest),
        lambda: artifacts.path(blob.digest),
        lambda: artifacts.exists(blob.digest),
        lambda: artifacts.size(blob.digest),
        lambda: list(artifacts.blobs()),
        lambda: artifacts.writer().__enter__(),
        lambda: open_artifacts(artifacts.root, create=False),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            call()
    assert not artifacts.root.exists()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="file"):
        open_artifacts(tmp_path / "file" / "store")


def test_a_full_disk_is_said_to_be_full_and_nothing_remains(artifacts):
    """A truncated artifact, or a traceback in place of the one sentence that helps."""
    blob = artifacts.put(b"before")
    said = run_python(
        """
        import resource, sys
        from pathlib import Path
        from tidemill.core.errors import OutOfSpaceError
        from tidemill.store.artifacts import open_artifacts
        store = open_artifacts(sys.argv[1])
        source = Path(sys.argv[2])
        source.write_bytes(bytes(2_000_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a quota, without being root
        def write_to_path():
            with store.writer() as writer, writer.path.open("wb") as file:
                file.write(bytes(2_000_000))
        for call in (lambda: store.put(bytes(2_000_000)), lambda: store.put_file(source), write_to_path):
            try:
                call()
            except OutOfSpaceError as error:
                print(error)
        """,
        artifacts.root,
        artifacts.root.parent / "source",
    ).splitlines()
    assert len(said) == 3
    assert all("no space is left" in line and "tidemill gc" in line and str(artifacts.root) in line for line in said)
    assert temporary(artifacts) == []
    assert [info.digest for info in artifacts.blobs()] == [blob.digest]


def test_a_full_file_system_is_said_to_be_full():
    """The same with a real file system that is full, in a namespace of its own."""
    code = """
        import errno, subprocess, sys, tempfile
        from tidemill.core.errors import OutOfSpaceError
        from tidemill.store.artifacts import open_artifacts
        folder = tempfile.mkdtemp()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], check=True)
        store = open_artifacts(folder)
        kept = store.put(b"kept")
        try:
            store.put(bytes(1_000_000))
        except OutOfSpaceError as error:
            print(error.__cause__.errno == errno.ENOSPC, store.read(kept.digest), list((store.root / "tmp").iterdir()))
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", textwrap.dedent(code)]
    try:
        probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        allowed = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("no private mounts here (unshare --user --mount); the quota test covers the same code")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "True b'kept' []\n", done.stderr


def put_all(root: str, seeds: list[int]) -> list[str]:
    store = open_artifacts(root)
    return [store.put(str(seed).encode() * 20_000).digest for seed in seeds]


def test_many_processes_put_the_same_blobs(artifacts):
    """Two workers that finish with the same table at the same time would fail or tear it."""
    seeds = list(range(12)) * 3
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(put_all, [str(artifacts.root)] * 4, [seeds] * 4))
    assert all(result == results[0] for result in results)
    assert {info.digest for info in artifacts.blobs()} == set(results[0])
    for name in results[0]:
        artifacts.read(name)
    assert temporary(artifacts) == []


def test_a_writer_killed_at_any_moment_leaves_only_what_a_sweep_removes(artifacts):
    """A run killed by the machine would leave half a blob under a whole one's name, or litter for ever."""
    code = """
        import os, sys
        from tidemill.store.artifacts import open_artifacts
        store = open_artifacts(sys.argv[1])
        store.put(b"whole")
        writer = store.writer().__enter__()
        writer.write(bytes(100_000))
        os.kill(os.getpid(), 9)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(artifacts.root)], check=False)
    assert killed.returncode == -9
    assert [artifacts.read(info.digest) for info in artifacts.blobs()] == [b"whole"]
    assert len(temporary(artifacts)) == 1
    assert artifacts.sweep(before=time.time() - 3600) == []
    swept = artifacts.sweep(before=time.time() + 1, dry_run=True)
    assert [size for _, size in swept] == [100_000]
    assert artifacts.sweep(before=time.time() + 1) == swept
    assert temporary(artifacts) == []


@pytest.mark.parametrize("finished", range(1, 9))
def test_a_process_killed_while_it_puts_leaves_whole_blobs(artifacts, finished):
    """A blob under its name with half of its bytes would be found only months later."""
    code = """
        import sys
        from tidemill.store.artifacts import open_artifacts
        store = open_artifacts(sys.argv[1])
        for number in range(10_000):
            data = str(number).encode() * 100_000
            if number % 2:
                print(store.put(data).digest, flush=True)
            else:
                with store.writer() as writer:
                    writer.write(data)
                print(writer.blob.digest, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(artifacts.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        done = [process.stdout.readline().strip() for _ in range(finished)]
        process.kill()
    assert set(done) <= {info.digest for info in artifacts.blobs()}
    for info in artifacts.blobs():
        artifacts.read(info.digest)


def test_a_discard_that_died_halfway_is_undone_for_a_touched_blob(artifacts):
    """A collector killed between two system calls would take a blob that a writer had just claimed."""
    blob = artifacts.put(b"claimed")
    aside = artifacts.root / "tmp" / f"{blob.digest}.0000.removed"
    stored(artifacts, blob.digest).rename(aside)
    artifacts.sweep(before=time.time() - 3600)
    assert artifacts.read(blob.digest) == b"claimed"
    assert temporary(artifacts) == []


def test_another_users_blob_can_be_kept_young(artifacts, monkeypatch):
    """In a store that a team shares, only the owner of a file may set its time."""
    blob = artifacts.put(b"shared")
    os.utime(stored(artifacts, blob.digest), (1, 1))

    def refuse(path):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "utime", refuse)
    for renew in (lambda: artifacts.touch(blob.digest), lambda: artifacts.put(b"shared")):
        renew()
        assert next(artifacts.blobs()).modified > 1
        assert artifacts.read(blob.digest) == b"shared"
    assert temporary(artifacts) == []


def test_options_and_urls_are_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEMILL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="takes no storage options"):
        open_artifacts(tmp_path, key="x")
    with pytest.raises(ConfigError, match="fsspec knows"):
        open_artifacts("nosuch://bucket")
    assert open_artifacts(f"file://{tmp_path}/a%20b").root == tmp_path / "a b"


def test_a_remote_blob_is_downloaded_once(tmp_path):
    """Every step would fetch its gigabytes from the bucket again."""
    store = open_artifacts(f"memory://{tmp_path.name}", cache=tmp_path)
    blob = store.put(b"tide")
    path = store.path(blob.digest)
    store.delete = None
    store._folder._connected = (os.getpid(), None, "unreachable")
    assert store.path(blob.digest) == path
    assert store.read(blob.digest) == b"tide"


def test_a_damaged_cache_is_fetched_again(tmp_path):
    """A bad local disk would fail runs whose store is fine."""
    store = open_artifacts(f"memory://{tmp_path.name}", cache=tmp_path)
    blob = store.put(b"tide")
    for read in (lambda: store.path(blob.digest).read_bytes(), lambda: store.read(blob.digest)):
        cached = store.path(blob.digest)
        cached.unlink()
        cached.write_bytes(b"tidy")
        assert read() == b"tide"


def test_a_corrupt_remote_blob_is_healed_by_the_step_that_made_it(tmp_path):
    """The hint in the error would not help: an upload that looks fresh is otherwise not repeated."""
    store = open_artifacts(f"memory://{tmp_path.name}", cache=tmp_path)
    blob = store.put(b"tide")
    store._folder.connect()[0].pipe_file(f"/{tmp_path.name}/blobs/{blob.digest[:2]}/{blob.digest[2:]}", b"tidy")
    with pytest.raises(CorruptArtifactError):
        store.read(blob.digest)
    store.put(b"tide")
    assert store.read(blob.digest) == b"tide"


def test_cached_blobs_that_nobody_uses_are_swept(tmp_path):
    """The cache of a laptop would grow to the size of the bucket."""
    store = open_artifacts(f"memory://{tmp_path.name}", cache=tmp_path)
    used, unused = store.put(b"used"), store.put(b"unused")
    for blob in (used, unused):
        os.utime(store.path(blob.digest), (1, 1))
    store.path(used.digest)
    assert store.sweep(before=time.time() - 3600) == [(unused.digest, 6)]
    assert store.cache.exists(used.digest)
    assert store.read(unused.digest) == b"unused"
