"""The prediction log is the only witness of what was answered: it survives crashes and loses nothing that left."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.clock import to_us
from tidemill.core.errors import DataError, UsageError
from tidemill.core.model import Signature
from tidemill.core.schema import TableSchema
from tidemill.core.tasks import Task
from tidemill.serving.decisions import compile_decision
from tidemill.serving.loading import load
from tidemill.serving.log.framing import MAGIC, Records, frame
from tidemill.serving.log.joining import label_coverage
from tidemill.serving.log.privacy import WITHHELD, Privacy
from tidemill.serving.log.querying import predictions, query_log
from tidemill.serving.log.reading import scan_log
from tidemill.serving.log.sealer import Sealer
from tidemill.serving.log.sealing import seal
from tidemill.serving.log.writer import PredictionLog

SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [
        {"name": "dest", "type": "string"}, {"name": "miles", "type": "int64"}, {"name": "day", "type": "date"}
    ],
}  # fmt: skip
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def append(log: PredictionLog, number: int, at: datetime = NOON, schema: dict[str, Any] = SCHEMA) -> None:
    row = ["IAH", number, "2026-03-01"] + [None] * (len(schema["columns"]) - 3)
    log.append(
        schema, f"r{number}", to_us(at), 120, [row], [{"late": number % 2 == 0, "probability": 0.25}], client="me"
    )


def ids(root: Path, **options: Any) -> list[str]:
    return predictions(root, **options).collect()["request_id"].to_list()


@given(st.lists(st.binary(max_size=50)), st.integers(0, 200))
def test_a_file_cut_anywhere_gives_every_record_before_the_cut(payloads: list[bytes], cut: int) -> None:
    data = MAGIC + b"".join(map(frame, payloads))
    kept = data[: max(len(data) - cut, 0)]
    records = Records(kept)
    found = list(records)
    assert found == payloads[: len(found)]
    whole = len(MAGIC + b"".join(map(frame, found)))
    assert records.torn == max(len(kept) - whole, 0) or len(kept) < len(MAGIC)
    if len(found) < len(payloads):
        assert whole + len(frame(payloads[len(found)])) > len(kept)


def test_a_damaged_byte_ends_the_reading_where_it_is(tmp_path: Path) -> None:
    data = bytearray(MAGIC + frame(b"one") + frame(b"two"))
    data[-1] ^= 1
    records = Records(bytes(data))
    assert list(records) == [b"one"]
    assert records.torn == len(frame(b"two"))


def test_rows_come_back_typed_with_what_was_told(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    append(log, 1)
    got = predictions(tmp_path, "delays").collect().to_dicts()[0]
    assert got["features.miles"] == 1
    assert got["features.day"] == NOON.date()
    assert (got["prediction"], got["probability"], got["status"]) == ("false", 0.25, "answered")
    assert (got["model"], got["version"], got["variant"], got["client"]) == ("delays", 2, "champion", "me")
    assert got["ts"] == NOON
    assert got["latency_ms"] == 0.12
    log.close()


@pytest.mark.parametrize("kind", ["timestamp[us]", "timestamp[us, UTC]"])
def test_moments_that_were_sent_in_several_ways_are_all_kept(tmp_path: Path, kind: str) -> None:
    """Those that are written otherwise than the first would be missing from the sealed log, and from erasures."""
    schema = {**SCHEMA, "columns": [{"name": "dep", "type": kind}]}
    sent = ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00", "2026-03-01T13:00:00.5+01:00", "2026-03-01", None]
    log = PredictionLog(tmp_path, "delays")
    log.append(schema, "r", to_us(NOON), 1, [[moment] for moment in sent], [{"late": True}] * 5)
    log.close()
    told = predictions(tmp_path).collect().sort("row")["features.dep"]
    plain = told if kind == "timestamp[us]" else told.dt.replace_time_zone(None)
    noon = NOON.replace(tzinfo=None)
    assert plain.to_list() == [noon, noon, noon + timedelta(seconds=0.5), noon.replace(hour=0), None]


def test_an_empty_log_is_an_empty_table(tmp_path: Path) -> None:
    assert predictions(tmp_path / "nothing").collect().height == 0


def test_segments_are_kept_by_day_and_only_the_days_asked_for_are_read(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    for day in range(3):
        append(log, day, NOON + timedelta(days=day))
    log.close()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == [f"day=2026-03-0{day}" for day in (1, 2, 3)]
    assert ids(tmp_path, since=NOON + timedelta(days=1)) == ["r1", "r2"]
    assert ids(tmp_path, until=NOON + timedelta(days=1)) == ["r0"]
    assert ids(tmp_path, since=NOON + timedelta(hours=1), until=NOON + timedelta(days=1, hours=1)) == ["r1"]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2), date(2026, 3, 2),
        "2026-03-02", "2026-03-02 00:00:00", "2026-03-02T02:00:00+02:00",
        datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=-10))),
    ],
)  # fmt: skip
def test_moments_are_taken_as_people_tell_them(tmp_path: Path, moment: Any) -> None:
    log = PredictionLog(tmp_path, "delays")
    for number in range(3):
        append(log, number, NOON + timedelta(days=number))
    log.close()
    assert ids(tmp_path, since=moment) == ["r1", "r2"]
    assert ids(tmp_path, until=moment) == ["r0"]
    assert ids(tmp_path, since=moment, labels=True) == ["r1", "r2"]
    assert label_coverage(tmp_path, "delays", since=moment).rows == 2


@pytest.mark.parametrize(
    "moment", ["yesterday", "", 20260302, 3.5, NOON.time(), datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))]
)
def test_what_is_no_moment_is_refused_with_what_to_write(tmp_path: Path, moment: Any) -> None:
    for name in ("since", "until"):
        with pytest.raises(UsageError, match=f'{name} is no moment.*Write "2026-'):
            predictions(tmp_path, **{name: moment})
        with pytest.raises(UsageError, match=f"{name} is no moment"):
            label_coverage(tmp_path, "delays", **{name: moment})


def test_a_model_that_is_no_text_is_refused(tmp_path: Path) -> None:
    wrong: Any = 3
    for attempt in (lambda: predictions(tmp_path, wrong), lambda: label_coverage(tmp_path, wrong), lambda: load(wrong)):
        with pytest.raises(UsageError, match="a model is named by text: 3"):
            attempt()


def test_models_are_kept_apart_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("../up", "a/b", "Ü*"):
        log = PredictionLog(tmp_path / "log", name)
        append(log, 1, schema={**SCHEMA, "model": name})
        log.close()
        assert predictions(tmp_path / "log", name).collect()["model"].to_list() == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_sealing_keeps_every_row_and_can_be_repeated(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays", segment_bytes=400)
    for number in range(20):
        append(log, number)
    before = predictions(tmp_path).collect()
    assert seal(tmp_path)  # all but the segment that is being written
    assert scan_log(tmp_path).open == 1
    append(log, 20)
    log.close()
    seal(tmp_path)
    assert seal(tmp_path) == []
    scan = scan_log(tmp_path)
    assert (scan.open, scan.torn) == (0, 0)
    after = scan.frame.collect().sort("features.miles")
    assert after.head(20).equals(before.sort("features.miles"))
    assert after.height == 21


def test_a_sealing_that_was_interrupted_counts_nothing_twice(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    append(log, 1)
    log.close()
    segment = next(tmp_path.rglob("*.log"))
    data = segment.read_bytes()
    seal(tmp_path)
    segment.write_bytes(data)  # died after the Parquet file was in place, before the segment was deleted
    segment.with_suffix(".sealing").write_bytes(b"half")
    assert ids(tmp_path) == ["r1"]
    assert seal(tmp_path) == []
    assert ids(tmp_path) == ["r1"]


def test_versions_with_other_columns_share_a_table(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    append(log, 1)
    wider = {
        **SCHEMA,
        "version": 3,
        "digest": "def",
        "columns": [*SCHEMA["columns"], {"name": "temp", "type": "float64"}],
    }
    append(log, 2, schema=wider)
    log.close()
    got = predictions(tmp_path).collect()
    assert got["version"].to_list() == [2, 3]
    assert got["features.temp"].to_list() == [None, None]


def test_durable_answers_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = PredictionLog(tmp_path, "delays", durable=True)
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr("tidemill.serving.log.segments.os.fsync", lambda fd: (synced.append(fd), real(fd)))

    async def answer(number: int) -> None:
        append(log, number)
        await log.settled()

    async def many() -> None:
        await asyncio.gather(*(answer(number) for number in range(50)))

    asyncio.run(many())
    assert 1 <= len(synced) <= 5
    assert len(ids(tmp_path)) == 50
    log.close()


FULL_DISK = """
import json, resource, signal, sys
from datetime import UTC, datetime
from tidemill.core.errors import OutOfSpaceError
from tidemill.serving.log.writer import PredictionLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
log = PredictionLog(sys.argv[1], "delays")
schema = json.loads(sys.argv[2])
written = 0
try:
    for number in range(1000):
        log.append(schema, f"r{number}", 1772366400000000, 1, [["IAH", number, None]], [{"late": True}])
        written += 1
