"""What is kept of sources must not fill the disk, and must never go from under somebody who reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.clock import lease_now
from tidemill.core.errors import ConfigError
from tidemill.data.sources.cache import bound, cache_folder, cached, folder_of, keep, recall, receiving, remember
from tidemill.data.sources.evicting import LEASE, evict
from tidemill.project import load_project, use_project

HOUR = 3600.0


def kept(root: Path, content: bytes, *, hours_ago: float = 0.0) -> Path:
    """A content that was last used so long ago."""
    with receiving(root) as file:
        file.write_bytes(content)
        path, _ = keep(root, file, "data.bin")
    aged(path, hours_ago)
    return path


def aged(path: Path, hours: float) -> None:
    moment = lease_now() - hours * HOUR
    for item in (path, path.parent):
        os.utime(item, (moment, moment))


def test_the_least_recently_used_goes_first(tmp_path):
    paths = [kept(tmp_path, bytes([hours]) * 100, hours_ago=hours) for hours in (5, 9, 2, 7)]
    assert cached(tmp_path, paths[1].parent.name, "data.bin") == paths[1]  # the oldest is used now
    report = evict(cache_folder(tmp_path), 250)
    assert [path.exists() for path in paths] == [False, True, True, False]
    assert (report.kept, report.bytes_kept, report.evicted, report.bytes_freed) == (2, 200, 2, 200)
    assert evict(cache_folder(tmp_path), 250).evicted == 0


def test_what_was_used_lately_stays_even_beyond_the_limit(tmp_path):
    paths = [kept(tmp_path, b"a" * 100, hours_ago=0.9), kept(tmp_path, b"b" * 100, hours_ago=1.1)]
    assert evict(cache_folder(tmp_path), 0).evicted == 1
    assert [path.exists() for path in paths] == [True, False]


def test_a_large_file_that_is_being_parsed_for_hours_stays(tmp_path):
    """Its folder is old; what is written into it is not."""
    path = kept(tmp_path, b"a" * 100)
    block = path.parent / "tmp-parsing" / "000001.arrow"
    block.parent.mkdir()
    block.write_bytes(b"b")
    aged(path, 5)
    os.utime(block.parent, (1, 1))
    report = evict(cache_folder(tmp_path), 0)
    assert block.exists()
    assert (report.evicted, report.swept) == (0, 0)


def test_what_a_killed_process_has_left_is_swept(tmp_path):
    path = kept(tmp_path, b"a")
    left = [cache_folder(tmp_path) / "tmp-1", path.parent / "tmp-2"]
    left[0].write_bytes(b"half")
    left[1].mkdir()
    (left[1] / "000001.arrow").write_bytes(b"half")
    young = cache_folder(tmp_path) / "tmp-3"
    young.write_bytes(b"half")
    for item in (left[0], left[1] / "000001.arrow", left[1]):
        os.utime(item, (1, 1))
    assert evict(cache_folder(tmp_path), 10**9, dry_run=True).swept == 2
    assert left[0].exists()
    report = evict(cache_folder(tmp_path), 10**9)
    assert (report.swept, report.bytes_freed) == (2, 8)
    assert not any(item.exists() for item in left)
    assert young.exists()
    assert path.exists()


def test_a_dry_run_says_what_would_go_and_a_note_on_what_is_gone_goes(tmp_path):
    path = kept(tmp_path, b"a" * 100, hours_ago=3)
    remember(tmp_path, "address", "v1", path.parent.name)
    for note in (cache_folder(tmp_path) / "notes").iterdir():
        os.utime(note, (1, 1))
    assert evict(cache_folder(tmp_path), 0, dry_run=True).evicted == 1
    assert path.exists()
    assert recall(tmp_path, "address", "v1") == path.parent.name
    assert evict(cache_folder(tmp_path), 0).evicted == 1
    assert recall(tmp_path, "address", "v1") is None


def test_adding_keeps_the_limit_that_the_project_sets(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "p"\nsource_cache = "1 KB"\n')
    with use_project(load_project(tmp_path)):
        old = kept(tmp_path, b"a" * 900, hours_ago=2)
        (cache_folder(tmp_path) / ".looked").unlink()
        kept(tmp_path, b"b" * 900)
        assert not old.exists()


def test_a_limit_that_is_none_is_named(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "p"\nsource_cache = "much"\n')
    with pytest.raises(ConfigError, match=r"'source_cache' \(from tidemill.toml\) must be a size such as \"20GiB\""):
        load_project(tmp_path)


def test_to_look_at_a_folder_writes_nothing(tmp_path):
    (tmp_path / "f.csv").write_text("a\n1\n")
    with use_project(load_project(tmp_path)):
        assert tm.read("f.csv").collect().height == 1
        assert cached(tmp_path, "ab" * 32, "x") is None
        folder_of(tmp_path, "ab" * 32)
        bound(tmp_path)
    assert not (tmp_path / ".tidemill" / "cache").exists()


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(1.1, 90)), max_size=12), st.integers(0, 300))
def test_what_stays_fits_and_nothing_goes_in_vain(tmp_path_factory, entries, limit):
    root = tmp_path_factory.mktemp("cache")
    for number, (size, hours) in enumerate(entries):
        kept(root, number.to_bytes(1, "big") * size, hours_ago=hours)
    report = evict(cache_folder(root), limit)
    assert report.bytes_kept <= limit or report.kept == 0
    assert report.bytes_kept + report.bytes_freed == sum(size for size, _ in entries)
    largest = max((size for size, _ in entries), default=0)
    assert report.evicted == 0 or report.bytes_kept + largest > limit
    assert LEASE == HOUR


EVICTOR = """
import sys
from pathlib import Path
from tidemill.data.sources.cache import cache_folder
from tidemill.data.sources.evicting import evict

print("ready", flush=True)
sys.stdin.readline()
print(evict(cache_folder(Path(sys.argv[1])), 0).evicted)
"""


def test_what_a_reader_has_found_stays_while_another_process_evicts(tmp_path):
    """Each entry is old: either the evictor takes it, or the reader has it for as long as the lease."""
    digests = [kept(tmp_path, number.to_bytes(2, "big"), hours_ago=9).parent.name for number in range(300)]
    command = [sys.executable, "-c", EVICTOR, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as evictor:
        assert evictor.stdout is not None
        assert evictor.stdout.readline() == "ready\n"
        assert evictor.stdin is not None
        evictor.stdin.write("go\n")
        evictor.stdin.flush()
        found = [path for digest in reversed(digests) if (path := cached(tmp_path, digest, "data.bin")) is not None]
        evicted = int(evictor.stdout.readline())
    assert all(path.exists() for path in found)
    assert len(found) + evicted == len(digests)
