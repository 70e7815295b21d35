"""Whatever a client sends, it gets an answer that says what was wrong; its mistakes are never the server's (5xx)."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_client import Client

from tidemill.core.errors import OutOfSpaceError
from tidemill.core.schema import TableSchema
from tidemill.packaging.package import Package
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.explaining import MAX_ROWS as MOST_EXPLAINED
from tidemill.serving.limits import MAX_ROWS
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest import rows as rest_rows
from tidemill.serving.rest.app import App
from tidemill.serving.rest.reading import read_rows
from tidemill.serving.variants import Traffic, variant_of

PREDICT = "/v1/models/flight-delay/predict"
INFER = "/v2/models/flight-delay/infer"


@pytest.fixture(scope="session")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3, alias="champion")


@pytest.fixture
def client(predictor: Predictor, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(predictor, PredictionLog(tmp_path, "flight-delay"))
    options = ServerOptions(body_limit=200_000)
    yield Client(App(Repository.of(endpoint), options), tmp_path)
    endpoint.close()


@pytest.fixture
def row(predictor: Predictor) -> dict[str, Any]:
    return predictor.example()


def test_a_probe_may_ask_for_the_head_alone(client: Client) -> None:
    assert client("HEAD", "/ready").status_code == 200
    assert client("HEAD", "/nothing").status_code == 404


def test_rows_are_answered_with_model_version_and_request_id(client: Client, row: dict[str, Any]) -> None:
    response = client.rows(row, row)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert (body["model"], body["version"], len(body["predictions"])) == ("flight-delay", 3, 2)
    assert set(body["predictions"][0]) == {"late", "probability", "decision"}
    assert predictions(client.root).collect()["request_id"].to_list() == [body["request_id"]] * 2


def test_the_example_is_a_valid_body(client: Client) -> None:
    example = client("GET", "/v1/models/flight-delay/example").json()
    assert client("POST", PREDICT, json=example).status_code == 200


def test_a_bad_row_among_good_ones_has_its_own_error(client: Client, row: dict[str, Any]) -> None:
    response = client.rows(row, {**row, "temp": "warm"})
    assert response.status_code == 200
    assert "late" in response.json()["predictions"][0]
    assert response.json()["predictions"][1]["error"]["column"] == "temp"
    logged = predictions(client.root).collect()
    assert logged["status"].to_list() == ["answered", "refused"]


def test_only_bad_rows_are_422(client: Client, row: dict[str, Any]) -> None:
    response = client.rows({**row, "distance": None})
    assert response.status_code == 422
    assert "'distance' may not be missing" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"rows": [{"temp": NaN}]}', "JSON has no NaN: send null"),
        ('{"rows": [{"é": -Infinity}]}'.encode(), "JSON has no infinite numbers"),
        (gzip.compress(b'{"rows": []}', mtime=0), "packed by gzip: send it as it is"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b"{}", "no rows"),
        (b'{"rows": []}', "no rows"),
        (b'{"rows": {"temp": 1}}', "no rows"),
        (b'{"rows": [{}], "entities": [1, 2]}', "entities"),
        (b'{"rows": [{}], "entities": [1.5]}', "an entity is neither text nor whole number: 1.5"),
        (b'{"rows": [{}], "entities": [true]}', "an entity is neither text nor whole number: True"),
        (b'{"rows": [{}], "entities": [{"a": 1}]}', "an entity is neither text nor whole number"),
    ],
)
def test_a_body_that_is_no_request_is_400(client: Client, body: bytes, message: str) -> None:
    response = client("POST", PREDICT, content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"entites": ["ann"]}, "the body has an unknown key: 'entites'. Did you mean 'entities'?"),
        ({"instances": []}, "the body has an unknown key: 'instances'. Known: entities, explain, key, rows."),
        ({"explain": "yes"}, "explain is neither true nor false: 'yes'. Send true, or leave it out."),
    ],
)
def test_nothing_that_a_body_says_is_ignored(client: Client, row: dict[str, Any], said: Any, message: str) -> None:
    response = client("POST", PREDICT, json={"rows": [row], **said})
    assert (response.status_code, response.json()["error"]["message"]) == (400, message)


def test_a_body_over_the_limit_is_413_whether_announced_or_not(client: Client) -> None:
    assert client("POST", PREDICT, content=b"x" * 200_001).status_code == 413

    async def pieces() -> Any:
        for _ in range(201):
            yield b"x" * 1000

    assert client("POST", PREDICT, content=pieces()).status_code == 413


@pytest.mark.parametrize("sent", ["rows", "tensor"])
def test_more_rows_than_a_request_may_have_are_413(predictor: Predictor, tmp_path: Path, sent: str) -> None:
    """Three bytes are a row, and its answer and its record are a hundred times as many."""
    many, columns = MAX_ROWS + 1, list(predictor.columns)
    client = Client(App(Repository.of(Endpoint.of(predictor, None)), ServerOptions()), tmp_path)
    if sent == "rows":
        answer = client("POST", PREDICT, content=b'{"rows":[' + b",".join([b"{}"] * many) + b"]}")
    else:
        inputs = [{"name": name, "datatype": "FP32", "shape": [many], "data": [1] * many} for name in columns]
        answer = client("POST", INFER, json={"inputs": inputs})
    assert answer.status_code == 413
    assert "Send at most 100,000 at once, or a file of them." in answer.text


def test_an_answer_to_empty_rows_is_in_proportion_to_them(client: Client) -> None:
    answer = client("POST", PREDICT, json={"rows": [{}] * 5_000})
    errors = [told["error"] for told in answer.json()["predictions"]]
    assert "others" in errors[0]
    assert errors[0]["allowed"]
    assert "others" not in errors[-1]
    assert len(answer.content) < 5_000 * 250


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live", 200),
        ("GET", "/ready", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/flight-delay", 200),
        ("GET", "/v1/models/weather", 404),
        ("POST", "/v1/models/weather/predict", 404),
        ("GET", "/v1/models/flight-delay/nothing", 404),
        ("GET", PREDICT, 405),
        ("POST", "/v1/models/flight-delay/example", 405),
        ("GET", "/nothing", 404),
        ("GET", "/v1/models/flight-delay/predict/more", 404),
        ("GET", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/flight-delay", 200),
        ("GET", "/v2/models/flight-delay/ready", 200),
        ("GET", "/v2/models/flight-delay/versions/3/ready", 200),
        ("GET", "/v2/models/flight-delay/versions/9", 404),
        ("GET", "/v2/models/weather", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", INFER, 405),
    ],
)
def test_every_path_answers_with_the_right_status(client: Client, method: str, path: str, status: int) -> None:
    response = client(method, path)
    assert response.status_code == status
    assert response.json()


def test_the_open_inference_protocol_answers_as_plain_json_does(client: Client, row: dict[str, Any]) -> None:
    metadata = client("GET", "/v2/models/flight-delay").json()
    inputs = [{**tensor, "shape": [2], "data": [row[tensor["name"]]] * 2} for tensor in metadata["inputs"]]
    response = client("POST", INFER, json={"id": "mine", "inputs": inputs})
    body = response.json()
    assert response.status_code == 200
    assert (body["model_name"], body["model_version"], body["id"]) == ("flight-delay", "3", "mine")
    plain = client.rows(row).json()["predictions"][0]
    outputs = {tensor["name"]: tensor["data"] for tensor in body["outputs"]}
    assert outputs == {
        "late": [str(plain["late"]).lower()] * 2,
        "probability": [plain["probability"]] * 2,
        "decision": [plain["decision"]] * 2,
    }


@pytest.mark.parametrize(
    "inputs", [None, [], [3], [{"name": "temp"}], [{"name": "temp", "data": []}], [{"name": "temp", "data": [[1, 2]]}]]
)
def test_tensors_that_are_no_rows_are_400(client: Client, inputs: Any) -> None:
    assert client("POST", INFER, json={"inputs": inputs}).status_code == 400


@pytest.mark.parametrize("length", ["0" * 5000 + "13", "9" * 5000, "14", "-1", "1e1"])
def test_what_is_no_length_of_the_json_is_400(client: Client, length: str) -> None:
    headers = {"inference-header-content-length": length}
    response = client("POST", INFER, content=b'{"inputs":[]}', headers=headers)
    assert response.status_code == 400
    assert "Inference-Header-Content-Length is not the length of the JSON" in response.json()["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["rows", "inputs", "entities", "id", "name", "data", "temp", "distance", "carrier"]) | st.text()


@given(
    body=st.binary() | st.dictionaries(NAMES, JSON).map(lambda value: json.dumps(value).encode()),
    path=st.sampled_from([PREDICT, INFER]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_whatsoever_is_a_server_error(client: Client, body: bytes, path: str) -> None:
    response = client("POST", path, content=body)
    assert response.status_code in (200, 400, 413, 422)
    assert json.loads(response.content)


def test_what_cannot_be_logged_is_not_answered(client: Client, row: dict[str, Any]) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OutOfSpaceError("the prediction log cannot be written")

    client.app.site.repository.endpoints["flight-delay"].log.append = full  # type: ignore[union-attr, method-assign]
    response = client.rows(row)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "late" not in response.text


def test_many_rows_and_their_entities_are_logged_in_order(client: Client, row: dict[str, Any]) -> None:
    rows = [{**row, "distance": 100 + number} for number in range(600)]
    response = client(
        "POST", PREDICT, content=json.dumps({"rows": rows, "entities": list(range(600))}).replace(" ", "")
    )
    assert response.status_code == 200, response.text
    logged = predictions(client.root, "flight-delay").collect()
    assert logged["features.distance"].to_list() == [row["distance"] for row in rows]
    assert logged["entity"].to_list() == [str(number) for number in range(600)]
    told = [prediction["probability"] for prediction in response.json()["predictions"]]
    assert logged["probability"].to_list() == told
    assert logged.schema["features.sched_dep"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize("value", [2**70, -(2**70), 2**63, 1e308, -1.5, True, None, "", "x" * 50, [], {}, "é☃"])
def test_a_row_of_a_large_body_is_answered_and_logged_as_alone(client: Client, row: dict[str, Any], value: Any) -> None:
    """Large bodies are read in another way, by another library."""
    odd = [{**row, name: value} for name in row]
    large = client.rows(*odd, *[row] * 600)
    logged = predictions(client.root).collect().filter(pl.col("request_id") == large.json()["request_id"])
    for place, told in enumerate(odd):
        small = client.rows(told).json()
        expected = small["predictions"][0]
        got = large.json()["predictions"][place]
        if "error" in expected:
            assert got["error"]["column"] == expected["error"]["column"]
            assert got["error"]["error"] == expected["error"]["error"]
            continue
        assert got == {**expected, "probability": pytest.approx(expected["probability"], abs=1e-6)}
        alone = predictions(client.root).collect().filter(pl.col("request_id") == small["request_id"])
        assert logged[place].select("^features[.].*$").equals(alone.select("^features[.].*$"))


def test_others_are_answered_while_a_large_body_is_read(
    client: Client, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(inputs: TableSchema, body: bytes, *, lacking: bool) -> Any:
        begun.set()
        assert go_on.wait(30)
        return read_rows(inputs, body, lacking=lacking)

    monkeypatch.setattr(rest_rows, "read_rows", slowly)

    async def both() -> list[int]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=60) as asking:
            large = asyncio.create_task(asking.post(PREDICT, json={"rows": [row] * 1000}))
            assert await asyncio.to_thread(begun.wait, 30)
            small = await asking.post(PREDICT, json={"rows": [row]})
            go_on.set()
            return [small.status_code, (await large).status_code]

    assert asyncio.run(both()) == [200, 200]


def test_a_large_body_that_waits_for_its_turn_too_long_is_not_scored(
    client: Client, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(inputs: TableSchema, body: bytes, *, lacking: bool) -> Any:
        threading.Event().wait(0.02)
        return read_rows(inputs, body, lacking=lacking)

    monkeypatch.setattr(rest_rows, "read_rows", slowly)
    body = json.dumps({"rows": [row] * 1000})
    response = client("POST", PREDICT, content=body, headers={"x-request-timeout-ms": "10"})
    assert response.status_code == 504
    assert predictions(client.root).collect().is_empty()


def test_a_version_that_takes_over_while_a_large_body_is_read_answers_the_next(
    client: Client, packaged: Package, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left out is null to the one: the other may look it up, or not have the column."""
    endpoint = client.app.site.endpoint("flight-delay")

    class Views:
        def complete(self, rows: Sequence[Any]) -> tuple[list[Any], list[str]]:
            return [{**one, "temp": 1.0} if "temp" not in one else one for one in rows], [""] * len(rows)

    later = Traffic((variant_of(Predictor(packaged, version=4, features=Views())),), salt="s")

    def reading(inputs: TableSchema, body: bytes, *, lacking: bool) -> Any:
        endpoint.traffic = later
        return read_rows(inputs, body, lacking=lacking)

    monkeypatch.setattr(rest_rows, "read_rows", reading)
    sent = [{name: value for name, value in row.items() if name != "temp"}] * 1000
    first, second = client.rows(*sent).json(), client.rows(*sent).json()
    assert (first["version"], second["version"]) == (3, 4)
    assert first["predictions"][0]["probability"] == pytest.approx(
        client.app.site.endpoint("flight-delay").predictor.predict({**row, "temp": None})["probability"], abs=1e-6
    )
    assert second["predictions"][0]["probability"] == pytest.approx(
        Predictor(packaged).predict({**row, "temp": 1.0})["probability"], abs=1e-6
    )


