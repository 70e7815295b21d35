"""Fixtures: a prediction log whose archive is an object store, a folder, or memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from tidemill.core.clock import VirtualClock, to_us, use_clock
from tidemill.project import load_project, use_project
from tidemill.serving import predictions
from tidemill.serving.log.archive import Archive
from tidemill.serving.log.querying import log_labels
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.sealing import archive_sealed, seal
from tidemill.serving.log.writer import PredictionLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [{"name": "miles", "type": "int64"}],
}  # fmt: skip


@pytest.fixture(scope="session", name="s3_options")
def an_s3() -> Iterator[dict[str, Any]]:
    """The options of a real HTTP server that speaks S3, on a port of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    region = {"region_name": "eu-west-1"}
    yield {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}", "client_kwargs": region}
    server.stop()


@pytest.fixture(params=["s3", "file", "memory"], name="place")
def a_place(request: pytest.FixtureRequest, s3_options: dict[str, Any], tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """An address that nobody else uses, and how it is reached."""
    if request.param == "s3":
        bucket = f"logs-{uuid4().hex}"
        fsspec.filesystem("s3", **s3_options).mkdir(bucket)
        return f"s3://{bucket}/of/ours", s3_options
    return {"file": f"file://{tmp_path}/there", "memory": f"memory://{uuid4().hex}/there"}[request.param], {}


@pytest.fixture(name="root")
def a_root(tmp_path: Path, place: tuple[str, dict[str, Any]]) -> Iterator[Path]:
    """The log of a project that has that archive."""
    with use_project(load_project(project(tmp_path / "project", place))):
        yield tmp_path / "project" / "log"


def project(folder: Path, place: tuple[str, Mapping[str, Any]]) -> Path:
    """The folder of a project that names that archive."""
    folder.mkdir(exist_ok=True)
    url, options = place
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items() if isinstance(value, str)]
    lines += ['client_kwargs = { region_name = "eu-west-1" }'] if "client_kwargs" in options else []
    table = "\n".join(["[serving.storage_options]", *lines]) if options else ""
    head = f'[project]\nname = "flights"\n[serving]\nlog = "log"\narchive = "{url}"\n'
    (folder / "tidemill.toml").write_text(f"{head}{table}\n")
    return folder


def fill(root: Path, *, days: int = 3) -> None:
    """A file a day of predictions about two, one of another model, and the labels of all."""
    for day in range(days):
        log = PredictionLog(root, "delays")
        told: Any = [{"late": True}, {"late": False}]
        log.append(
            SCHEMA, f"r{day}", to_us(NOON + timedelta(days=day)), 1, [[day], [-day]], told, entities=["ann", "ben"]
        )
        log.close()
        told = [{"request_id": f"r{day}", "row": row, "label": bool(row)} for row in (0, 1)]
        with use_clock(VirtualClock(NOON + timedelta(days=day))):
            log_labels([*told, {"request_id": f"r{day}", "row": 0, "label": True}], "delays", root=root)
    other = PredictionLog(root, "a/b")
    other.append({**SCHEMA, "model": "a/b"}, "o", to_us(NOON), 1, [[1]], [{"late": True}])
    other.close()
    seal(root)


def archive(root: Path, place: tuple[str, dict[str, Any]]) -> list[str]:
    return archive_sealed(root, Archive(*place))


def everything(root: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = predictions(root, labels=True).collect().sort("model", "ts", "row")
    return rows.drop("label_at", "label_delay_s"), scan_labels(root).frame.collect().sort("request_id", "row", "label")
