"""Spans over OTLP, with the names of OpenTelemetry's semantic conventions for HTTP and RPC servers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tidemill.core.errors import MissingExtraError

_NAME = "tidemill"


class OtlpTracer:
    """Sends the spans of a server to a collector, in batches, from a thread of its own.

    Parameters
    ----------
    endpoint
        The collector's base address: ``http://collector:4318``; spans go to ``/v1/traces`` there.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            sdk = import_module("opentelemetry.sdk.trace")
            exporting = import_module("opentelemetry.sdk.trace.export")
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            resources = import_module("opentelemetry.sdk.resources")
            self._propagation = import_module("opentelemetry.trace.propagation.tracecontext")
            self._trace = import_module("opentelemetry.trace")
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "otel", purpose="traces") from error
        address = endpoint.rstrip("/") + "/v1/traces"
        self._provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": _NAME}))
        self._provider.add_span_processor(exporting.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=address)))
        self._tracer = self._provider.get_tracer(_NAME)
        self._propagator = self._propagation.TraceContextTextMapPropagator()

    def begin(self, name: str, traceparent: str, attributes: Mapping[str, Any]) -> OtlpSpan:
        """A span of a server, below the one that the request brought."""
        context = self._propagator.extract({"traceparent": traceparent} if traceparent else {})
        kind = self._trace.SpanKind.SERVER
        span = self._tracer.start_span(name, context=context, kind=kind, attributes=dict(attributes))
        return OtlpSpan(span, self._trace)

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()


class OtlpSpan:
    """One request under way; see `tidemill.serving.tracing.Span`."""

    def __init__(self, span: Any, trace: Any) -> None:
        self._span, self._trace = span, trace

    @property
    def traceparent(self) -> str:
        """The span as W3C's ``traceparent``."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def end(self, *, failed: bool, attributes: Mapping[str, Any]) -> None:
        """The request was answered; a failure is the server's, not a request that was refused."""
        self._span.set_attributes(dict(attributes))
        if failed:
            self._span.set_status(self._trace.StatusCode.ERROR)
        self._span.end()
