"""When it goes wrong, every protocol says the same of the same trouble, in its own words, and the next request is met.

What the faces share is asked over plain JSON rows, over the Open Inference Protocol's REST, and over its gRPC.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from sample_models import trained
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

import tidemill as tm
from tidemill.core.errors import OutOfSpaceError, StoreUnavailableError
from tidemill.packaging.package import Package
from tidemill.project import load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import predictions, start_server
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.faces import Server
from tidemill.serving.grpc.messages import SERVICE
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.online import OnlineViews
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.sockets import listen
from tidemill.serving.variants import Traffic, variant_of

FACES = ("rows", "tensors", "grpc")
DTYPES = {"carrier": "BYTES", "distance": "INT64", "temp": "FP64", "heavy": "BOOL", "sched_dep": "BYTES"}
NUMPY = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_}
#: What each protocol calls it: answered; refused; the model failed; not now.
CODES = {
    "answered": {"rows": 200, "tensors": 200, "grpc": "OK"},
    "refused": {"rows": 422, "tensors": 400, "grpc": "INVALID_ARGUMENT"},
    "failed": {"rows": 500, "tensors": 500, "grpc": "INTERNAL"},
    "not now": {"rows": 503, "tensors": 503, "grpc": "UNAVAILABLE"},
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    url: str
    grpc: str


@contextmanager
def running(endpoint: Endpoint, log: Path, **options: Any) -> Iterator[Address]:
    """A server of an endpoint in a thread of this process, so that a test can break what is behind it."""
    chosen = ServerOptions(port=0, grpc_port=0, log=str(log), **options)
    listening, lines = listen("127.0.0.1", 0), SimpleQueue[str]()
    server = Server(App(Repository.of(endpoint), chosen), chosen, lines.put)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    line = lines.get(timeout=60)
    yield Address(f"http://127.0.0.1:{listening.getsockname()[1]}", line.rpartition("grpc://")[2])
    server.should_exit = True
    thread.join(60)
    listening.close()
    assert not thread.is_alive()


@pytest.fixture
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3)


@pytest.fixture
def endpoint(predictor: Predictor, tmp_path: Path) -> Endpoint:
    return Endpoint.of(predictor, PredictionLog(tmp_path / "log", "flight-delay"))


@pytest.fixture
def row(predictor: Predictor) -> Row:
    return predictor.example() | {"temp": 21.5}


def ask(face: str, address: Address, rows: Sequence[Row], dtypes: dict[str, str] | None = None) -> tuple[Any, str]:
    """The code of an answer and what it says; a column of no rows' is not sent."""
    kinds = DTYPES | (dtypes or {})
    if face == "rows":
        response = httpx.post(f"{address.url}/v1/models/flight-delay/predict", json={"rows": rows}, timeout=60)
        return response.status_code, response.text
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if face == "tensors":
        inputs = [
            {"name": name, "datatype": kinds.get(name, "INT64"), "shape": [len(rows)], "data": values}
            for name, values in columns.items()
        ]
        response = httpx.post(f"{address.url}/v2/models/flight-delay/infer", json={"inputs": inputs}, timeout=60)
        return response.status_code, response.text
    tensors = []
    for name, values in columns.items():
        kind = kinds.get(name, "INT64")
        tensors.append(triton.InferInput(name, [len(rows)], kind))
        told = [str(value).encode() for value in values] if kind == "BYTES" else values
        tensors[-1].set_data_from_numpy(np.array(told, dtype=NUMPY[kind]))
    with triton.InferenceServerClient(address.grpc) as client:
        try:
            return "OK", json.dumps(client.infer("flight-delay", tensors).as_numpy("probability").tolist())
        except InferenceServerException as error:
            return str(error.status()).removeprefix("StatusCode."), str(error.message())


def is_answered(face: str, address: Address, row: Row) -> bool:
    return ask(face, address, [row])[0] == CODES["answered"][face]


