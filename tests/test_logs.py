"""No secret leaves by a log line, whoever writes it and however it is spelled."""

import json
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from reelay.logs import Masking
from reelay.tracing.spans import with_trace_id

SECRET = 'canary "of" the/logs'
SPEAKING = """
import logging, os, structlog
from reelay.logs import configure_logs

SECRET = os.environ["SPOKEN"]
configure_logs([SECRET])
log = structlog.get_logger()
log.info("said " + SECRET, field=SECRET, nested={"in": [SECRET]})
logging.getLogger("somebody.else").warning("%s said so", SECRET)
try:
    raise ValueError(SECRET)
except ValueError as error:
    log.exception("failed", error=repr(error))
    logging.getLogger("somebody.else").exception("failed as well")
log.info("the bucket's", found=os.environ["AWS_SECRET_ACCESS_KEY"])
"""


@pytest.mark.programs
def test_nothing_that_a_process_logs_shows_a_secret() -> None:
    environment = {"SPOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": "canary of the bucket"}
    said = subprocess.run(
        [sys.executable, "-c", SPEAKING], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.stderr.splitlines()]

    assert "canary" not in said.stdout + said.stderr
    assert [line["event"] for line in lines][1:] == ["*** said so", "failed", "failed as well", "the bucket's"]
    assert lines[0]["nested"] == {"in": ["***"]}
    assert "ValueError: ***" in lines[2]["exception"]
    assert "ValueError: ***" in lines[3]["exception"]


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
