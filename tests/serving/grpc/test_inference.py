"""Clients of the field's own protocol get the answers that every other face gives, and errors that they understand."""

from __future__ import annotations

import json
import queue
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from scripts import protocols
from tritonclient import grpc as triton
from tritonclient import http as triton_http
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.grpc.messages import FILE, POOL, SERVICE
from tidemill.serving.predictor import Predictor
from tidemill.serving.starting import ServerHandle


@pytest.fixture(scope="module")
def folder(packaged: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged.write(tmp_path_factory.mktemp("package") / "model")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def server(folder: Path, log: Path) -> Iterator[ServerHandle]:
    with start_server(folders=[folder], log=log, grpc_port=0, timeout=60) as handle:
        yield handle


@pytest.fixture(scope="module")
def client(server: ServerHandle) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


@pytest.fixture(scope="module")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged)


ROWS = [
    {"carrier": "UA", "distance": 1400, "temp": 31.5, "heavy": True, "sched_dep": "2013-07-01T17:00:00Z"},
    {"carrier": "Ü1", "distance": 200, "temp": -2.0, "heavy": False, "sched_dep": "2013-01-01T05:00:00Z"},
]


def tensors(module: Any, rows: list[dict[str, Any]], *, binary: bool = True) -> list[Any]:
    """The rows as the client's tensors, one for each column."""
    out = []
    for name, datatype, dtype in (
        ("carrier", "BYTES", object), ("distance", "INT64", np.int64), ("temp", "FP64", np.float64),
        ("heavy", "BOOL", np.bool_), ("sched_dep", "BYTES", object),
    ):  # fmt: skip
        values = [row[name].encode() if datatype == "BYTES" else row[name] for row in rows]
        tensor = module.InferInput(name, [len(rows)], datatype)
        more = {} if module is triton else {"binary_data": binary}
        tensor.set_data_from_numpy(np.array(values, dtype=dtype), **more)
        out.append(tensor)
    return out


def test_a_triton_client_gets_the_predictors_answers(client: Any, predictor: Predictor, log: Path) -> None:
    answer = client.infer("flight-delay", tensors(triton, ROWS), request_id="mine")
    expected = predictor.predict(ROWS)
    assert answer.as_numpy("probability").tolist() == [one["probability"] for one in expected]
    assert answer.as_numpy("late").tolist() == [str(one["late"]).lower().encode() for one in expected]
    response = answer.get_response()
    assert response.id == "mine"
    logged = predictions(log).collect()
    assert response.parameters["request_id"].string_param in set(logged["request_id"])


def test_what_is_unusual_about_rows_is_told_beside_their_tensors(
    client: Any, server: ServerHandle, predictor: Predictor
) -> None:
    rows = [ROWS[0], {**ROWS[0], "temp": 99.0, "carrier": "☃"}]
    said = {"1": predictor.predict(rows)[1]["warnings"]}
    assert len(said["1"]) == 2
    over_grpc = client.infer("flight-delay", tensors(triton, rows)).get_response()
    assert json.loads(over_grpc.parameters["warnings"].string_param) == said
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as asking:
        over_rest = asking.infer("flight-delay", tensors(triton_http, rows)).get_response()
    assert json.loads(over_rest["parameters"]["warnings"]) == said


@pytest.mark.parametrize("own", ["", "é" * 100, "x" * 20_000])
def test_the_id_of_a_request_comes_back_however_long_it_is(client: Any, own: str) -> None:
    response = client.infer("flight-delay", tensors(triton, ROWS), request_id=own).get_response()
    assert response.id == (own or response.parameters["request_id"].string_param)
    assert response.model_name == "flight-delay"
    assert len(response.outputs) == len(response.raw_output_contents) == 3