@pytest.mark.parametrize("face", FACES)
def test_a_row_that_is_none_is_refused_with_the_column_and_what_it_takes(
    endpoint: Endpoint, row: Row, tmp_path: Path, face: str
) -> None:
    without = {name: value for name, value in row.items() if name != "distance"}
    bad: list[tuple[Row, dict[str, str], str]] = [
        (row | {"distance": "far"}, {"distance": "BYTES"}, "'distance' takes a whole number"),
        (row | {"distance": 1.5}, {"distance": "FP64"}, "'distance' takes a whole number"),
        (row | {"sched_dep": "yesterday"}, {}, "'sched_dep'"),
        (without, {}, "'distance'"),
        (row | {"colour": 7}, {}, "'colour'"),
    ]
    with running(endpoint, tmp_path / "log") as address:
        for one, dtypes, said in bad:
            code, text = ask(face, address, [one], dtypes)
            assert code == CODES["refused"][face], text
            assert said in text
            assert is_answered(face, address, row)


def test_nan_is_a_missing_value_where_it_can_be_sent_and_no_json(
    endpoint: Endpoint, predictor: Predictor, row: Row, tmp_path: Path
) -> None:
    with running(endpoint, tmp_path / "log") as address:
        for path in ("/v1/models/flight-delay/predict", "/v2/models/flight-delay/infer"):
            body = json.dumps({"rows": [row | {"temp": float("nan")}]})  # which Python writes and JSON has no word for
            refused = httpx.post(address.url + path, content=body)
            assert refused.status_code == 400
            assert "JSON" in refused.text
        missing = row | {"temp": float("nan")}
        assert json.loads(ask("grpc", address, [missing])[1]) == [
            predictor.predict(row | {"temp": None})["probability"]
        ]
        code, text = ask("grpc", address, [row | {"distance": float("nan")}], {"distance": "FP64"})
        assert code == "INVALID_ARGUMENT"
        assert "'distance'" in text


