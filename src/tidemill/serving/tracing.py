"""Spans of requests, for whoever follows one through many services; none unless ``[serving] traces`` is set."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

#: The module that sends spans over OTLP.
_OTLP = "tidemill.integrations.opentelemetry"


class Span(Protocol):
    """One request under way."""

    @property
    def traceparent(self) -> str:
        """The span as W3C's ``traceparent``: what is done for the request belongs to it."""
        ...

    def end(self, *, failed: bool, attributes: Mapping[str, Any]) -> None:
        """The request was answered."""
        ...


class Tracer(Protocol):
    """Makes spans and sends them."""

    def begin(self, name: str, traceparent: str, attributes: Mapping[str, Any]) -> Span:
        """A request came; `traceparent` is what it brought, or empty."""
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


def open_tracer(endpoint: str) -> Tracer | None:
    """A tracer that sends to an OTLP endpoint over HTTP; None without one.

    Raises
    ------
    MissingExtraError
        When the library is not installed.
    """
    if not endpoint:
        return None
    tracer: Tracer = import_module(_OTLP).OtlpTracer(endpoint)
    return tracer
