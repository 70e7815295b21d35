"""What is private never reaches the disk; what was promised to go goes; what was acknowledged stays, come what may."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from lightgbm import LGBMClassifier

import tidemill as tm
from tidemill.core.clock import VirtualClock, to_us, use_clock
from tidemill.core.errors import ConfigError, RunError, shorten
from tidemill.packaging.package import Package
from tidemill.project import load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import predictions, start_server
from tidemill.serving.log.privacy import OPEN, WITHHELD, Privacy, hashed
from tidemill.serving.log.querying import log_labels
from tidemill.serving.log.reading import scan_labels, scan_log
from tidemill.serving.log.sealer import Sealer
from tidemill.serving.log.sealing import expire, seal
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions, server_options
from tidemill.serving.plans import EndpointPlan, plan_endpoints, plan_privacy
from tidemill.serving.repository import Repository
from tidemill.serving.rest.repository_api import load_model
from tidemill.serving.rest.wire import Refusal
from tidemill.serving.starting import ServerHandle
from tidemill.store import Store

PREDICT, LABELS = "/v1/models/flight-delay/predict", "/v1/labels"
KEY = "the key of the hashes"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [{"name": "tail", "type": "int64"}, {"name": "note", "type": "string"}],
}  # fmt: skip
PRIVATE = f"""
[project]
name = "flights"
[serving]
hash_key = "{KEY}"
[endpoints.flight-delay]
hash = ["carrier", "entity", "client"]
redact = ["temp"]
"""


@pytest.fixture
def folder(packaged: Package, tmp_path: Path) -> Path:
    return packaged.write(tmp_path / "model")


def started(folder: Path, written: str, **options: Any) -> ServerHandle:
    (folder.parent / "tidemill.toml").write_text(written)
    return start_server(folders=[folder], project=folder.parent, log=folder.parent / "log", timeout=60, **options)


def on_disk(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_private_values_never_reach_the_disk(folder: Path, packaged: Package) -> None:
    row = dict(packaged.manifest["example"])
    with started(folder, PRIVATE) as server:
        sent = [
            {**row, "carrier": "SECRET-CARRIER", "temp": 987654.25},  # both are told in warnings
            {**row, "carrier": ["SECRET-LIST"]},
            {**row, "carrir": "SECRET-MISSPELT"},
            "SECRET-ROW",
            {**row, "temp": "SECRET-TEMP"},
            {**row, "distance": "not private"},
            {**row, "distance": "not private", "temp": "SECRET-TEMP", "tmp": "SECRET-MISSPELT"},
        ]
        entities = ["SECRET-ENTITY", None, 5, "", "e", "f", "g"]
        told = httpx.post(server.url + PREDICT, json={"rows": sent, "entities": entities}).json()
        warned = " ".join(told["predictions"][0]["warnings"])
        assert "SECRET-CARRIER" in warned
        assert "987654" in warned  # the caller is told
        label = {"entity": "SECRET-ENTITY", "label": True}
        assert httpx.post(server.url + LABELS, json={"labels": [label]}).json() == {"accepted": 1}
        found = on_disk(folder.parent / "log")
    assert b"carrier" in found
    for secret in (b"SECRET", b"987654", b"127.0.0.1"):
        assert secret not in found
    seal(folder.parent / "log")
    frame = predictions(folder.parent / "log", labels=True).collect().sort("row")
    assert frame["features.carrier"][0] == hashed(KEY, "carrier", "SECRET-CARRIER")
    assert frame["features.temp"].null_count() == 7
    assert frame["entity"][0] == hashed(KEY, "entity", "SECRET-ENTITY")
    assert frame["label"].to_list() == ["true", *[None] * 6]
    assert frame["error"][5] == "column 'distance' takes a whole number"
    assert frame["error"][6] == f"column 'distance' takes a whole number; {WITHHELD}; {WITHHELD}"
    assert frame["status"].to_list() == ["answered", *["refused"] * 6]
    for file in (folder.parent / "log").rglob("*.parquet"):
        assert "SECRET" not in str(pl.read_parquet(file).rows())


def test_a_name_that_would_keep_nothing_private_is_refused(folder: Path) -> None:
    with pytest.raises(RunError, match=r"'carier'.*Did you mean 'carrier'"):
        started(folder, PRIVATE.replace('"carrier"', '"carier"'))
    with pytest.raises(RunError, match="hashes need a key"):
        started(folder, PRIVATE.replace(f'hash_key = "{KEY}"', ""))


def test_inputs_that_look_personal_and_are_not_private_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reply = [f"{name}@mill.org" for name in ("ann", "ben", "cleo")] * 60
    table = pl.DataFrame({"reply_to": reply, "firstName": ["a", "b", "c"] * 60, "queue": range(180)})
    table = table.with_columns(late=pl.col("queue") % 3 == 0)
    data = tm.split(table, tm.by_share(), "late")
    model = tm.train(lambda params: LGBMClassifier(n_jobs=1, verbose=-1), {}, data, name="orders")
    folder = tm.package(model, data.test).write(tmp_path / "model")
    options = ServerOptions(log=str(tmp_path / "log"))
    told = []
    for privacy in (Privacy(), Privacy(redact=("firstName",)), Privacy(hash=("reply_to", "firstName"), key=KEY)):
        repository = Repository([EndpointPlan("", folder=folder)], options, privacy={"orders": privacy})
        repository.open()
        repository.close()
        told.append(caplog.text)
        caplog.clear()
    assert "'reply_to' as it is, which looks personal (it holds e-mail addresses)" in told[0]
    assert "'firstName' as it is, which looks personal (its name says 'first name')" in told[0]
    assert "hash or redact of [endpoints.orders]" in told[0]
    assert "queue" not in told[0]
    assert ("'reply_to'" in told[1], "'firstName'" in told[1], told[2]) == (True, False, "")


def orders(store: Store, reply_to: str, times: int = 60) -> None:
    """Register a version that takes the address of a customer by this name, and promote it."""
    reply = [f"{name}@mill.org" for name in ("ann", "ben", "cleo")] * times
    table = pl.DataFrame({reply_to: reply, "queue": range(3 * times)}).with_columns(late=pl.col("queue") % 3 == 0)
    data = tm.split(table, tm.by_share(), "late")
    model = tm.train(lambda params: LGBMClassifier(n_jobs=1, verbose=-1), {}, data, name="orders", baselines=False)
    promote_version(store, f"orders@{register_version(store, tm.package(model, data.test)).version}")


def test_a_version_that_calls_a_private_column_otherwise_does_not_take_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its values would be in the log in the clear, until a restart refused it."""
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "x"\n')
    with use_project(load_project(tmp_path)) as project:
        store, plans = open_project_store(project), plan_endpoints(["orders"], (), project)
        orders(store, "reply_to")
        private, clear = (
            Repository(plans, ServerOptions(log=str(tmp_path / name)), store, privacy={"orders": privacy})
            for name, privacy in (("private", Privacy(redact=("reply_to",))), ("clear", OPEN))
        )
        private.open()
        clear.open()
        orders(store, "answer_to")
        caplog.clear()
        private.follow()
        assert "orders@champion cannot be opened, version 1 stays" in caplog.text
        assert "keeps a column private that the model does not take: 'reply_to'" in caplog.text
        (one,) = private.index()[0]["variants"]
        assert (one["version"], one["reason"]) == (1, "ConfigError: the log of the server says more")
        with pytest.raises(Refusal) as refused:
            asyncio.run(load_model(private, "orders"))
        assert refused.value.status == 409
        private.endpoints["orders"].answer([{"reply_to": "ann@mill.org", "queue": 1}])
        orders(store, "reply_to", 70)
        private.follow()
        assert private.endpoints["orders"].predictor.version == 3
        private.close()
        assert b"ann@mill.org" not in on_disk(tmp_path / "private")
        caplog.clear()
        clear.follow()
        assert "'reply_to' as it is, which looks personal (it holds e-mail addresses)" in caplog.text
        clear.close()


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('hash = "carrier"', "no list of columns"),
        ("redact = [1]", "no list of columns"),
        ('hash = ["a"]\nredact = ["a"]', "hashed or left out, not both"),
        ("sample = 0", "is no share"),
        ("sample = 1.5", "is no share"),
        ('sample = "half"', "is no share"),
        ('retention = "a while"', "is no duration"),
        ('retention = "0d"', "is no duration"),
        ("retention = 90", "is no duration"),
        ('retenton = "90d"', "Did you mean 'retention'"),
    ],
)
def test_a_setting_of_the_log_that_cannot_be_is_refused(tmp_path: Path, written: str, complaint: str) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "x"\n[endpoints.delays]\n{written}\n')
    project = load_project(tmp_path)
    with pytest.raises(ConfigError, match=complaint):
        plan_privacy(project, KEY)


