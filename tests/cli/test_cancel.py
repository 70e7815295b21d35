"""A run that somebody else started can be stopped from here."""

from __future__ import annotations

import subprocess

from .test_run import SLOW, wait_for


def test_a_running_run_is_cancelled_and_can_be_resumed(tidemill):
    tidemill.write(pipeline=SLOW)
    process = tidemill.start("run", "--json")
    wait_for(tidemill.folder / "started", process)
    run = tidemill("runs", "--json").lines[0]["run"]["id"]
    assert tidemill.json("cancel", run) == {"status": "requested", "run": run}
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 130
    assert tidemill("runs", "--json").lines[0]["run"]["status"] == "cancelled"
    done = tidemill("cancel", run, expect=2)
    assert "is not running" in done.err


def test_only_a_run_can_be_cancelled(small):
    small("run")
    small("cancel", "zzz", expect=3)
