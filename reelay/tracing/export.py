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

PARTING = timedelta(seconds=3)
"""What a process that ends gives its last spans. A collector that is away must not keep it."""
TOLD = frozenset({"url.query"})
"""Attributes with what only the receiver of a request may know: the tokens of webhooks and of event streams."""
KIND_OF_ERROR = re.compile(r"(?:ApplicationError: )?\w+(?=:|$)")
"""The beginning of a description: the exception's class, and of a step's error the type that `errors.py` gave it."""


@contextmanager
def exporting(service: str) -> Iterator[None]:
    """While the block runs, spans are sent from a thread of their own; those that find the queue full are dropped."""
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(DiscreetExporter()))
    trace.set_tracer_provider(provider)
    # A caller's `traceparent` is taken up; its `baggage` would end in the histories of runs.
    set_global_textmap(TraceContextTextMapPropagator())
    try:
        yield
    finally:
        parting = threading.Thread(target=provider.shutdown, daemon=True)
        parting.start()
        parting.join(PARTING.total_seconds())


class DiscreetExporter(OTLPSpanExporter):
    """Tells what happened, when and how it ended; not in which words. Messages of errors may quote a prompt."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return super().export([without_words(span) for span in spans])


def without_words(span: ReadableSpan) -> ReadableSpan:
    kind = KIND_OF_ERROR.match(span.status.description or "")
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name not in TOLD},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, kind[0] if kind else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
