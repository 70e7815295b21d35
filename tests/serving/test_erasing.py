"""Whoever asks to be forgotten is, in sealed files and in segments that are being written; others are kept."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tidemill.core.clock import to_us
from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.data.types import polars_type
from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.log.erasing import erase_entity, erasures_about
from tidemill.serving.log.matching import Subject
from tidemill.serving.log.privacy import Privacy, hashed
from tidemill.serving.log.querying import log_labels
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.sealing import seal
from tidemill.serving.log.writer import PredictionLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "the key of the hashes"
PRIVATE = Privacy(hash=("entity",), key=KEY)
SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [{"name": "miles", "type": "int64"}],
}  # fmt: skip


def ask(log: PredictionLog, request: str, *entities: str | None) -> None:
    rows: Any = [[number] for number in range(len(entities))]
    log.append(SCHEMA, request, to_us(NOON), 1, rows, [{"late": True}] * len(rows), entities=entities)


def fill(root: Path, privacy: Privacy = PRIVATE) -> None:
    """Three files: one of nobody else, one mixed, one of others; and the labels of all."""
    for requests in ([("a", "ann")], [("b", "ann", "ben"), ("c", "ben"), ("d", None)], [("e", "ben")]):
        log = PredictionLog(root, "delays", privacy=privacy)
        for request, *entities in requests:
            ask(log, request, *entities)
        log.close()
    other = PredictionLog(root, "other")
    ask(other, "o", "ann")
    other.close()
    log_labels([{"request_id": name, "row": 0, "label": 1} for name in "abcdeo"], root=root)
    log_labels([{"request_id": "b", "row": 1, "label": 1}, {"request_id": "a", "label": 1}], "delays", root=root)
    name = privacy.of_value("entity", "ann")
    log_labels([{"entity": name, "label": 0}, {"entity": "ben", "label": 0}], "delays", root=root)


def left(root: Path) -> tuple[list[str], list[str]]:
    rows = predictions(root).collect()
    labels = scan_labels(root).frame.select(pl.coalesce("request_id", "entity"), "row").collect()
    return (
        sorted(f"{request}{row}" for request, row in rows.select("request_id", "row").rows()),
        sorted(f"{about}{row}" for about, row in labels.rows()),
    )


KEPT = ["b1", "c0", "d0", "e0", "o0"], ["b1", "benNone", "c0", "d0", "e0", "o0"]


def test_an_entity_is_erased_with_its_labels_and_nothing_else_is(tmp_path: Path) -> None:
    fill(tmp_path)
    before = predictions(tmp_path).filter(pl.col("request_id").is_in(["c", "e", "o"])).collect()
    seen = erase_entity(tmp_path, "delays", "ann", by="me", privacy=PRIVATE)
    assert seen.erased == 2 + 4
    assert len(left(tmp_path)[0]) == 7  # it was only looked at
    done = erase_entity(tmp_path, "delays", "ann", by="me", privacy=PRIVATE, really=True)
    assert done.erased == 2 + 4
    assert done.finished is not None
    assert left(tmp_path) == KEPT
    assert predictions(tmp_path).filter(pl.col("request_id").is_in(["c", "e", "o"])).collect().equals(before)
    assert erase_entity(tmp_path, "delays", "ann", by="me", privacy=PRIVATE).files == ()


def test_the_proof_names_files_and_nobody(tmp_path: Path) -> None:
    fill(tmp_path, Privacy())
    seal(tmp_path)
    digests = {
        str(path.relative_to(tmp_path)): sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.parquet")
    }
    erase_entity(tmp_path, "delays", "ann", by="the officer", really=True)
    (proof,) = erasures_about(tmp_path)
    assert (proof.model, proof.by, proof.keyed) == ("delays", "the officer", False)
    assert proof.finished is not None
    assert [(file.rows, file.erased) for file in proof.files if "labels" not in file.file] == [(1, 1), (4, 1)]
    for file in proof.files:
        path = tmp_path / file.file
        assert file.before == digests[file.file]
        assert file.after == (sha256(path.read_bytes()).hexdigest() if path.exists() else "")
    assert b"ann" not in (tmp_path / "erasures.jsonl").read_bytes()
    assert erasures_about(tmp_path, "ann") == [proof]
    assert erasures_about(tmp_path, "ben") == []
    erase_entity(tmp_path, "other", "ann", by="me", privacy=PRIVATE, really=True)
    assert len(erasures_about(tmp_path, "ann")) == 1
    assert len(erasures_about(tmp_path, "ann", KEY)) == 2


MAIL: dict[str, Any] = {
    **SCHEMA, "columns": [{"name": "mail", "type": "string"}, {"name": "seat", "type": "float64"}],
}  # fmt: skip


def test_somebody_is_erased_by_another_column_in_the_clear_or_hashed(tmp_path: Path) -> None:
    private = Privacy(hash=("mail", "seat"), key=KEY)
    for privacy in (Privacy(), private):
        log = PredictionLog(tmp_path, "delays", privacy=privacy)
        for number, mail in enumerate(["ann@mill.org", "ben@mill.org", "ann@mill.org.uk", None]):
            row = [mail, float(number), []]
            log.append(
                MAIL, f"r{number}", to_us(NOON), 1, [row], [{"late": True}], entities=[f"e{number}"], client="me"
            )
        log.close()
    log_labels([{"request_id": f"r{number}", "label": 1} for number in range(4)], "delays", root=tmp_path)
    options: Any = {"by": "me", "privacy": private}
    seen = erase_entity(tmp_path, "delays", "ann@mill.org", column="mail", **options)
    assert (seen.erased, seen.column) == (3, "mail")
    done = erase_entity(tmp_path, "delays", "ann@mill.org", column="mail", really=True, **options)
    assert done.erased == 3
    assert sorted(predictions(tmp_path).collect()["request_id"]) == ["r1", "r1", "r2", "r2", "r3", "r3"]
    assert sorted(scan_labels(tmp_path).frame.collect()["request_id"]) == ["r1", "r2", "r3"]
    assert erase_entity(tmp_path, "delays", "2", column="seat", really=True, **options).erased == 3
    assert sorted(predictions(tmp_path).collect()["request_id"]) == ["r1", "r1", "r3", "r3"]
    assert b"ann" not in (tmp_path / "erasures.jsonl").read_bytes()
    assert [proof.column for proof in erasures_about(tmp_path, "ann@mill.org", KEY, column="mail")] == ["mail"]
    assert erasures_about(tmp_path, "ann@mill.org", KEY) == []
    with pytest.raises(UsageError, match="Did you mean 'mail'"):
        erase_entity(tmp_path, "delays", "ann", column="male", **options)
    with pytest.raises(UsageError, match="a column of lists"):
        Subject("tags", "ann").rows(pl.DataFrame({"features.tags": [["ann"]]}))
    assert erase_entity(tmp_path, "delays", "me", column="client", really=True, **options).erased == 6
    assert predictions(tmp_path).collect().height == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from tidemill.serving.log.erasing import erase_entity
from tidemill.serving.log.privacy import Privacy, hashed
root, last = sys.argv[1], int(sys.argv[2])
seen = 0
def watch(event, arguments):
    global seen
    if event in ("os.rename", "os.remove") or event == "open" and str(arguments[0]).endswith((".jsonl", ".erasing")):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
privacy = Privacy(hash=("entity",), key=sys.argv[3])
erase_entity(root, "delays", "ann", by="me", privacy=privacy, really=True)
print("done")
"""


