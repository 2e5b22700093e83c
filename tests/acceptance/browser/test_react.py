"""What `useFalJob` promises, in Chromium."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Request

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.react import HOUR, nothing_is_asked_after_leaving, open_component
from tests.running import Service, until

DAY = 24 * HOUR
SHOWS = """expected => {
  const state = JSON.parse(document.querySelector("output").textContent);
  return Object.entries(expected).every(([name, value]) => state[name] === value);
}"""


@dataclass(frozen=True)
class Probe:
    """A component that shows what `useFalJob` returns."""

    page: Page
    client: httpx.AsyncClient
    """As the same user."""
    polls: list[str]
    """The request ids that were asked for."""

    async def give(self, **options: Any) -> None:
        """Renders it, with new callbacks each time. The clock of the page has to be moved on for a second poll."""
        await self.page.evaluate("options => give(options)", {"pollInterval": HOUR, "maxPollTime": DAY, **options})

    async def shows(self, **expected: Any) -> None:
        """Waits until it does."""
        await self.page.wait_for_function(SHOWS, arg=expected)

    async def told(self) -> list[list[str]]:
        """What the callbacks were."""
        told: list[list[str]] = await self.page.evaluate("() => told")
        return told

    async def later(self, milliseconds: int = HOUR) -> None:
        await self.page.clock.run_for(milliseconds)

    async def job(self, directive: str) -> dict[str, Any]:
        """A new job that its provider has taken."""
        words = {"prompt": f"watched by a hook [sim: {directive}]", "quality": "fast"}
        created = (await self.client.post("/api/generate/video", json=words)).json()
        return await until(self.client, created["statusUrl"], "submitted", "in_progress", "completed", "failed")

    async def cancel(self, job: dict[str, Any]) -> None:
        await self.client.post(f"/api/jobs/{job['id']}/cancel")
        await until(self.client, f"/api/jobs/{job['id']}", "canceled")


@pytest.fixture
async def probe(visit: Visit, service: Service) -> AsyncIterator[Probe]:
    visitor = await visit("prober")
    polls: list[str] = []

    def note(request: Request) -> None:
        if "/api/fal-jobs/" in request.url:
            polls.append(request.url.rpartition("/")[2])

    async with await service.user("prober") as client:
        visitor.page.on("request", note)
        await visitor.page.clock.install()
        await open_component(visitor, "Probe")
        yield Probe(visitor.page, client, polls)


async def test_the_hook_polls_in_its_interval_and_tells_the_end_once(probe: Probe) -> None:
    """StrictMode mounts it twice, and each render gives it new callbacks."""
    await probe.give(requestId=None)
    await probe.shows(job=None, isPolling=False, isCompleted=False, error=None)
    assert probe.polls == []

    job = await probe.job("latency=10m")
    request_id = job["falRequestId"]
    for _ in range(3):
        await probe.give(requestId=request_id)
        await probe.shows(job=job["id"], isPolling=True, isCompleted=False, error=None)
    assert probe.polls == [request_id]

    await probe.cancel(job)
    reason = (await probe.client.get(f"/api/fal-jobs/{request_id}")).json()["error"]
    await probe.later()
    await probe.shows(job=job["id"], isPolling=False, isCompleted=False, error=reason)
    assert await probe.told() == [["failed", reason]]
    assert probe.polls == [request_id] * 2


async def test_another_request_is_followed_in_place_of_the_first(probe: Probe) -> None:
    slow, quick = await probe.job("latency=10m"), await probe.job("latency=1ms")
    await until(probe.client, f"/api/jobs/{quick['id']}", "completed")
    await probe.give(requestId=slow["falRequestId"])
    await probe.shows(job=slow["id"], isPolling=True)
    await probe.give(requestId=quick["falRequestId"])
    await probe.shows(job=quick["id"], isPolling=False, isCompleted=True, error=None)

    await probe.later()
    assert await probe.told() == [["completed", quick["id"]]]
    assert probe.polls == [slow["falRequestId"], quick["falRequestId"]]
    await probe.cancel(slow)


async def test_a_network_that_fails_is_polled_through(probe: Probe) -> None:
    job = await probe.job("latency=1ms")
    await until(probe.client, f"/api/jobs/{job['id']}", "completed")

    await probe.page.route("**/api/fal-jobs/*", lambda route: route.abort(), times=1)
    async with probe.page.expect_event("requestfailed"):
        await probe.give(requestId=job["falRequestId"])
    await probe.page.route("**/api/fal-jobs/*", lambda route: route.fulfill(status=503), times=1)
    async with probe.page.expect_response("**/api/fal-jobs/*"):
        await probe.later()
    await probe.shows(job=None, isPolling=True, error=None)
    await probe.later()
    await probe.shows(job=job["id"], isPolling=False, isCompleted=True, error=None)


async def test_a_request_that_nobody_knows_ends_it(probe: Probe) -> None:
    await probe.give(requestId="nobody-knows")
    await probe.page.wait_for_function("() => told.length")
    await probe.shows(job=None, isPolling=False, isCompleted=False)
    await probe.later()
    ((end, reason),) = await probe.told()
    assert (end, probe.polls) == ("failed", ["nobody-knows"])
    await probe.shows(error=reason)


async def test_it_gives_up_after_its_time_and_stops_when_it_is_left(probe: Probe) -> None:
    job = await probe.job("latency=10m")
    await probe.give(requestId=job["falRequestId"], maxPollTime=HOUR)
    await probe.shows(job=job["id"], isPolling=True)
    await probe.later()
    await probe.shows(job=job["id"], isPolling=False, error="Timeout waiting for generation")

    await probe.give(requestId=None)
    await probe.shows(job=None, isPolling=False, error=None)
    await probe.give(requestId=job["falRequestId"])
    await probe.shows(job=job["id"], isPolling=True, error=None)
    await nothing_is_asked_after_leaving(probe.page)
    assert await probe.told() == [["failed", "Timeout waiting for generation"]]
    await probe.cancel(job)
