"""The provider is down for three hours: real steps and a real simulator, on runs whose time is skipped."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from activities.errors import LONGEST_BACKOFF
from lab.simulator.app import create_simulator
from lab.simulator.settings import SimulatorSettings
from tests.running import Service, running_service
from tests.servers import Servers, listening, loopback_socket

OUTAGE = timedelta(hours=3)
PATIENCE = timedelta(minutes=10)
MANY = timedelta(minutes=3)
"""Of polling, which make each pause between two looks one of the longest."""
LOOK = re.compile(r"/requests/([^/]+)/status$")
WAITING = "Waiting for fal, which is not available at the moment"
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


def skipper(service: Service) -> TimeSkipper:
    # Temporal's own limit is 200 skips, and each look is one.
    return TimeSkipper(service.temporal, config=TimeSkippingConfig(max_session_skip_count=1000))


async def pass_time(service: Service, jobs: Iterable[str], duration: timedelta) -> None:
    """On the clocks of their runs, which wait for steps under way. Those that are over need none."""

    async def forward(job_id: str) -> None:
        try:
            await skipper(service).fast_forward(service.run(job_id), duration)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    await asyncio.gather(*map(forward, jobs))


async def last_look(service: Service, job_id: str) -> datetime:
    """When the provider was asked the last time, on the clock of the job's run."""
    events = (await service.run(job_id).fetch_history()).events
    polls = {each.event_id for each in events if each.activity_task_scheduled_event_attributes.activity_id == "poll-1"}
    (started,) = (each for each in events if each.activity_task_started_event_attributes.scheduled_event_id in polls)
    return started.event_time.ToDatetime(UTC)


@pytest.mark.fault("S4")
async def test_jobs_outlive_three_hours_without_their_provider_and_come_back_one_by_one(
    service: Service, provider: Provider
) -> None:
    control = await service.create("control")
    await service.until(control, "completed")
    numbers = range(16)
    jobs = await asyncio.gather(*(service.create(f"number {number} [sim: webhook=lost]") for number in numbers))
    submitted = await asyncio.gather(*(service.until_accepted(job_id) for job_id in jobs))
    requests = [job["falRequestId"] for job in submitted]
    assert provider.asked().keys().isdisjoint(requests)

    provider.is_down = True
    # Each look costs, so the others join the first one for the last minutes alone.
    longest, *others = jobs
    await asyncio.gather(pass_time(service, [longest], PATIENCE + OUTAGE), pass_time(service, others, PATIENCE + MANY))
    # At least once in the longest pause, and half of it apart on average.
    assert 0.9 < provider.asked()[requests[0]] / (OUTAGE / LONGEST_BACKOFF) < 2.4
    for job_id in jobs:
        job = await service.job(job_id)
        assert (job["progressMessage"], job["waitingFor"], job["completedAt"]) == (WAITING, "provider", None)
        assert (await service.trail(job_id)).count(REASON) == 1

    clocks = [await skipper(service).get_current_time(service.run(job_id)) for job_id in jobs]
    provider.asked()
    provider.is_down = False
    # At once: where one skip ends before the next look is due, the following one makes Temporal take it at its end.
    await pass_time(service, jobs, LONGEST_BACKOFF + timedelta(seconds=10))
    for job_id in jobs:
        await service.until(job_id, "completed")
        counted = await service.simulated(job_id)
        assert (counted["accepted"], counted["billed"], counted["status_calls"]) == (1, 1, 1)
    assert provider.asked() == Counter(requests)
    waits = [await last_look(service, job_id) - then for job_id, then in zip(jobs, clocks, strict=True)]
    # They stood still together. By chance alone fifteen come within ten seconds once in a million runs.
    assert max(waits[1:]) - min(waits[1:]) > timedelta(seconds=10)
    assert max(Counter(int(wait.total_seconds()) for wait in waits).values()) < len(jobs) / 2

    fresh = await service.create("a fresh one")
    await service.until(fresh, "completed")