def test_settings_of_the_log_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_KEY", KEY)
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "x"\n[serving]\nhash_key = "${env:HASH_KEY}"\n'
        '[endpoints.delays]\nhash = ["tail"]\nsample = 0.1\nretention = "2w"\n[endpoints.other]\n'
    )
    project = load_project(tmp_path)
    found = plan_privacy(project, server_options(project).hash_key)
    assert found == {"delays": Privacy(("tail",), (), KEY, 0.1, 14.0), "other": Privacy()}


def log_one(log: PredictionLog, request: str, tail: int = 1, *, error: bool = False, at: datetime = NOON) -> None:
    told = {"error": {"column": "note", "error": "column 'note' takes text"}} if error else {"late": True}
    log.append(SCHEMA, request, to_us(at), 1, [None if error else [tail, "x"]], [told])


def test_a_log_can_be_read_that_was_made_private_later(tmp_path: Path) -> None:
    for privacy in (Privacy(), Privacy(hash=("tail",), redact=("note",), key=KEY)):
        log = PredictionLog(tmp_path, "delays", privacy=privacy)
        log_one(log, f"r{len(privacy.names)}", tail=7)
        log.close()
    for _ in range(2):
        frame = predictions(tmp_path).collect().sort("request_id")
        assert frame["features.tail"].to_list() == ["7", hashed(KEY, "tail", 7)]
        assert frame["features.note"].to_list() == ["x", None]
        seal(tmp_path)


