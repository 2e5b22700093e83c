"""One generation is one trace, as a collector sees it; without the collector it is a generation all the same."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reelay.tracing.spans import JOB_ID
from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers, listening, loopback_socket
from tests.workflow.test_replay import replay

Span = dict[str, Any]

CALLERS_SPAN = "00f067aa0ba902b7"
PRIVATE = "a walk that nobody may know of"
# What the services of tests sign and pay with, and how keys and the tokens in addresses begin.
SECRETS = ("key:secret", "a secret for tests", "pepper for tests", "rk_", "token=", PRIVATE)
ON_THE_WAY = {
    "POST /api/generate/video",
    "StartWorkflow:Generation",
    "RunWorkflow:Generation",
    "RunActivity:submit",
    "POST 127.0.0.1",
    "HandleSignal:report",
    "RunActivity:archive",
    "GET 127.0.0.1",
    "RunActivity:complete",
    "CompleteWorkflow:Generation",
}


@dataclass
class Collector:
    """Takes spans by OTLP over HTTP."""

    taken: list[ExportTraceServiceRequest] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.taken.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(media_type="application/x-protobuf")

    def spans(self) -> list[Span]:
        return [
            MessageToDict(span)
            | {
                "traceId": span.trace_id.hex(),
                "parentSpanId": span.parent_span_id.hex(),
                "links": [link.trace_id.hex() for link in span.links],
                "attributes": {each.key: each.value.string_value for each in span.attributes},
            }
            for request in self.taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    async def trace(self, trace_id: str, names: set[str]) -> dict[str, Span]:
        """Its spans by name, once those have come."""

        async def found() -> dict[str, Span]:
            spans = {span["name"]: span for span in self.spans() if span["traceId"] == trace_id}
            assert names <= spans.keys()
            return spans

        return await eventually(found)


@asynccontextmanager
async def collecting(collector: Collector, bound: socket.socket) -> AsyncIterator[None]:
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    async with listening(uvicorn.Server(config), bound):
        yield


async def test_a_generation_is_one_trace_from_post_to_archive(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, bound = Collector(), loopback_socket()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{bound.getsockname()[1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    async with running_service(servers, webhook_patience=60) as service:
        async with collecting(collector, bound):
            await one_trace(service, collector)
            await no_words_of_a_failure(service, collector)
        text = str(collector.taken)
        assert [secret for secret in SECRETS if secret in text] == []

        await service.until(await service.create("a walk that no collector hears of"), "completed")


async def create(service: Service, prompt: str, *, trace: str) -> str:
    """A job whose caller is tracing already."""
    service.client.headers["traceparent"] = f"00-{trace}-{CALLERS_SPAN}-01"
    job_id = await service.create(prompt)
    del service.client.headers["traceparent"]
    return job_id


async def one_trace(service: Service, collector: Collector) -> None:
    job_id = await create(service, f"{PRIVATE} [sim: latency=10m]", trace="1" * 32)
    await service.webhook_is_awaited(job_id)
    await service.servers.end_at_provider(job_id)
    await service.until(job_id, "completed")
    spans = await collector.trace("1" * 32, ON_THE_WAY)

    post = spans["POST /api/generate/video"]
    assert post["parentSpanId"] == CALLERS_SPAN
    assert post["attributes"][JOB_ID] == job_id
    assert spans["RunActivity:archive"]["attributes"]["temporalWorkflowID"] == f"generation-{job_id}"
    (webhooks_trace,) = spans["HandleSignal:report"]["links"]
    webhook = f"POST {service.settings.fal_webhook_path}"
    spans = await collector.trace(webhooks_trace, {webhook, "SignalWorkflow:report"})
    assert spans[webhook]["attributes"][JOB_ID] == job_id

    # Headers alone: as long as without, and to be gone on with without.
    assert await service.history_length(job_id) == 29
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        assert await replay({"traced": (await service.run(job_id).fetch_history()).to_json()}) == {"traced": None}


async def no_words_of_a_failure(service: Service, collector: Collector) -> None:
    job_id = await create(service, f"{PRIVATE} [sim: fail=422]", trace="2" * 32)
    job = await service.until(job_id, "failed")
    spans = await collector.trace("2" * 32, {"RunActivity:archive"})

    assert spans["RunActivity:archive"]["status"] == {
        "code": "STATUS_CODE_ERROR",
        "message": "ApplicationError: provider_rejected",
    }
    assert job["errorMessage"] not in str(collector.taken)
