"""OpenTelemetry's own parts: imported only where spans are wanted."""

import logging
import os
import re
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

SERVER = SpanKind.SERVER
NAME = "medasr-service"

log = logging.getLogger("bentoml.medasr")


class _Exporter(SpanExporter):
    """OTLP's; a collector that does not answer is one line, and another one when it answers again."""

    def __init__(self) -> None:
        self._sends = OTLPSpanExporter()
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._sends.export(spans)
        if (fails := result is not SpanExportResult.SUCCESS) is not self._fails:
            self._fails = fails
            if fails:
                log.warning("the collector of spans cannot be reached: they are dropped until it can")
            else:
                log.info("the collector of spans is there again")
        return result

    def shutdown(self) -> None:
        self._sends.shutdown()  # type: ignore[no-untyped-call]


def provider(version: str) -> TracerProvider:
    """As the OTEL_* variables have it: sampler, resource, limits, endpoint, headers."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # each try would be lines of its own
    named: dict[str, Any] = {"service.version": version}
    if "OTEL_SERVICE_NAME" not in os.environ:
        named["service.name"] = NAME
    made = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(_Exporter()))
    return made


def context_of(parent: re.Match[str] | None) -> Context:
    """Of the client's span, by its ids; an empty one where there is none."""
    if parent is None:
        return Context()
    context = SpanContext(int(parent[1], 16), int(parent[2], 16), True, TraceFlags(int(parent[3], 16) & 1))
    return within(NonRecordingSpan(context)) if context.is_valid else Context()


def within(span: Span) -> Context:
    return set_span_in_context(span, Context())


def links(spans: Sequence[Span]) -> list[Link]:
    return [Link(each.get_span_context()) for each in spans]