ODD = "ann\tof \\ the\xa0mill\n'\"" + "  (two)"


@pytest.mark.parametrize("name", ["tail", "full\xa0name", "full\tname", "full\nname", "full\\name", "a'b\"c"])
def test_a_private_name_or_value_is_found_in_a_sentence_that_escapes_it(tmp_path: Path, name: str) -> None:
    schema = {**SCHEMA, "columns": [{"name": name, "type": "string"}, {"name": "note", "type": "string"}]}
    log = PredictionLog(tmp_path, "delays", privacy=Privacy(redact=(name,)))
    said = [
        f"column {name!r} is odd", f"{name} is odd", f"'note' is {shorten(ODD)}", f"'note' is {ODD}", "fine",
    ]  # fmt: skip
    error = {"column": "note", "value": "x", "error": f"column 'note' takes text; did you mean {name!r}?"}
    log.append(schema, "r", to_us(NOON), 1, [[ODD, "x"], None], [{"late": True, "warnings": said}, {"error": error}])
    log.close()
    frame = predictions(tmp_path).collect()
    assert frame["warnings"][0].to_list() == [*[WITHHELD] * 4, "fine"]
    assert frame["error"][1] == WITHHELD


def test_a_sample_can_be_scaled_up_and_has_every_error(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays", privacy=Privacy(sample=0.1))
    for number in range(2000):
        log_one(log, f"request {number}")
    for number in range(50):
        log_one(log, f"error {number}", error=True)
    log.close()
    frame = predictions(tmp_path).collect()
    counts = frame.group_by("status").agg((1 / pl.col("sample")).sum().alias("scaled"), pl.len())
    scaled = {status: (total, rows) for status, total, rows in counts.rows()}
    assert scaled["refused"] == (50, 50)
    assert 1600 < scaled["answered"][0] < 2400
    assert 160 < scaled["answered"][1] < 240
    kept = [Privacy(sample=0.1).keeps(f"request {number}") for number in range(2000)]
    assert sum(kept) == scaled["answered"][1]


def test_days_that_are_over_are_deleted_once_they_are_sealed(tmp_path: Path) -> None:
    open_log = PredictionLog(tmp_path, "delays")
    for days in (0, 1, 2):
        log = PredictionLog(tmp_path, "delays")
        log_one(log, f"r{days}", at=NOON + timedelta(days=days))
        log.close()
        with use_clock(VirtualClock(NOON + timedelta(days=days))):
            log_labels([{"request_id": f"r{days}", "label": 1}], "delays", root=tmp_path)
    log_one(open_log, "open")
    seal(tmp_path)
    with use_clock(VirtualClock(NOON + timedelta(days=2, hours=11))):
        assert expire(tmp_path, {"delays": 2.0}) == []
    with use_clock(VirtualClock(NOON + timedelta(days=2, hours=13))):
        gone = expire(tmp_path, {"delays": 1.5, "another": 0.5})
    assert [path.split("/")[-2] for path in gone] == ["day=2026-03-01"] * 2  # of the predictions and of the labels
    assert sorted(predictions(tmp_path).collect()["request_id"]) == ["open", "r1", "r2"]
    assert sorted(scan_labels(tmp_path).frame.collect()["request_id"]) == ["r1", "r2"]
    open_log.close()


def test_a_server_deletes_what_is_over(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    log_one(log, "old")
    log_one(log, "new", at=datetime.now(UTC))
    log.close()
    (over,) = (path for path in seal(tmp_path) if path.parent.name == "day=2026-03-01")
    with Sealer(tmp_path, every=0.05, retention={"delays": 1.0}):
        until(lambda: not over.exists())
    assert predictions(tmp_path).collect()["request_id"].to_list() == ["new"]


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_kill_9_under_load_loses_no_label_that_was_acknowledged(folder: Path, packaged: Package) -> None:
    row = dict(packaged.manifest["example"])
    acknowledged: list[str] = []
    enough = threading.Event()

    def ask(server: ServerHandle) -> None:
        with httpx.Client(base_url=server.url) as client:
            try:
                while True:
                    request = client.post(PREDICT, json={"rows": [row]}).json()["request_id"]
                    label = {"request_id": request, "label": True}
                    if client.post(LABELS, json={"labels": [label, label]}).status_code == 200:
                        acknowledged.append(request)
                    if len(acknowledged) >= 100:
                        enough.set()
            except (httpx.HTTPError, json.JSONDecodeError):
                return

    with started(folder, PRIVATE) as server:
        clients = [threading.Thread(target=ask, args=(server,), daemon=True) for _ in range(4)]
        for client in clients:
            client.start()
        assert enough.wait(120)
        server.kill()
        for client in clients:
            client.join(30)
    root = folder.parent / "log"
    assert seal(root)
    assert not list(root.rglob("*.log"))
    frame = predictions(root, "flight-delay", labels=True).collect()
    labelled = set(frame.filter(label="true")["request_id"])
    assert set(acknowledged) <= labelled
    assert len(labelled) <= len(acknowledged) + len(clients)


@pytest.mark.parametrize("policy", ["refuse", "serve"])
def test_a_full_disk_is_met_as_the_settings_say(folder: Path, packaged: Package, policy: str) -> None:
    body = {"rows": [packaged.manifest["example"]]}
    label = {"labels": [{"request_id": "one", "label": True}]}
    settings = f'[project]\nname = "flights"\n[serving]\nwhen_log_fails = "{policy}"\n'
    most = resource.RLIM_INFINITY
    with started(folder, settings) as server, httpx.Client(base_url=server.url) as client:
        first = client.post(PREDICT, json=body).json()["request_id"]
        assert client.post(LABELS, json=label).status_code == 200
        size = max(path.stat().st_size for path in (folder.parent / "log").rglob("*.log"))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 10, most))  # the next record does not fit
        full = [client.post(PREDICT, json=body).status_code for _ in range(3)]
        assert full == [503 if policy == "refuse" else 200] * 3
        many = [{"request_id": "two" * 300, "label": True}] * 10
        assert client.post(LABELS, json={"labels": many}).status_code == 503
        metrics = client.get("/metrics").text
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
        last = client.post(PREDICT, json=body).json()["request_id"]
        assert client.post(LABELS, json=label).status_code == 200
    assert 'model_predictions_unlogged_total{model="flight-delay",variant="",version=""} 3.0' in metrics
    scan = scan_log(folder.parent / "log")
    assert scan.torn == 0
    assert scan.frame.collect()["request_id"].to_list() == [first, last]
    assert scan_labels(folder.parent / "log").frame.collect()["request_id"].to_list() == ["one", "one"]