def test_kill_9_at_any_step_leaves_files_old_or_new_and_it_can_be_repeated(tmp_path: Path) -> None:
    step, done = 0, ""
    while not done:
        step += 3
        root = tmp_path / str(step)
        fill(root)
        command = [sys.executable, "-c", KILLED, str(root), str(step), KEY]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout
        rows, labels = left(root)
        assert set(KEPT[0]) <= set(rows) <= {*KEPT[0], "a0", "b0"}
        assert set(KEPT[1]) <= set(labels)
        erase_entity(root, "delays", "ann", by="me", privacy=PRIVATE, really=True)
        assert left(root) == KEPT
        assert not [path for path in root.rglob("*") if path.suffix in (".erasing", ".sealing", ".finish")]
        assert not list(root.glob("model=delays/*/*.log"))
        assert erasures_about(root)[-1].finished is not None
    assert step > 9


def test_servers_are_asked_to_finish_what_they_write(packaged: Package, tmp_path: Path) -> None:
    folder, log = packaged.write(tmp_path / "model"), tmp_path / "log"
    body = {"rows": [packaged.manifest["example"]] * 2, "entities": ["ann", "ben"]}
    with start_server(folders=[folder], log=log, workers=2, timeout=120) as server:
        url = f"{server.url}/v1/models/flight-delay/predict"
        asked = []
        for _ in range(20):  # each on a connection of its own, so that both workers have some
            asked.append(httpx.post(url, json=body).json()["request_id"])
            httpx.post(f"{server.url}/v1/labels", json={"labels": [{"entity": "ann", "label": True}]})
        assert len(list(log.glob("model=*/day=*/*.log"))) == 2
        done = erase_entity(log, "flight-delay", "ann", by="me", really=True)
        assert done.erased == 40
        frame = predictions(log).collect()
        assert frame["entity"].to_list() == ["ben"] * 20
        assert sorted(frame["request_id"]) == sorted(asked)
        assert httpx.post(url, json=body).status_code == 200
        assert erase_entity(log, "flight-delay", "ben", by="me").erased == 21


def test_a_segment_that_nobody_finishes_stops_the_erasure_before_it_begins(tmp_path: Path) -> None:
    fill(tmp_path, Privacy())
    writing = PredictionLog(tmp_path, "delays")
    ask(writing, "open", "ann")
    before = left(tmp_path)
    with pytest.raises(UsageError, match="1 segments are still being written"):
        erase_entity(tmp_path, "delays", "ann", by="me", really=True, patience=0)
    assert left(tmp_path) == before
    assert erasures_about(tmp_path) == []
    asked = threading.Timer(0.2, writing.finish)
    asked.start()
    erase_entity(tmp_path, "delays", "ann", by="me", really=True)
    assert predictions(tmp_path, "delays").filter(entity="ann").collect().height == 0
    asked.join()
    writing.close()


