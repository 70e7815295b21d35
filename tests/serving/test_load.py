"""Many clients of every protocol at once, while versions and workers change: each answer is right, and logged once."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from sample_models import flights, trained
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

import tidemill as tm
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import Predictor, load, predictions, start_server
from tidemill.serving.starting import ServerHandle

pytestmark = pytest.mark.slow

CLIENTS, ASKED = 64, 12
MODEL = "/v1/models/flight-delay"
INFER = "/v2/models/flight-delay/infer"
DTYPES = {"carrier": "BYTES", "distance": "INT64", "temp": "FP64", "heavy": "BOOL", "sched_dep": "BYTES"}
Row = dict[str, Any]


@dataclass
class Answer:
    """What a client was told: under which id, by which version, of which rows."""

    request_id: str
    version: int
    places: list[int]
    probabilities: list[float]


@dataclass
class Tally:
    """What all clients were told, together."""

    answers: list[Answer] = field(default_factory=list)
    labels: dict[str, bool] = field(default_factory=dict)
    unanswered: int = 0
    unexpected: list[Any] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, answer: Answer) -> None:
        with self.changed:
            self.answers.append(answer)
            self.changed.notify_all()

    def wait_for(self, true: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(true, timeout=120), self.unexpected[:3]


@pytest.fixture(scope="module")
def other(table: Any) -> Package:
    """Another model of the same question."""
    return tm.package(trained(seed=5), table)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Rows no two of which have the same answer, mostly."""
    found = flights(seed=9, rows=600).drop("late").drop_nulls().head(400).to_dicts()
    return [row | {"sched_dep": row["sched_dep"].isoformat()} for row in found]


@pytest.fixture
def project(tmp_path: Path, packaged: Package, other: Package) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n[serving]\nrequests = 500\n')
    with use_project(load_project(tmp_path)) as project:
        store = open_project_store(project)
        for package in (packaged, other):
            register_version(store, package)
        promote_version(store, "flight-delay@1")
        yield project


def by_rows(client: httpx.Client, rows: list[Row]) -> tuple[str, int, list[float]]:
    body = answered(client.post(f"{MODEL}/predict", json={"rows": rows}))
    return body["request_id"], body["version"], [told["probability"] for told in body["predictions"]]


def by_binary(client: httpx.Client, rows: list[Row]) -> tuple[str, int, list[float]]:
    """The Open Inference Protocol with its binary extension, written by hand."""
    inputs, parts = [], []
    for name, datatype in DTYPES.items():
        parts.append(b"".join(packed(datatype, row[name]) for row in rows))
        size = {"binary_data_size": len(parts[-1])}
        inputs.append({"name": name, "datatype": datatype, "shape": [len(rows)], "parameters": size})
    wanted = [{"name": "probability", "parameters": {"binary_data": False}}]
    head = json.dumps({"inputs": inputs, "outputs": wanted}).encode()
    length = {"inference-header-content-length": str(len(head))}
    body = answered(client.post(INFER, content=b"".join([head, *parts]), headers=length))
    return body["parameters"]["request_id"], int(body["model_version"]), body["outputs"][0]["data"]


def by_file(client: httpx.Client, rows: list[Row]) -> tuple[str, int, list[float]]:
    content = "\n".join(map(json.dumps, rows)).encode()
    response = client.post(f"{MODEL}/batch", content=content, headers={"content-type": "application/x-ndjson"})
    answered(response, as_json=False)
    told = [json.loads(line) for line in response.text.splitlines()]
    (request_id,) = {one["request_id"] for one in told}
    return request_id, int(response.headers["tidemill-version"]), [one["probability"] for one in told]


def by_grpc(client: Any, rows: list[Row]) -> tuple[str, int, list[float]]:
    tensors = []
    for name, datatype in DTYPES.items():
        values = [row[name].encode() if datatype == "BYTES" else row[name] for row in rows]
        tensors.append(triton.InferInput(name, [len(rows)], datatype))
        kind = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_}[datatype]
        tensors[-1].set_data_from_numpy(np.array(values, dtype=kind))
    answer = client.infer("flight-delay", tensors)
    response = answer.get_response()
    request_id = response.parameters["request_id"].string_param
    return request_id, int(response.model_version), answer.as_numpy("probability").tolist()


def packed(datatype: str, value: Any) -> bytes:
    if datatype == "BYTES":
        return struct.pack("<I", len(value.encode())) + value.encode()
    return struct.pack({"INT64": "<q", "FP64": "<d", "BOOL": "?"}[datatype], value)


class Refused(Exception):
    """An answer that says to come again."""


def answered(response: httpx.Response, *, as_json: bool = True) -> Any:
    """The body of an answer; a refusal must say when to come again."""
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
        raise Refused(response.status_code)
    assert response.status_code == 200, (response.status_code, response.text[:300])
    return response.json() if as_json else None


#: The ways to ask, how many rows each client of a kind sends, and whether its connection is gRPC's.
KINDS = ((by_rows, 1), (by_rows, 3), (by_binary, 2), (by_file, 20), (by_grpc, 2), (by_rows, 1), (by_binary, 1))