except OutOfSpaceError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.append(schema, "after", 1772366400000000, 1, [["IAH", 0, None]], [{"late": True}])
    print(written)
"""


def test_a_full_disk_is_an_error_and_leaves_whole_records_only(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), json.dumps(SCHEMA)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written = int(done.stdout)
    scan = scan_log(tmp_path)
    assert 0 < written < 1000
    assert scan.torn == 0
    assert set(scan.frame.collect()["request_id"]) == {*(f"r{number}" for number in range(written)), "after"}


def test_a_refused_row_has_no_features_and_says_why(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    log.append(SCHEMA, "r", to_us(NOON), 1, [None], [{"error": {"error": "column 'miles' takes a whole number"}}])
    log.close()
    got = predictions(tmp_path).collect()
    assert got["status"].to_list() == ["refused"]
    assert got["error"].to_list() == ["column 'miles' takes a whole number"]
    assert got["features.miles"].to_list() == [None]
    assert got.schema["features.miles"] == pl.Int64


def test_a_server_has_what_earlier_ones_left_sealed(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays", segment_bytes=1)
    for number in range(4):
        append(log, number)
    with Sealer(tmp_path, every=0.05):
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*.parquet")) and time.monotonic() < deadline:
            threading.Event().wait(0.05)
    assert len(ids(tmp_path)) == 4
    scan = scan_log(tmp_path)
    assert scan.sealed >= 1
    log.close()


def test_duckdb_reads_the_sealed_days_and_knows_model_and_day(tmp_path: Path) -> None:
    for name in ("delays", "a/b"):
        log = PredictionLog(tmp_path, name)
        for day in range(3):
            append(log, day, NOON + timedelta(days=day), {**SCHEMA, "model": name})
        log.close()
    seal(tmp_path)
    files = f"read_parquet('{tmp_path}/model=*/day=*/*.parquet', hive_partitioning = true, union_by_name = true)"
    sql = f"select model, count(*), min(ts), sum(\"features.miles\") from {files} where day >= '2026-03-02' group by 1"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute(f"{sql} order by 1").fetchall()
    assert [row[:2] + row[3:] for row in rows] == [("a/b", 2, 3), ("delays", 2, 3)]
    sql = "select model, max(ts) as newest from predictions where status = 'answered' group by 1 order by 1"
    assert query_log(sql, predictions(tmp_path)).rows() == [
        ("a/b", NOON + timedelta(days=2)), ("delays", NOON + timedelta(days=2)),
    ]  # fmt: skip


NAMED_LIKE_PARTS: list[tuple[Task, str, tuple[str, ...], Any, str]] = [
    ("regression", "error", (), 1.5, "1.5"),
    ("binary", "error", ("false", "true"), 0.7, "true"),
    ("multilabel", "error", ("late", "warm"), [0.2, 0.9], '["warm"]'),
    ("regression", "warnings", (), 1.5, "1.5"),
    ("multilabel", "warnings", ("late", "warm"), [0.2, 0.9], '["warm"]'),
    ("regression", "interval", (), 1.5, "1.5"),
    ("quantile", "quantiles", ("0.1", "0.5", "0.9"), [1.0, 2.0, 3.0], "2.0"),
    ("multilabel", "probabilities", ("late", "warm"), [0.2, 0.9], '["warm"]'),
    ("multiclass", "probability", ("A", "B"), [0.2, 0.8], "B"),
    ("binary", "decision", ("no", "yes"), 0.7, "yes"),
    ("binary", "score", ("no", "yes"), 0.7, "yes"),
]


@pytest.mark.parametrize(("task", "target", "classes", "score", "expected"), NAMED_LIKE_PARTS)
def test_a_target_that_is_called_like_a_part_of_an_answer_is_logged_like_any_other(
    tmp_path: Path, task: Task, target: str, classes: tuple[str, ...], score: Any, expected: str
) -> None:
    told = compile_decision(Signature(TableSchema(()), task, target, classes, interval=(0.9, 4.0)))(score)
    refused = {"error": {"column": "mile", "error": "the column 'mile' is unknown"}}
    rows = [["IAH", 5, None], ["IAH", None, None], None]
    for privacy in (Privacy(), Privacy(redact=("miles",), sample=1e-9)):
        log = PredictionLog(tmp_path, "delays", privacy=privacy)
        log.append({**SCHEMA, "target": target}, "r", to_us(NOON), 1, rows, [told, refused, refused])
        log.append({**SCHEMA, "target": target}, "s", to_us(NOON), 1, rows[:1], [told])
        log.close()
    open_rows = predictions(tmp_path).collect()
    seal(tmp_path)
    found = predictions(tmp_path).collect()
    assert found.sort(found.columns[:2]).equals(open_rows.sort(found.columns[:2]))
    found = found.sort("request_id", "row", maintain_order=True)
    assert found["request_id"].to_list() == [*["r"] * 6, "s"]  # what was answered is sampled, what was refused is kept
    assert found["prediction"].to_list() == [*[expected] * 2, *[None] * 4, expected]
    assert found["status"].to_list() == [*["answered"] * 2, *["failed"] * 2, *["refused"] * 2, "answered"]
    assert found["error"].to_list()[2:4] == ["the column 'mile' is unknown", WITHHELD]
    parts = {"probability", "score", "decision", "low", "warnings", "probabilities", "quantiles"}
    held = {name for name in parts if found[name].null_count() < found.height}
    assert held == {"low" if name == "interval" else name for name in told if name != target}


def test_a_segment_that_cannot_be_read_keeps_no_other_from_being_sealed(tmp_path: Path) -> None:
    for number in range(3):
        log = PredictionLog(tmp_path, "delays")
        append(log, number)
        log.close()
    path, *others = sorted(tmp_path.rglob("*.log"))
    foreign = MAGIC + frame(b"[1, 2]")
    path.write_bytes(foreign)
    with pytest.raises(DataError, match="cannot be sealed") as raised:
        seal(tmp_path)
    assert raised.value.value == str(path)
    assert path.read_bytes() == foreign
    assert [one.with_suffix(".parquet").exists() for one in (path, *others)] == [False, True, True]
    assert list(tmp_path.rglob("*.log")) == [path]
    order = json.dumps({"root": str(tmp_path), "days": {"delays": 1.0}, "archive": None})
    command = [sys.executable, "-m", "tidemill.serving.log.sealing"]
    done = subprocess.run(command, input=order, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert path.name in done.stderr
    assert list(tmp_path.rglob("*.parquet")) == []  # days that are over go all the same