def test_a_model_without_a_log_and_two_at_once_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, Privacy())
    with pytest.raises(NotFoundError, match="'dealys'"):
        erase_entity(tmp_path, "dealys", "ann", by="me")
    writing = PredictionLog(tmp_path, "delays")
    ask(writing, "open", "ann")
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            erase_entity(tmp_path, "delays", "ann", by="me", really=True)
        except BaseException as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not list(tmp_path.rglob("*.finish")):
        assert waiting.is_alive()
    with pytest.raises(ConflictError, match="another erasure"):
        erase_entity(tmp_path, "delays", "ben", by="me", really=True)
    writing.close()
    waiting.join(60)
    assert raised == []


NEAR = [9007199254740992, 9007199254740993, 1700000000000000001, 1700000000000000099]


@pytest.mark.parametrize(
    ("kind", "stored", "sent", "found"),
    [
        ("int64", NEAR, "9007199254740993", [1]),
        ("int64", NEAR, "1700000000000000001", [2]),
        ("uint8", [1, 5, 255], "5.0", [1]),
        ("uint8", [1, 5, 255], "1e400", []),
        ("int64", [0, 1], "nan", []),
        ("float64", [4.0, 5.0, None], "5", [1]),
        ("float32", [0.1, 0.2], "0.1", [0]),
        ("float64", [math.nan, 1.0], "nan", []),
        ("string", ["5", "5.0", "05"], "5", [0]),
        ("bool", [True, False, None], "True", [0]),
        ("string", ["True", "False"], "true", [0]),
        ("date", [date(2013, 8, 1), date(2013, 8, 2)], "2013-08-01T12:00:00Z", [0]),
        ("timestamp[us, UTC]", [NOON, NOON.replace(hour=11)], "2026-03-01T12:00:00", [0]),
        ("timestamp[us, UTC]", [NOON, NOON.replace(hour=11)], "2026-03-01T12:00:00+01:00", [1]),
        ("timestamp[us]", [NOON.replace(tzinfo=None), None], "2026-03-01T12:00:00Z", [0]),
        ("timestamp[us]", [NOON.replace(tzinfo=None), None], "ann", []),
        ("timestamp[us, UTC]", [NOON], "0001-01-01T00:00:00+14:00", []),
    ],
)
def test_a_value_is_found_as_what_its_column_holds_and_none_that_is_only_near(
    kind: str, stored: list[Any], sent: str, found: list[int]
) -> None:
    frame = pl.DataFrame({"features.it": pl.Series(stored, dtype=polars_type(kind))})
    assert Subject("it", sent, KEY).rows(frame).arg_true().to_list() == found


@pytest.mark.parametrize(
    ("typed", "sent", "is_found"),
    [
        (datetime(2013, 8, 1, 12, tzinfo=UTC), "2013-08-01T12:00:00Z", True),
        (datetime(2013, 8, 1, 12, tzinfo=UTC), "2013-08-01T12:00:00", True),
        (datetime(2013, 8, 1, 12), "2013-08-01T12:00:00Z", True),
        (datetime(1980, 5, 1), "1980-05-01", True),
        (date(1980, 5, 1), "1980-05-01", True),
        (True, "true", True),
        (-0.0, "0", True),
        (0.0, "-0.0", True),
        (2.0, "2", True),
        (9007199254740992, "9007199254740993", False),
        ("7", "007", False),
    ],
)
def test_a_hashed_value_is_found_as_it_was_sent(typed: Any, sent: str, *, is_found: bool) -> None:
    frame = pl.DataFrame({"features.it": [Privacy(hash=("it",), key=KEY).of_value("it", typed), None]})
    assert Subject("it", sent, KEY).rows(frame).to_list() == [is_found, False]
    clear = Subject("it", sent).rows(frame)
    assert not clear.any()


@pytest.mark.parametrize("asked", ["2013-08-01T12:00:00Z", "2013-08-01T14:00:00+02:00", "2013-08-01 12:00"])
def test_one_moment_has_one_hash_however_it_was_sent(asked: str) -> None:
    """Who asks for it in one way would leave the rows that came in another."""
    noon = datetime(2013, 8, 1, 12, tzinfo=UTC)
    sent = [noon, noon.astimezone(timezone(timedelta(hours=2))), noon.replace(tzinfo=None)]
    private = Privacy(hash=("it",), key=KEY)
    hashes = [private.of_value("it", moment) for moment in sent]
    assert len(set(hashes)) == 1
    assert Subject("it", asked, KEY).rows(pl.DataFrame({"features.it": hashes})).all()


def test_keys_are_names_and_no_numbers() -> None:
    frame = pl.DataFrame({"entity": ["17", "17.0", *(hashed(KEY, "entity", one) for one in (17, "17.0"))]})
    assert Subject("entity", "17", KEY).rows(frame).to_list() == [True, False, True, False]
    assert Subject("entity", "17.0", KEY).rows(frame).to_list() == [False, True, False, True]
