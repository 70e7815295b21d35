"""Whatever bytes come, at whichever path, the answer is JSON that says what was wrong with them, and never a 5xx."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.rest.batches import FORMATS
from tidemill.serving.rest.routes import ROUTES
from tidemill.serving.starting import ServerHandle

#: `unload` would take away the model that is asked.
ASKED = [route for route in ROUTES if not route.path.endswith("/unload")]
PREDICT = "/v1/models/flight-delay/predict"
GOOD = {"carrier": "UA", "distance": 500, "temp": 10, "heavy": True, "sched_dep": "2013-08-01T12:00:00Z"}
LIMIT = 100_000


@pytest.fixture(scope="module")
def app(packaged: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    endpoint = Endpoint.of(
        Predictor(packaged, version=3), PredictionLog(tmp_path_factory.mktemp("log"), "flight-delay")
    )
    yield App(Repository.of(endpoint), ServerOptions(body_limit=LIMIT))
    endpoint.close()


@pytest.fixture
def server(packaged: Package, tmp_path: Path) -> Iterator[ServerHandle]:
    with start_server(folders=[packaged.write(tmp_path / "model")], log=tmp_path / "log") as handle:
        yield handle


def ask(
    app: App, method: str, path: str, body: Sequence[bytes] = (), headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, bytes, bytes, int]:
    """Status, media type and body of an answer, and how many pieces of the request were read for it."""
    sent: list[dict[str, Any]] = []
    pieces = iter([*body, b""])
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": bool(piece)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": list(headers),
        "client": ("::1", 1),
        "query_string": b"",
    }
    asyncio.run(app(scope, receive, send))
    start, *rest = sent
    told = dict(start["headers"])
    data = b"".join(message["body"] for message in rest)
    assert int(told[b"content-length"]) == len(data)
    return start["status"], told[b"content-type"], data, read


def as_object(items: list[tuple[str, str]]) -> str:
    """An object with the names as they are, some of them perhaps twice."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in items) + "}"