def ask(number: int, server: ServerHandle, rows: list[Row], tally: Tally) -> None:
    """Ask about one part of the rows after another; whoever was not answered asks again, over another connection."""
    how, many = KINDS[number % len(KINDS)]
    left = [[(number * 7 + turn * 31 + one) % len(rows) for one in range(many)] for turn in range(ASKED)]
    while left:
        try:
            with (
                triton.InferenceServerClient(server.grpc)
                if how is by_grpc
                else httpx.Client(base_url=server.url, timeout=60) as client
            ):
                while left:
                    request_id, version, told = how(client, [rows[place] for place in left[0]])
                    tally.add(Answer(request_id, version, left.pop(0), told))
                    if how is by_rows and many == 1:
                        label(client, request_id, tally)
        except (httpx.TransportError, InferenceServerException) as error:
            if isinstance(error, InferenceServerException) and error.status() not in GONE:
                tally.unexpected.append(error)
                return
            with tally.changed:
                tally.unanswered += 1
        except Refused:
            with tally.changed:
                tally.refused[number] += 1
                tally.changed.notify_all()
        except Exception as error:
            tally.unexpected.append(error)
            return


#: What gRPC says of a connection that broke, and of a server that has enough to do.
GONE = ("StatusCode.UNAVAILABLE", "StatusCode.RESOURCE_EXHAUSTED")


def label(client: httpx.Client, request_id: str, tally: Tally) -> None:
    truth = len(tally.labels) % 2 == 0
    given = {"labels": [{"request_id": request_id, "label": truth}]}
    assert answered(client.post("/v1/labels", json=given)) == {"accepted": 1}
    tally.labels[request_id] = truth


def started(server: ServerHandle, rows: list[Row], tally: Tally, clients: int = CLIENTS) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=ask, args=(number, server, rows, tally), daemon=True) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: list[threading.Thread], tally: Tally) -> None:
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    assert tally.unexpected == []


def expected_of(predictor: Predictor, rows: list[Row]) -> list[float]:
    return [predictor.predict(row)["probability"] for row in rows]


def check(tally: Tally, expected: dict[int, list[float]], root: Path) -> None:
    """Every answer is that of its own rows by the version that it names, and is in the log once."""
    for answer in tally.answers:
        own = [expected[answer.version][place] for place in answer.places]
        assert answer.probabilities == pytest.approx(own, abs=1e-7), answer
    logged = predictions(root, labels=True).collect()
    rows_by_id = Counter(logged["request_id"])
    answers_by_id = {answer.request_id: answer for answer in tally.answers}
    assert len(answers_by_id) == len(tally.answers)
    assert {name: rows_by_id[name] for name in answers_by_id} == {n: len(a.places) for n, a in answers_by_id.items()}
    assert len(set(rows_by_id) - set(answers_by_id)) <= tally.unanswered  # logged, and lost with the worker
    of_request = logged.partition_by("request_id", as_dict=True)
    for name, answer in answers_by_id.items():
        found = of_request[(name,)].sort("row")
        assert set(found["version"]) == {answer.version}
        assert found["probability"].to_list() == answer.probabilities
    held = dict(zip(logged["request_id"], logged["label"], strict=True))
    assert {name: held.get(name) for name in tally.labels} == {n: str(v).lower() for n, v in tally.labels.items()}


def test_answers_are_right_and_logged_once_while_a_version_takes_over_and_a_worker_is_killed(
    project: Project, rows: list[Row]
) -> None:
    tally = Tally()
    expected = {number: expected_of(load(f"flight-delay@{number}"), rows) for number in (1, 2)}
    with start_server("flight-delay@champion", project=project.root, workers=2, grpc_port=0, timeout=60) as server:
        threads = started(server, rows, tally)
        tally.wait_for(lambda: len(tally.answers) > 100)
        promote_version(open_project_store(project), "flight-delay@2")
        tally.wait_for(lambda: len(tally.answers) > 250)
        children = psutil.Process(server.process.pid).children()
        os.kill(next(one.pid for one in children if "--worker" in one.cmdline()), signal.SIGKILL)
        joined(threads, tally)
        assert len(tally.answers) == CLIENTS * ASKED
        with httpx.Client(base_url=server.url) as client:
            while tally.answers[-1].version != 2:
                request_id, version, told = by_rows(client, rows[:1])
                tally.add(Answer(request_id, version, [0], told))
    assert 1 in {answer.version for answer in tally.answers}
    assert len(tally.labels) > 100
    check(tally, expected, project.hidden / "predictions")


def test_a_server_with_enough_to_do_says_so_and_answers_all_of_them_later(project: Project, rows: list[Row]) -> None:
    tally, clients = Tally(), 14
    (project.root / "tidemill.toml").write_text('[project]\nname = "flights"\n[serving]\nrequests = 2\ntimeout = 60\n')
    expected = {1: expected_of(load("flight-delay@1"), rows)}
    with start_server("flight-delay@champion", project=project.root, grpc_port=0, timeout=60) as server:
        host, port = server.url.removeprefix("http://").split(":")
        waiting = [socket.create_connection((host, int(port)), timeout=60) for _ in range(2)]
        head = f"POST {MODEL}/predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode()
        for connection in waiting:  # both places are taken: the bodies are waited for
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        threads = started(server, rows, tally, clients)
        over_rest = [number for number in range(clients) if KINDS[number % len(KINDS)][0] is not by_grpc]
        tally.wait_for(lambda: all(tally.refused[number] for number in over_rest))
        for connection in waiting:
            connection.close()
        joined(threads, tally)
    assert len(tally.answers) == clients * ASKED
    check(tally, expected, project.hidden / "predictions")
