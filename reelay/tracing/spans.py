"""Whether there are spans, and where one begins that no library begins for us.

Of OpenTelemetry this needs the API alone, which comes with FastAPI and does nothing; `export.py` has what costs.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import trace

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
JOB_ID = "reelay.job_id"

tracer = trace.get_tracer("reelay")


def is_on() -> bool:
    """Whether the process's environment asks for traces, by OpenTelemetry's own variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporters := os.environ.get("OTEL_TRACES_EXPORTER"):
        return "otlp" in exporters.split(",")
    return any(os.environ.get(name) for name in ENDPOINTS)


@contextmanager
def tracing(service: str) -> Iterator[None]:
    """While the block runs, the process's spans go to the collector, if the environment names one. Once per process."""
    if not is_on():
        yield
        return
    from reelay.tracing.export import exporting  # half a second of imports, only where traces are on

    with exporting(service):
        yield


def client_span(method: str, host: str) -> AbstractContextManager[trace.Span]:
    """A span around one outgoing request. It has the host alone: paths and queries carry tokens."""
    attributes = {"http.request.method": method, "server.address": host}
    return tracer.start_as_current_span(f"{method} {host}", kind=trace.SpanKind.CLIENT, attributes=attributes)


def record_job_id(job_id: object) -> None:
    """Put the job id on the current span, if there is one."""
    trace.get_current_span().set_attribute(JOB_ID, str(job_id))


def is_probe(scope: MutableMapping[str, Any]) -> bool:
    """Requests that come every few seconds and say nothing."""
    return scope.get("path") in PROBES


def with_trace_id(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: what is logged within a span leads to its trace."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