WORDS = (
    "rows inputs outputs id name data shape datatype parameters entities key explain ready binary_data_size __class__"
)
NAMES = st.sampled_from([*GOOD, *WORDS.split()]) | st.text()
ODD = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "-0.0", "9223372036854775808", "1e-400", '"\\ud800"',
     '"\\udc00\\ud800"', '"\\u0000"', '"' + "x" * 5000 + '"', "[" * 900 + "]" * 900, '{"a":' * 600 + "1" + "}" * 600,
     '"2013-08-01T25:61:00Z"', '"99999-01-01"', '"0001-01-01T00:00:00+23:59"']
)  # fmt: skip
PLAIN = (st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()).map(json.dumps)
VALUES = st.recursive(
    ODD | PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=4).map(as_object)
    ),
    max_leaves=8,
)
CELLS = st.lists(st.tuples(st.sampled_from(list(GOOD)), VALUES), max_size=3).map(
    lambda odd: as_object([*((name, json.dumps(value)) for name, value in GOOD.items()), *odd])
)
REQUESTS = st.lists(CELLS, min_size=1, max_size=3).map(lambda rows: f'{{"rows":[{",".join(rows)}]}}')
TENSORS = st.lists(st.tuples(st.sampled_from([*GOOD, "x"]), VALUES, VALUES, VALUES), max_size=5).map(
    lambda given: '{"inputs":[' + ",".join(
        as_object([("name", json.dumps(name)), ("data", data), ("shape", shape), ("datatype", kind)])
        for name, data, shape, kind in given
    ) + "]}"
)  # fmt: skip
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(as_object)
TEXTS = (REQUESTS | TENSORS | OBJECTS | VALUES).map(lambda text: text.encode("utf-8", "surrogatepass"))
BODIES = st.binary() | TEXTS | TEXTS.map(gzip.compress) | TEXTS.map(lambda text: text[: len(text) // 2])
HEADER_NAMES = (
    b"content-type content-encoding content-length accept traceparent x-routing-key x-request-timeout-ms "
    b"inference-header-content-length x-api-key authorization"
)
HEADER_VALUES = [*(kind.encode() for kind in FORMATS), b"gzip", b"0", b"1", b"-1", b"9" * 30, b"0" * 5000, b"00-x-y-z"]
HEADERS = st.lists(
    st.tuples(st.sampled_from(HEADER_NAMES.split()), st.sampled_from(HEADER_VALUES) | st.binary()), max_size=3
)


@pytest.mark.parametrize("route", ASKED, ids=lambda route: f"{route.method} {route.path}")
def test_no_request_is_a_server_error(app: App, route: Any) -> None:
    @given(
        name=st.just("flight-delay") | st.text(),
        body=st.lists(BODIES, max_size=2),
        headers=HEADERS,
        version=st.just("3") | st.text(),
    )
    @settings(max_examples=60 if route.method == "POST" else 15, deadline=None)
    def check(name: str, body: list[bytes], headers: list[tuple[bytes, bytes]], version: str) -> None:
        path = route.path.replace("{name}", name).replace("{version}", version).replace("{file}", name)
        status, kind, data, _ = ask(app, route.method, path, body, headers)
        assert status < 500 or status == 504, data  # which is what a client asked for with x-request-timeout-ms
        if kind == b"application/json":
            assert isinstance(json.loads(data), dict | list)
        else:
            assert status in (200, 404) or kind.decode() in FORMATS

    check()


@pytest.mark.parametrize(("announced", "status"), [(b"9" * 5000, 413), (b"9" * 30, 413), (b"0" * 5000, 400)])
def test_a_length_of_thousands_of_digits_is_one_like_others(app: App, announced: bytes, status: int) -> None:
    assert ask(app, "POST", PREDICT, [b"{}"], [(b"content-length", announced)])[0] == status


@given(
    path=st.text()
    | st.lists(st.sampled_from(["v1", "v2", "models", "predict", "..", "%2e", "", "flight-delay", "\x00"])).map(
        "/".join
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", ""]),
)
@settings(max_examples=150, deadline=None)
def test_no_path_or_method_is_a_server_error(app: App, path: str, method: str) -> None:
    status, _, data, _ = ask(app, method, f"/{path}")
    assert status in (200, 400, 404, 405)
    assert data


@given(rows=REQUESTS)
@settings(max_examples=150, deadline=None)
def test_rows_with_odd_values_are_answered_or_refused_one_by_one(app: App, rows: str) -> None:
    status, _, data, _ = ask(app, "POST", PREDICT, [rows.encode()])
    told = json.loads(data)
    assert status in (200, 400, 422)
    if status != 400:
        assert all("late" in one or one["error"]["error"] for one in told["predictions"])


def test_of_a_name_that_comes_twice_the_last_counts(app: App) -> None:
    twice = json.dumps({"rows": [GOOD]})[:-3] + ', "distance": "far"}]}'
    status, _, data, _ = ask(app, "POST", PREDICT, [twice.encode()])
    assert status == 422
    assert json.loads(data)["predictions"][0]["error"]["column"] == "distance"


def test_a_body_of_100_mb_is_refused_before_it_is_read(app: App) -> None:
    announced = [(b"content-length", b"%d" % 100_000_000)]
    assert ask(app, "POST", PREDICT, [b"x" * 1000] * 5, announced)[::3] == (413, 0)
    status, _, _, read = ask(app, "POST", PREDICT, [b"x" * 10_000] * 10_000)
    assert status == 413
    assert read == LIMIT // 10_000 + 1


class Line:
    """A connection to a server, byte by byte."""

    def __init__(self, server: ServerHandle) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer; status 0 when the connection was closed."""
        first = self._file.readline()
        if not first:
            return 0, b""
        length = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return int(first.split()[1]), self._file.read(length)


def request(body: bytes, *headers: bytes) -> bytes:
    lines = [f"POST {PREDICT} HTTP/1.1".encode(), b"Host: x", *headers, b"", body]
    return b"\r\n".join(lines)


def body_of(distance: int) -> bytes:
    return json.dumps({"rows": [{**GOOD, "distance": distance}]}).encode()


def test_requests_in_pieces_in_a_row_and_announced_are_each_answered(server: ServerHandle, tmp_path: Path) -> None:
    with Line(server) as line:
        bodies = [body_of(distance) for distance in range(100, 120)]
        line.send(b"".join(request(body, b"Content-Length: %d" % len(body)) for body in bodies))  # without waiting
        told = [line.answer() for _ in bodies]
        assert [status for status, _ in told] == [200] * 20
        ids = [json.loads(data)["request_id"] for _, data in told]
        body = body_of(500)
        line.send(request(b"", b"Expect: 100-continue", b"Content-Length: %d" % len(body)))
        assert line.answer() == (100, b"")
        line.send(body)
        assert line.answer()[0] == 200
        pieces = b"".join(
            b"%x\r\n%s\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)
        )
        line.send(request(pieces + b"0\r\n\r\n", b"Transfer-Encoding: chunked"))
        assert line.answer()[0] == 200
    logged = predictions(tmp_path / "log").collect()
    assert logged["features.distance"].to_list() == [*range(100, 120), 500, 500]
    assert logged["request_id"].to_list()[:20] == ids


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400, 0)),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", (400, 0)),
        (request(b"{}", b"Content-Length: 2", b"Content-Length: 9"), (400, 0)),
        (request(b"zz\r\n", b"Transfer-Encoding: chunked"), (400, 0)),
        (request(b"", b"Content-Length: 100000000"), (413,)),
        (request(b"{}", b"Content-Length: 2", b"X: " + b"y" * 200_000), (400, 431, 0)),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404, 414, 0)),
        (b"POST /v1/models/%ff%00/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", (404,)),
    ],
)
def test_what_is_no_http_is_refused_and_the_server_goes_on(
    server: ServerHandle, data: bytes, statuses: tuple[int, ...]
) -> None:
    with Line(server) as line:
        line.send(data)
        try:
            assert line.answer()[0] in statuses
        except ConnectionResetError:
            assert 0 in statuses
    with Line(server) as line:
        body = body_of(500)
        line.send(request(body, b"Content-Length: %d" % len(body)))
        assert line.answer()[0] == 200
