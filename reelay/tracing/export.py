"""Spans on their way to a collector, by OTLP over HTTP. How, OpenTelemetry's `OTEL_*` variables say."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

LAST_EXPORT_TIMEOUT = timedelta(seconds=3)
"""How long a process that ends waits for its last spans to be sent. A collector that is away must not keep it."""
SECRET_ATTRIBUTES = frozenset({"url.query"})
"""Attributes with what only the receiver of a request may know: the tokens of webhooks and of event streams."""
ERROR_TYPE = re.compile(r"(?:ApplicationError: )?\w+(?=:|$)")
"""The beginning of a description: the exception's class, and the type that `activities/errors.py` gives."""


@contextmanager
def exporting(service: str) -> Iterator[None]:
    """While the block runs, spans are sent from a thread of their own; those that find the queue full are dropped."""
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter()))
    trace.set_tracer_provider(provider)
    # A caller's `traceparent` is taken up; its `baggage` would end in the histories of runs.
    set_global_textmap(TraceContextTextMapPropagator())
    try:
        yield
    finally:
        shutdown = threading.Thread(target=provider.shutdown, daemon=True)
        shutdown.start()
        shutdown.join(LAST_EXPORT_TIMEOUT.total_seconds())


class RedactingExporter(OTLPSpanExporter):
    """Exports no error messages, which may quote a prompt, and no attributes with tokens."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return super().export([redacted(span) for span in spans])


def redacted(span: ReadableSpan) -> ReadableSpan:
    kind = ERROR_TYPE.match(span.status.description or "")
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name not in SECRET_ATTRIBUTES},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, kind[0] if kind else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
