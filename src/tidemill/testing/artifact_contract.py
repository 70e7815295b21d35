"""What every artifact store must do: checks that raise AssertionError, for our backends and for yours.

>>> import tempfile
>>> from tidemill.store.artifacts import open_artifacts
>>> with tempfile.TemporaryDirectory() as folder:
...     check_bytes_come_back_as_they_were(open_artifacts(folder))
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

from tidemill.core.errors import CorruptArtifactError, UsageError
from tidemill.store.artifacts import ArtifactStore, Blob
from tidemill.testing.building import fails

__all__ = ["CHECKS", "DAMAGE_CHECKS", "Damage"]

#: Overwrites the stored bytes of a blob behind the store's back, or removes them if given None.
Damage = Callable[[str, bytes | None], None]

_ABSENT = "0" * 64


def check_bytes_come_back_as_they_were(artifacts: ArtifactStore) -> None:
    """Empty, short, binary and large blobs read back, whichever way they are read."""
    for data in (b"", b"tide", bytes(range(256)), Random(1).randbytes(3_000_001)):
        blob = artifacts.put(data)
        assert blob == Blob(hashlib.sha256(data).hexdigest(), len(data))
        assert artifacts.read(blob.digest) == data
        assert artifacts.path(blob.digest).read_bytes() == data
        with artifacts.open(blob.digest) as file:
            assert file.read() == data
        assert artifacts.size(blob.digest) == len(data)
        assert artifacts.exists(blob.digest)


def check_putting_again_is_harmless(artifacts: ArtifactStore) -> None:
    """The same bytes are one blob, however often and in whichever way they are put."""
    first = artifacts.put(b"the same")
    with artifacts.writer() as writer:
        writer.write(b"the ")
        writer.write(b"same")
    assert artifacts.put(b"the same") == writer.blob == first
    assert [info.digest for info in artifacts.blobs()].count(first.digest) == 1


def check_a_file_can_be_put_or_written(artifacts: ArtifactStore) -> None:
    """A file stays where it is when it is put; what another library writes to a writer's path becomes a blob."""
    data = Random(2).randbytes(2_500_000)
    with artifacts.writer() as writer:
        writer.path.write_bytes(data)
    assert artifacts.read(writer.blob.digest) == data
    source = artifacts.path(writer.blob.digest)
    assert artifacts.put_file(source) == writer.blob
    assert source.read_bytes() == data
    assert not writer.path.exists()


def check_a_failed_writer_leaves_nothing(artifacts: ArtifactStore) -> None:
    """After an exception there is neither a blob nor a temporary file."""
    paths: list[Path] = []

    def fail() -> None:
        with artifacts.writer() as writer:
            writer.write(b"half of it")
            paths.append(writer.path)
            raise UsageError("the writer changed its mind")

    fails(UsageError, fail)
    assert not paths[0].exists()
    assert not artifacts.exists(hashlib.sha256(b"half of it").hexdigest())


def check_what_is_not_there_is_said_to_be_gone(artifacts: ArtifactStore) -> None:
    """A missing blob is an error that names its digest; a word that is no digest never becomes a path."""
    assert not artifacts.exists(_ABSENT)
    for call in (artifacts.read, artifacts.path, artifacts.size, artifacts.touch, artifacts.open):
        fails(CorruptArtifactError, partial(call, _ABSENT), _ABSENT)
    artifacts.delete(_ABSENT)
    assert artifacts.discard(_ABSENT, before=time.time() + 100) is None
    for wrong in ("", "../" * 20, "A" * 64, _ABSENT + "0"):
        fails(UsageError, partial(artifacts.read, wrong))


def check_blobs_are_listed_and_deleted(artifacts: ArtifactStore) -> None:
    """The list has each blob once with its size and age; a deleted one is gone from it."""
    start = time.time() - 5  # clocks of file systems differ a little
    made = {artifacts.put(b"%d" % number * number).digest: number for number in range(1, 9)}
    listed = {info.digest: info for info in artifacts.blobs()}
    assert made == {digest: listed[digest].size for digest in made}
    assert all(start <= listed[digest].modified <= time.time() + 5 for digest in made)
    gone = next(iter(made))
    artifacts.delete(gone)
    assert not artifacts.exists(gone)
    assert {info.digest for info in artifacts.blobs()} == set(listed) - {gone}