def test_bytes_that_are_no_message_are_refused_and_the_connection_goes_on(
    endpoint: Endpoint, row: Row, tmp_path: Path
) -> None:
    with (
        running(endpoint, tmp_path / "log", body_limit=1 << 20) as address,
        grpc.insecure_channel(address.grpc) as line,
    ):
        infer = line.unary_unary(f"/{SERVICE}/ModelInfer", request_serializer=bytes, response_deserializer=bytes)
        for garbage, code in (
            (b"\xff\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (b"", grpc.StatusCode.NOT_FOUND),  # an empty message names no model
            (b"\x00" * 100_000_000, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(grpc.RpcError) as error:
                infer(garbage)
            assert error.value.code() == code, error.value
        for path in ("/v1/models/flight-delay/predict", "/v2/models/flight-delay/infer", "/v1/labels"):
            with httpx.Client(base_url=address.url) as client:
                assert client.post(path, content=b'{"rows": [').status_code == 400
                try:
                    assert client.post(path, content=b" " * 100_000_000).status_code == 413
                except httpx.WriteError:  # it closed the connection before all was sent
                    pass
        for face in FACES:
            assert is_answered(face, address, row)


def breaking(predictor: Predictor) -> None:
    """Have the model fail on rows of 666 miles."""
    engine = predictor._engines["onnx"]

    def failing(matrix: Any) -> Any:
        if (matrix[:, 1] == 666).any():
            raise RuntimeError("boom")
        return engine(matrix)

    predictor._engines["onnx"] = failing


def test_a_model_that_fails_on_one_row_answers_the_others_where_the_protocol_can_say_so(
    endpoint: Endpoint, predictor: Predictor, row: Row, tmp_path: Path
) -> None:
    breaking(predictor)
    rows = [row, row | {"distance": 666}, row]
    with running(endpoint, tmp_path / "log") as address:
        code, text = ask("rows", address, rows)
        assert code == 200
        assert ["late" in one for one in json.loads(text)["predictions"]] == [True, False, True]
        content = "\n".join(map(json.dumps, rows))
        kind = {"content-type": "application/x-ndjson"}
        file = httpx.post(f"{address.url}/v1/models/flight-delay/batch", content=content, headers=kind)
        assert (file.status_code, file.headers["tidemill-refused"]) == (200, "1")
        for face in ("tensors", "grpc"):  # which have no place for the error of a row: all or none
            code, text = ask(face, address, rows)
            assert code == CODES["failed"][face]
            assert "boom" in text
        for face in FACES:
            assert ask(face, address, [rows[1]])[0] == CODES["failed"][face]
            assert is_answered(face, address, row)
    logged = predictions(tmp_path / "log").collect()
    assert logged.filter(status="failed")["row"].to_list() == [1, 1, 1, 1, 0, 0, 0]
    assert logged.filter(status="answered").height == 2 * 4 + 3


class Away:
    """An online store that does not answer."""

    def read(self, view: str, keys: Sequence[tuple[Any, ...]]) -> Any:
        raise StoreUnavailableError(f"the online store does not answer for {view}", value=len(keys))


def test_while_the_online_store_is_down_rows_that_need_it_are_refused_and_others_answered(
    packaged: Package, predictor: Predictor, row: Row, tmp_path: Path
) -> None:
    views = OnlineViews(Away(), {"weather": ("tailnum",)}, {"weather": ("temp",)}, frozenset(predictor.columns))
    endpoint = Endpoint.of(Predictor(packaged, features=views), PredictionLog(tmp_path / "log", "flight-delay"))
    needy = {name: value for name, value in row.items() if name != "temp"} | {"tailnum": "N14228"}
    with running(endpoint, tmp_path / "log") as address:
        for face in FACES:
            code, text = ask(face, address, [needy], {"tailnum": "BYTES"})
            assert code == CODES["not now"][face]
            assert "does not answer" in text
        for face in FACES:
            assert is_answered(face, address, row)
        retry = httpx.post(f"{address.url}/v1/models/flight-delay/predict", json={"rows": [needy]})
        assert retry.headers["retry-after"] == "1"
    assert predictions(tmp_path / "log").collect().height == 3


@pytest.mark.parametrize("refuse", [True, False], ids=["refuse", "serve"])
def test_what_cannot_be_logged_is_refused_or_served_and_counted(
    predictor: Predictor, row: Row, tmp_path: Path, caplog: pytest.LogCaptureFixture, refuse: bool
) -> None:
    log = PredictionLog(tmp_path / "log", "flight-delay")
    endpoint = Endpoint("flight-delay", Traffic((variant_of(predictor),)), log, refuse_unlogged=refuse)
    append = log.append

    def full(*_: Any, **__: Any) -> None:
        raise OutOfSpaceError("the prediction log cannot be written")

    with running(endpoint, tmp_path / "log") as address:
        before = unlogged(address)
        log.append = full  # type: ignore[method-assign]
        for face in FACES:
            code, text = ask(face, address, [row])
            assert code == CODES["not now" if refuse else "answered"][face]
            assert ("probability" in text or text.startswith("[0.")) != refuse
        assert unlogged(address) == before + len(FACES)
        said = [record.getMessage() for record in caplog.records if "cannot be written" in record.getMessage()]
        became = "refused" if refuse else "given, and counted, without their record"
        assert said == [f"answers of flight-delay are {became}: the prediction log cannot be written."]
        log.append = append  # type: ignore[method-assign]
        for face in FACES:
            assert is_answered(face, address, row)
    assert predictions(tmp_path / "log").collect().height == len(FACES)


def unlogged(address: Address) -> float:
    """Of every endpoint of this process: other tests have some too."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in httpx.get(f"{address.url}/metrics").text.splitlines()
        if line.startswith("model_predictions_unlogged_total{")
    )


def test_a_queue_that_is_full_says_so_and_takes_calls_again(endpoint: Endpoint, row: Row, tmp_path: Path) -> None:
    with (
        running(endpoint, tmp_path / "log", requests=2) as address,
        grpc.insecure_channel(address.grpc) as channel,
    ):
        asked, until = channel.stream_unary(f"/{SERVICE}/ModelInfer", response_deserializer=bytes), threading.Event()

        def nothing_yet() -> Iterator[bytes]:
            until.wait(60)
            yield from ()

        waiting = [asked.future(nothing_yet()) for _ in range(2)]
        assert_soon(lambda: ask("grpc", address, [row])[0] == "RESOURCE_EXHAUSTED")
        for face in ("rows", "tensors"):  # which are counted apart
            assert is_answered(face, address, row)
        for call in waiting:
            call.cancel()
        until.set()
        assert_soon(lambda: is_answered("grpc", address, row))


def test_a_client_that_hangs_up_in_the_middle_costs_nobody_else_an_answer(
    endpoint: Endpoint, row: Row, tmp_path: Path
) -> None:
    with running(endpoint, tmp_path / "log") as address:
        for one in (address.url.removeprefix("http://"), address.grpc):
            host, port = one.split(":")
            for start in (b"POST /v1/models/flight-delay/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
                          b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""):  # fmt: skip
                with socket.create_connection((host, int(port)), timeout=60) as connection:
                    connection.sendall(start)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        with grpc.insecure_channel(address.grpc) as channel:
            call = channel.stream_unary(f"/{SERVICE}/ModelInfer", response_deserializer=bytes)
            for _ in range(20):
                call.future(iter([])).cancel()
        for face in FACES:
            assert is_answered(face, address, row)
    assert predictions(tmp_path / "log").collect()["status"].to_list() == ["answered"] * 3


def test_silent_connections_to_grpc_leave_others_answered_and_are_closed(
    endpoint: Endpoint, row: Row, tmp_path: Path
) -> None:
    with running(endpoint, tmp_path / "log", timeout=8) as address:
        host, port = address.grpc.split(":")
        silent = [socket.create_connection((host, int(port)), timeout=60) for _ in range(300)]
        for face in FACES:
            assert is_answered(face, address, row)
        for connection in silent:
            while connection.recv(1000):  # the server's half of the handshake, then its end
                pass
            connection.close()
        assert is_answered("grpc", address, row)


def test_a_corrupt_new_version_is_said_and_the_old_one_answers_on_every_face(
    packaged: Package, table: Any, row: Row, tmp_path: Path
) -> None:
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n')
    with use_project(load_project(tmp_path)) as project:
        store = open_project_store(project)
        register_version(store, packaged)
        promote_version(store, "flight-delay@1")
        with start_server("flight-delay@champion", project=tmp_path, grpc_port=0, timeout=60) as server:
            address = Address(server.url, server.grpc)
            register_version(store, tm.package(trained(seed=5), table))
            for blob in (project.hidden / "artifacts").rglob("*"):
                if blob.is_file() and blob.stat().st_size > 20_000:
                    blob.chmod(0o644)
                    blob.write_bytes(blob.read_bytes()[:-10] + b"0123456789")
            promote_version(store, "flight-delay@2")
            load = httpx.post(f"{server.url}/v2/repository/models/flight-delay/load")
            assert load.status_code == 409
            with triton.InferenceServerClient(server.grpc) as client:
                with pytest.raises(InferenceServerException):
                    client.load_model("flight-delay")
                assert [one.version for one in client.get_model_repository_index().models] == ["1"]
            assert '"version":1,' in ask("rows", address, [row])[1]
            for face in FACES:
                assert is_answered(face, address, row)
    assert set(predictions(tmp_path / ".tidemill" / "predictions").collect()["version"]) == {1}


def assert_soon(true: Callable[[], bool]) -> None:
    """Ask again until it is so; pytest's own limit ends a test that waits in vain."""
    while not true():
        pass
