"""No secret leaves by a log line, whoever writes it and however it is spelled."""

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from reelay.logs import Masking
from reelay.tracing.spans import with_trace_id


def test_a_line_within_a_span_leads_to_its_trace() -> None:
    span = NonRecordingSpan(SpanContext(trace_id=10, span_id=1, is_remote=False))
    with use_span(span):
        assert with_trace_id(None, "info", {}) == {"trace_id": f"{'0' * 31}a"}
    assert with_trace_id(None, "info", {}) == {}


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("key rk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG- is used", "key *** is used"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl!", "Bearer ***!"),
        (
            "POST /api/webhooks/fal?job=1&token=1.abcDEF-_%3D HTTP/1.1",
            "POST /api/webhooks/fal?job=1&token=*** HTTP/1.1",
        ),
        (
            "GET /api/media/1/a.mp4?expires=9&signature=aB-_9 HTTP/1.1",
            "GET /api/media/1/a.mp4?expires=9&signature=*** HTTP/1.1",
        ),
        ("short and other words stay: hush, token=1", "short and other words stay: hush, token=1"),
    ],
)
def test_callers_credentials_are_masked_by_their_looks(line: str, masked: str) -> None:
    assert Masking(["hush"])(None, "info", line) == masked