def test_a_large_body_without_rows_is_told_so(client: Client) -> None:
    response = client("POST", PREDICT, content=json.dumps({"rows": [], "key": "x" * 70_000}))
    assert response.status_code == 400
    assert "the body has no rows: []" in response.json()["error"]["message"]


def test_an_answer_to_a_large_body_waits_for_its_record_too(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path, "flight-delay", durable=True)
    endpoint = Endpoint.of(predictor, log)
    client = Client(App(Repository.of(endpoint), ServerOptions()), tmp_path)
    rows = [predictor.example()] * 1000
    assert client.rows(*rows).status_code == 200  # the folders are there from now on
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    assert client.rows(*rows).status_code == 200
    assert len(synced) == 1
    endpoint.close()


def test_a_client_that_hangs_up_gets_no_answer_and_breaks_nothing(client: Client) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": PREDICT, "method": "POST", "headers": [], "client": None}
    asyncio.run(client.app(scope, receive, send))
    assert sent == []


def test_more_rows_than_can_be_explained_are_refused_before_any_is_scored_and_logged(
    client: Client, row: dict[str, Any]
) -> None:
    response = client.rows(*[row] * (MOST_EXPLAINED + 1), explain=True)
    assert response.status_code == 400
    assert "too many rows to explain" in response.json()["error"]["message"]
    assert predictions(client.root).collect().height == 0
    assert client.rows(row, explain=True).json()["predictions"][0]["explanation"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("00-<script>alert(1)</script>zzzzzzz-00f067aa0ba902b7-01", None),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        ("00-4bf92f3577b34da6a3ce929d0e0e473²-00f067aa0ba902b7-01", None),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736", None),
    ],
)
def test_only_a_trace_of_the_standard_reaches_the_log(
    client: Client, row: dict[str, Any], sent: str, kept: str | None
) -> None:
    headers = {"traceparent": sent.encode("latin-1")}
    assert client("POST", PREDICT, content=json.dumps({"rows": [row]}), headers=headers).status_code == 200
    assert predictions(client.root).collect()["trace"].to_list() == [kept]