def check_only_the_old_are_discarded(artifacts: ArtifactStore) -> None:
    """Garbage collection cannot remove a blob that was touched after the moment that it decides by."""
    blob = artifacts.put(b"young")
    artifacts.touch(blob.digest)
    assert artifacts.discard(blob.digest, before=time.time() - 100) is None
    assert artifacts.read(blob.digest) == b"young"
    assert artifacts.discard(blob.digest, before=time.time() + 100) == 5
    assert not artifacts.exists(blob.digest)
    assert artifacts.put(b"young") == blob
    assert artifacts.read(blob.digest) == b"young"


def check_many_writers_of_one_blob_agree(artifacts: ArtifactStore) -> None:
    """Threads that put, read and delete the same few blobs never see half of one."""
    contents = [Random(seed).randbytes(50_000) for seed in range(3)]

    def work(number: int) -> None:
        data = contents[number % 3]
        digest = artifacts.put(data).digest
        if number % 7 == 0:
            artifacts.delete(digest)
        try:
            found = artifacts.read(digest)
        except CorruptArtifactError as error:
            if "is gone" not in str(error):
                raise
        else:
            assert found == data

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    for data in contents:
        assert artifacts.read(artifacts.put(data).digest) == data


def check_a_view_is_built_once(artifacts: ArtifactStore) -> None:
    """An unpacked folder is there whole or not at all, is reused, and is built again if somebody spoils it."""
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "a.txt").write_text("a")

    def check(folder: Path) -> bool:
        return (folder / "a.txt").read_text() == "a"

    name = hashlib.sha256(b"view").hexdigest()
    view = artifacts.view(name, build, check)
    assert artifacts.view(name, build, check) == view
    assert len(built) == 1
    (view / "a.txt").write_text("b")
    assert (artifacts.view(name, build, check) / "a.txt").read_text() == "a"
    assert len(built) == 2


def check_damage_is_found(artifacts: ArtifactStore, damage: Damage) -> None:
    """Bytes that changed in the store are never given out; the error says what was expected and what was found."""
    for changed in (b"tidemilk", b"tide", b""):
        blob = artifacts.put(b"tidemill")
        damage(blob.digest, changed)
        found = hashlib.sha256(changed).hexdigest()
        for call in (artifacts.read, artifacts.path, artifacts.open):
            fails(CorruptArtifactError, partial(call, blob.digest), f"expected SHA-256 {blob.digest}, found {found}")
        artifacts.delete(blob.digest)


def check_loss_is_found(artifacts: ArtifactStore, damage: Damage) -> None:
    """A blob that somebody removed is said to be gone, not unavailable."""
    blob = artifacts.put(b"tidemill, lost")
    damage(blob.digest, None)
    assert not artifacts.exists(blob.digest)
    fails(CorruptArtifactError, lambda: artifacts.read(blob.digest), "is gone")
    assert artifacts.put(b"tidemill, lost") == blob
    assert artifacts.read(blob.digest) == b"tidemill, lost"


#: Checks of a store by itself.
CHECKS: tuple[Callable[[ArtifactStore], None], ...] = (
    check_bytes_come_back_as_they_were,
    check_putting_again_is_harmless,
    check_a_file_can_be_put_or_written,
    check_a_failed_writer_leaves_nothing,
    check_what_is_not_there_is_said_to_be_gone,
    check_blobs_are_listed_and_deleted,
    check_only_the_old_are_discarded,
    check_many_writers_of_one_blob_agree,
    check_a_view_is_built_once,
)
#: Checks of a store whose stored bytes the caller can damage.
DAMAGE_CHECKS: tuple[Callable[[ArtifactStore, Damage], None], ...] = (check_damage_is_found, check_loss_is_found)
