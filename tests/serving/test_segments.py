"""A segment is sealed or closed while somebody writes, or cannot be synced: nothing is lost, and nobody hangs."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.errors import OutOfSpaceError
from tidemill.serving.log.framing import is_finished
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.writer import PredictionLog

SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [{"name": "miles", "type": "int64"}],
}  # fmt: skip


def append(log: PredictionLog, number: int) -> None:
    log.append(SCHEMA, f"r{number}", 1772366400000000, 120, [[number]], [{"late": True}])


def ids(root: Path) -> list[str]:
    return predictions(root).collect()["request_id"].to_list()


SEAL = "import sys; from tidemill.serving.log.sealing import seal; print(*(path.name for path in seal(sys.argv[1])))"


def test_a_segment_that_is_sealed_before_its_writer_locks_it_takes_no_answers_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sealed = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if not sealed:
            command = [sys.executable, "-c", SEAL, str(tmp_path)]
            sealed.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        real(descriptor, how)

    monkeypatch.setattr("tidemill.serving.log.segments.fcntl.flock", flock)
    log = PredictionLog(tmp_path, "delays")
    for number in range(3):
        append(log, number)
    log.close()
    assert sealed[0].endswith(".parquet")
    assert ids(tmp_path) == ["r0", "r1", "r2"]


@pytest.mark.parametrize("durable", [False, True])
def test_an_answer_that_comes_after_the_log_was_closed_is_kept_and_nobody_has_to_finish_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, durable: bool
) -> None:
    log = PredictionLog(tmp_path, "delays", durable=durable)
    append(log, 0)
    log.close()
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        "tidemill.serving.log.segments.os.fsync",
        lambda fd: (synced.append(Path(f"/proc/self/fd/{fd}").resolve().name), real(fd)),
    )

    async def answer(number: int) -> None:
        append(log, number)
        await asyncio.wait_for(log.settled(), 10)

    for number in (1, 2):
        asyncio.run(answer(number))
    assert ids(tmp_path) == ["r0", "r1", "r2"]
    segments = sorted(tmp_path.rglob("*.log"))
    assert len(segments) == 3
    assert all(map(is_finished, segments))
    assert {name for name in synced if name.endswith(".log")} == {path.name for path in segments[1:] if durable}


def test_whatever_keeps_answers_from_the_disk_is_told_to_all_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path, "delays", durable=True)
    append(log, 0)

    def broken(_: int) -> None:
        raise ValueError("no such thing")

    async def wait() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(log.settled(), log.settled(), return_exceptions=True), 10)

    with monkeypatch.context() as patch:
        patch.setattr("tidemill.serving.log.segments.os.fsync", broken)
        assert [str(error) for error in asyncio.run(wait())] == ["no such thing"] * 2
    assert asyncio.run(wait()) == [None, None]
    log.close()


def test_an_answer_whose_segment_could_not_be_synced_when_it_was_finished_is_not_taken_for_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path, "delays", durable=True)
    append(log, 0)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("tidemill.serving.log.segments.os.fsync", broken)
        with pytest.raises(OutOfSpaceError, match="cannot be synced"):
            log.finish()
    with pytest.raises(OutOfSpaceError, match="cannot be synced"):
        asyncio.run(asyncio.wait_for(log.settled(), 10))
    append(log, 1)
    asyncio.run(log.settled())
    log.close()
    assert ids(tmp_path) == ["r0", "r1"]
