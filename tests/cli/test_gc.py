"""Collecting garbage must never surprise."""

from __future__ import annotations

import os


def test_a_dry_run_deletes_nothing(small):
    small("run")
    stray = small.folder / ".tidemill" / "artifacts" / "blobs" / "ab" / ("c" * 62)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"nobody refers to this")
    line = small.json("gc", "--dry-run", "--grace", "0")
    assert (line["dry_run"], line["report"]["deleted"]) == (True, 1)
    assert stray.exists()
    assert "would delete 1" in small("gc", "--dry-run", "--grace", "0").out
    assert "deleted 0" in small("gc").out  # it is younger than the grace of an hour
    assert "deleted 1" in small("gc", "--grace", "0").out
    assert not stray.exists()
    small("run")


def test_what_is_kept_of_sources_is_collected_too(tidemill):
    """Also where nothing but a source was ever read: then there is no store."""
    content = tidemill.folder / ".tidemill" / "cache" / "sources" / "ab" / ("ab" * 32) / "f.csv"
    content.parent.mkdir(parents=True)
    content.write_bytes(b"x" * 2000)
    left = content.parents[2] / "tmp-killed"
    left.write_bytes(b"half")
    for item in (content, content.parent, left):
        os.utime(item, (1, 1))
    small = {"TIDEMILL_SOURCE_CACHE": "1KB"}
    assert (
        "kept 0 contents of sources (0 B), would delete 1 and 1 leftovers" in tidemill("gc", "--dry-run", **small).out
    )
    assert content.exists()
    assert tidemill.json("gc")["sources"]["swept"] == 1
    assert content.exists(), "it is within 20 GiB"
    assert tidemill.json("gc", **small)["sources"]["evicted"] == 1
    assert not content.exists()