def test_a_segment_that_could_not_be_begun_takes_no_records_with_it(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, before[1]))
    try:
        with pytest.raises(Exception, match="cannot be written"):
            log_one(log, "does not fit")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log_one(log, "fits")
    log.close()
    assert predictions(tmp_path).collect()["request_id"].to_list() == ["fits"]


def test_labels_over_http_are_all_taken_or_none(folder: Path) -> None:
    with started(folder, PRIVATE) as server, httpx.Client(base_url=server.url) as client:
        good = {"request_id": "one", "label": True}
        bad = client.post(LABELS, json={"labels": [good, {"request_id": "two"}]})
        assert (bad.status_code, bad.json()["error"]["message"][:27]) == (400, "label 1: there is no label.")
        assert client.post(LABELS, json={"labels": []}).status_code == 400
        assert client.post(LABELS, json={"labels": [good], "model": "nobody"}).status_code == 404
        assert client.post(LABELS, content=b"{").status_code == 400
        assert client.get(LABELS).status_code == 405
        assert client.post(LABELS, json={"labels": [good] * 2000}).json() == {"accepted": 2000}
    assert scan_labels(folder.parent / "log", "flight-delay").frame.collect().height == 2000
    assert [path.name for path in (folder.parent / "log" / "labels").iterdir()] == ["model=flight-delay"]
