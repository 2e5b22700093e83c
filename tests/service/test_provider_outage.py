"""The provider is down for three hours: real steps and a real simulator, on runs whose time is skipped."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from activities.errors import LONGEST_BACKOFF
from simulator.app import create_simulator
from simulator.settings import SimulatorSettings
from tests.running import Service, running_service
from tests.servers import Servers, listening, loopback_socket

OUTAGE = timedelta(hours=3)
PATIENCE = timedelta(minutes=10)
LOOK = re.compile(r"/requests/([^/]+)/status$")
REASON = "Waiting: fal answered HTTP 503"


@dataclass
class Provider:
    """The simulator, with outages. It counts how often it is asked for the status of each request, even then."""

    simulator: ASGIApp
    is_down: bool = False
    looks: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if look := LOOK.search(path):
            self.looks[look[1]] += 1
        if self.is_down and not path.startswith("/__sim"):
            await PlainTextResponse("no healthy upstream", HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)
        else:
            await self.simulator(scope, receive, send)

    def asked(self) -> Counter[str]:
        """Since this was asked last."""
        looks, self.looks = self.looks, Counter()
        return looks


@pytest.fixture
async def provider(servers: Servers) -> Provider:
    settings = SimulatorSettings(
        media_dir=servers.folder / "media", latency=timedelta(seconds=0.3), webhook_compression=120, verify_tls=False
    )
    return Provider(create_simulator(settings))


@pytest.fixture
async def service(servers: Servers, provider: Provider) -> AsyncIterator[Service]:
    server = uvicorn.Server(uvicorn.Config(provider, log_level="warning", timeout_graceful_shutdown=1))
    async with (
        listening(server, loopback_socket()) as origin,
        running_service(
            replace(servers, simulator=origin),
            webhook_patience=PATIENCE,
            poll_interval=10,
            generation_deadline=2 * OUTAGE.total_seconds(),
        ) as running,
    ):
        yield running


async def pass_time(service: Service, jobs: list[str], duration: timedelta) -> None:
    """On the clocks of their runs, which wait for steps under way. Those that are over need none."""
    skipper = TimeSkipper(service.temporal)

    async def forward(job_id: str) -> None:
        try:
            await skipper.fast_forward(service.run(job_id), duration)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    await asyncio.gather(*map(forward, jobs))


@pytest.mark.fault("S4")
async def test_jobs_outlive_three_hours_without_their_provider_and_come_back_one_by_one(
    service: Service, provider: Provider
) -> None:
    control = await service.create("control")
    await service.until(control, "completed")
    jobs = [await service.create(f"number {number} [sim: webhook=lost]") for number in range(16)]
    requests = [(await service.until(job_id, "submitted"))["falRequestId"] for job_id in jobs]
    longest, others = jobs[:1], jobs[1:]
    assert provider.asked().keys().isdisjoint(requests)

    provider.is_down = True
    await pass_time(service, longest, PATIENCE)
    for _ in range(12):
        await pass_time(service, longest, OUTAGE / 12)
    ((asking, looks),) = provider.asked().items()
    assert asking == requests[0]
    # At least once in the longest pause, and half of it apart on average.
    assert 0.9 < looks / (OUTAGE / LONGEST_BACKOFF) < 2.4
    await pass_time(service, others, PATIENCE + timedelta(minutes=3))
    for job_id in jobs:
        job = await service.job(job_id)
        assert (job["progressMessage"], job["completedAt"]) == (REASON, None)
        assert (await service.trail(job_id)).count(REASON) == 1

    provider.asked()
    provider.is_down = False
    slices = []
    for _ in range(7):
        await pass_time(service, jobs, timedelta(seconds=10))
        slices.append(provider.asked())
    came_back = sum(slices, Counter[str]())
    assert came_back.keys() == set(requests)
    assert max(came_back.values()) == 1
    # By chance alone 12 of 16 come within the same ten seconds once in ten thousand runs.
    assert max(len(each) for each in slices) < 12

    for job_id in jobs:
        await service.until(job_id, "completed")
        counted = await service.simulated(job_id)
        assert (counted["accepted"], counted["billed"], counted["status_calls"]) == (1, 1, 1)
    fresh = await service.create("a fresh one")
    await service.until(fresh, "completed")
