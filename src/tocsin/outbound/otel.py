"""Spans to an OpenTelemetry collector over HTTP, for who has set OTEL_EXPORTER_OTLP_ENDPOINT; needs tocsin[otel].

The collector is the operator's own and trusted: its address passes no guard, and the SDK's own variables (headers,
sampler, service name) hold.
"""

from collections.abc import Mapping
from typing import Literal

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from tocsin import __version__

KINDS = {"server": SpanKind.SERVER, "internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
EXPORT_S = 5.0
"""A collector that takes longer loses those spans; nobody waits for it but the exporter's own thread."""


class OtelSpan:
    def __init__(self, span: Span) -> None:
        self.span = span

    @property
    def traceparent(self) -> str:
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, attributes: Mapping[str, str | int], *, failed: str = "", name: str = "") -> None:
        if name:
            self.span.update_name(name)
        self.span.set_attributes(dict(attributes))
        if failed:
            self.span.set_status(Status(StatusCode.ERROR, failed))
        self.span.end()


class Otel:
    def __init__(self, endpoint: str) -> None:
        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "tocsin"}))
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_S)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("tocsin", __version__)

    def begin(self, name: str, kind: Literal["server", "internal", "client"], parent: str) -> OtelSpan:
        context = None
        if parent:
            _, trace_id, span_id, flags = parent.split("-")
            known = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
            context = set_span_in_context(NonRecordingSpan(known))
        return OtelSpan(self.tracer.start_span(name, context, KINDS[kind]))

    def flush(self) -> None:
        self.provider.force_flush(int(EXPORT_S * 1000))

    def close(self) -> None:
        self.provider.shutdown()
