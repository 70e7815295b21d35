"""Spans arrive at a collector as OTLP, below the caller's own, and the prediction log has the trace they belong to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.grpc.messages import SERVICE, message

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """The receiving end of OTLP over HTTP, which reads what it is sent with the protocol's own messages."""
    spans: list[Any] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/traces"
            spans.extend(span for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def test_requests_become_spans_of_the_callers_trace(
    packaged: Package, tmp_path: Path, collector: tuple[str, list[Any]]
) -> None:
    address, spans = collector
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "flights"\n[serving]\ntraces = "{address}"\n')
    folder, headers = packaged.write(tmp_path / "model"), {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    url = "/v1/models/flight-delay/predict"
    with start_server(folders=[folder], project=tmp_path, grpc_port=0, timeout=60) as server:
        body = {"rows": [packaged.manifest["example"]]}
        assert httpx.post(server.url + url, json=body, headers=headers).status_code == 200
        assert httpx.post(server.url + url, json={}).status_code == 400
        assert httpx.get(server.url + "/ready").status_code == 200
        with grpc.insecure_channel(server.grpc) as channel:
            asked = message("ModelMetadataRequest")(name="weather").SerializeToString()
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/{SERVICE}/ModelMetadata")(asked, metadata=list(headers.items()))
    by_name = {(span.name, span.trace_id.hex() == TRACE): span for span in spans}
    route = "POST /v1/models/{name}/predict"
    assert set(by_name) == {(route, True), (route, False), (f"{SERVICE}/ModelMetadata", True)}
    assert by_name[route, True].parent_span_id.hex() == PARENT
    told = {one.key: one.value for one in by_name[route, False].attributes}
    assert told["http.response.status_code"].int_value == 400
    assert told["http.route"].string_value == "/v1/models/{name}/predict"
    assert predictions(tmp_path / ".tidemill" / "predictions").collect()["trace"].to_list() == [TRACE]