@pytest.mark.parametrize("binary", [True, False])
def test_a_triton_client_over_rest_gets_them_too(server: ServerHandle, predictor: Predictor, binary: bool) -> None:
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("flight-delay")
        wanted = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in ("probability", "late")]
        answer = client.infer("flight-delay", tensors(triton_http, ROWS, binary=binary), outputs=wanted)
        expected = predictor.predict(ROWS)
        assert answer.as_numpy("probability").tolist() == [one["probability"] for one in expected]
        assert [one["name"] for one in client.get_model_repository_index()] == ["flight-delay"]
        for names, said in ((["gate"], "no such output"), (["late", "late"], "asked for twice: 'late'")):
            outputs = [triton_http.InferRequestedOutput(name) for name in names]
            with pytest.raises(InferenceServerException, match=said):
                client.infer("flight-delay", tensors(triton_http, ROWS), outputs=outputs)


def test_the_server_describes_itself(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flight-delay")
    assert "binary_tensor_data" in client.get_server_metadata().extensions
    told = client.get_model_metadata("flight-delay", as_json=True)
    assert [one["name"] for one in told["inputs"]] == list(ROWS[0])
    assert {one["name"]: one["datatype"] for one in told["outputs"]} == {
        "late": "BYTES",
        "probability": "FP64",
        "decision": "BYTES",
    }
    assert [one.state for one in client.get_model_repository_index().models] == ["READY"]


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (lambda client: client.infer("weather", tensors(triton, ROWS)), "NOT_FOUND", "no such model"),
        (lambda client: client.infer("flight-delay", tensors(triton, ROWS), model_version="9"), "NOT_FOUND", "version"),
        (
            lambda client: client.infer("flight-delay", tensors(triton, ROWS)[:1]),
            "INVALID_ARGUMENT",
            "'distance' was not sent",
        ),
        (
            lambda client: client.infer(
                "flight-delay", tensors(triton, ROWS), outputs=[triton.InferRequestedOutput("late")] * 10_000
            ),
            "INVALID_ARGUMENT",
            "an output is asked for twice: 'late'",
        ),
        (lambda client: client.get_model_metadata("weather"), "NOT_FOUND", "no such model"),
        (lambda client: client.load_model("weather"), "NOT_FOUND", "weather"),
        (
            lambda client: client.infer("flight-delay", tensors(triton, ROWS), client_timeout=-1.0),
            "DEADLINE_EXCEEDED",
            "(?i)deadline",
        ),
    ],
)
def test_what_cannot_be_answered_has_the_status_of_its_cause(client: Any, asked: Any, code: str, said: str) -> None:
    with pytest.raises(InferenceServerException, match=said) as error:
        asked(client)
    assert error.value.status() == f"StatusCode.{code}"


def test_tensors_that_lie_about_themselves_are_refused(server: ServerHandle) -> None:
    """With the raw protocol, since a client library would not send them."""
    request_type = GetMessageClass(POOL.FindMessageTypeByName("inference.ModelInferRequest"))
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=lambda raw: raw,
        )
        for shape, raw, datatype in (
            ([2], struct.pack("<f", 1), "FP32"), ([-1], b"", "FP32"), ([], b"", "FP32"),
            ([1], b"\xff\xff\xff\xff", "BYTES"),
            ([1], struct.pack("<I", 1) + b"\xff", "BYTES"), ([1], b"abcd", "FP7"), ([2**62, 2**62], b"", "FP64"),
        ):  # fmt: skip
            request = request_type(model_name="flight-delay")
            request.inputs.add(name="temp", datatype=datatype, shape=shape)
            request.raw_input_contents.append(raw)
            with pytest.raises(grpc.RpcError) as error:
                infer(request)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, (shape, raw, datatype)
        request.raw_input_contents.append(b"")
        with pytest.raises(grpc.RpcError, match="one for each input"):
            infer(request)


