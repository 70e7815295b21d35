"""Collecting garbage must never surprise."""

from __future__ import annotations


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