def test_a_client_that_knows_only_reflection_can_ask(server: ServerHandle, predictor: Predictor) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) >= {SERVICE, "grpc.health.v1.Health"}
        pool = DescriptorPool(database)
        method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelInfer")
        request = GetMessageClass(method.input_type)(model_name="flight-delay")
        for name, datatype, field in (
            ("carrier", "BYTES", "bytes_contents"), ("distance", "INT64", "int64_contents"),
            ("temp", "FP64", "fp64_contents"), ("heavy", "BOOL", "bool_contents"),
            ("sched_dep", "BYTES", "bytes_contents"),
        ):  # fmt: skip
            tensor = request.inputs.add(name=name, datatype=datatype, shape=[2])
            values = [row[name].encode() if datatype == "BYTES" else row[name] for row in ROWS]
            getattr(tensor.contents, field).extend(values)
        answer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )(request)
    told = {output.name: output.contents for output in answer.outputs}
    assert list(told["probability"].fp64_contents) == [one["probability"] for one in predictor.predict(ROWS)]


def test_health_says_when_the_server_drains(folder: Path, tmp_path: Path) -> None:
    with start_server(folders=[folder], log=tmp_path, grpc_port=0, timeout=60) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
            server.process.send_signal(signal.SIGTERM)
            assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.stop() == 0


def test_a_connection_on_which_nothing_is_asked_is_closed(folder: Path, tmp_path: Path) -> None:
    """Ten thousand clients that have gone away must not fill the server's table of open files."""
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flights"\n[serving]\nidle = 1\n')
    with (
        start_server(folders=[folder], project=tmp_path, grpc_port=0, timeout=60) as server,
        grpc.insecure_channel(server.grpc) as channel,
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as plain,
    ):
        states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
        channel.subscribe(states.put, try_to_connect=True)
        ready, idle = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE
        seen = []
        while not (ready in seen and seen[-1] == idle):
            seen.append(states.get(timeout=60))
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        assert stub.Check(request).status == health_pb2.HealthCheckResponse.SERVING  # over another connection
        plain.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n")
        while plain.recv(4096):
            pass


def test_keys_and_tls_hold_for_grpc(folder: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    mine = authority.issue_cert("127.0.0.1")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "flights"\n[serving]\nkeys = ["a key of the planners"]\n'
        'certificate = "certificate.pem"\nprivate_key = "key.pem"\n'
    )
    with start_server(folders=[folder], project=tmp_path, grpc_port=0, timeout=60) as server:
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        with triton.InferenceServerClient(server.grpc, ssl=True, creds=credentials) as client:
            assert client.is_server_ready()
            codes = []
            for headers in ({}, {"x-api-key": "a key of somebody"}, {"authorization": "Bearer a key of the planners"}):
                try:
                    client.infer("flight-delay", tensors(triton, ROWS), headers=headers)
                    codes.append("OK")
                except InferenceServerException as error:
                    codes.append(str(error.status()).removeprefix("StatusCode."))
        assert codes == ["UNAUTHENTICATED", "PERMISSION_DENIED", "OK"]
        assert httpx.get(server.url + "/ready", verify=False).status_code == 200


def test_the_descriptor_is_what_the_protocol_file_compiles_to() -> None:
    assert (protocols.FOLDER / FILE).read_bytes() == protocols.compiled()


def test_every_message_has_the_numbers_of_the_fields_client() -> None:
    """Another number would be a value lost without a word."""
    for name, theirs in service_pb2.DESCRIPTOR.message_types_by_name.items():
        try:
            ours = POOL.FindMessageTypeByName(f"inference.{name}")
        except KeyError:
            continue  # of an extension that is not spoken here
        _same_numbers(ours, theirs)


def _same_numbers(ours: Any, theirs: Any) -> None:
    known = {field.name: (field.number, field.type) for field in theirs.fields}
    for field in ours.fields:
        assert known[field.name] == (field.number, field.type), (ours.full_name, field.name)
    nested = theirs.nested_types_by_name
    for name, inner in ours.nested_types_by_name.items():
        _same_numbers(inner, nested[name])
