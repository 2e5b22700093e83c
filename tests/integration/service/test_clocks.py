"""The wall clock of the API and of the worker jumps while they run: no job is lost, and what is refused says why."""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from platform import machine
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from reelay.db.tables import AttemptState, SubmissionAttempt, WebhookDelivery
from reelay.domain.progress import SPANS
from tests.eventually import eventually
from tests.integration.service.processes import as_processes
from tests.running import Service
from tests.servers import Servers

pytestmark = pytest.mark.skipif(
    (sys.platform, machine()) != ("linux", "x86_64"), reason="libfaketime is built for Linux on x86-64 alone"
)
SECRETS = {"fal_key": "key:secret", "webhook_token_secret": "a secret for tests", "api_key_pepper": "pepper for tests"}
WINDOW = timedelta(seconds=3)
SLACK = timedelta(minutes=5)
"""A slow machine's, and half of the smallest jump."""
IN_DOUBT = "submit=drop, webhook=lost"


@dataclass(frozen=True)
class WallClock:
    """Of processes that look at this file whenever they ask for the time; their monotonic clock is left alone."""

    file: Path

    @property
    def environment(self) -> Mapping[str, str]:
        package = find_spec("libfaketime")
        assert package
        assert package.origin
        return {
            "LD_PRELOAD": str(Path(package.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @contextmanager
    def off_by(self, offset: timedelta) -> Iterator[None]:
        self._jump(offset)
        try:
            yield
        finally:
            self._jump(timedelta(0))

    def _jump(self, offset: timedelta) -> None:
        # Replaced at once, for it is read at any moment.
        new = self.file.with_suffix(".new")
        new.write_text(f"{offset.total_seconds():+.0f}\n")
        new.replace(self.file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    wall_clock = WallClock(tmp_path_factory.mktemp("clock") / "offset")
    with wall_clock.off_by(timedelta(0)):
        return wall_clock


@pytest.fixture(scope="module")
async def service(
    servers: Servers, clock: WallClock, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder, window = tmp_path_factory.mktemp("clocks"), str(WINDOW.total_seconds())
    environment = {**clock.environment, "ADOPTION_WINDOW_SECONDS": window}
    async with as_processes(servers, folder, SECRETS, environment) as running, await running.user("ann") as ann:
        running.client.headers.update(ann.headers)
        yield running


async def is_told(service: Service, words: str) -> None:
    """A job that completes, and whose webhook is taken; where the machine was too slow for it, when fal repeats it."""
    job_id = await service.create(words)
    await service.until(job_id, "completed")
    sent = await service.deliveries(job_id, count=1)
    while sent[-1]["status_code"] == 503:
        sent = await service.deliveries(job_id, count=len(sent) + 1)
    assert sent[-1]["status_code"] == 200
    assert (await service.simulated(job_id))["accepted"] == 1


async def shows(service: Service, moment: datetime) -> None:
    """Wait until the API dates its answers about so. Its server looks at the clock once a second."""

    async def is_shown() -> bool:
        return abs(await shown_time(service) - moment) <= SLACK

    await eventually(is_shown)


async def shown_time(service: Service) -> datetime:
    return parsedate_to_datetime((await service.client.get("/healthz")).headers["date"])


async def forget_when_it_was_lost(service: Service, job_id: str) -> None:
    """As if the worker had died before it could write that down. One that is found already on a slow machine stays."""
    await service.until(job_id, "uncertain", "completed")
    async with service.sessions.begin() as session:
        await session.execute(
            update(SubmissionAttempt)
            .where(
                col(SubmissionAttempt.job_id) == UUID(job_id), col(SubmissionAttempt.state) == AttemptState.UNCERTAIN
            )
            .values(state=AttemptState.SENDING, answered_at=None)
        )


def moments(job: Mapping[str, Any]) -> list[datetime]:
    return [datetime.fromisoformat(job[name]) for name in ("createdAt", "submittedAt", "completedAt") if job[name]]


@pytest.mark.fault("O7")
@pytest.mark.parametrize("offset", [timedelta(minutes=10), timedelta(hours=-1)], ids=["ahead", "back"])
async def test_clock_that_jumps_refuses_webhooks_and_delays_no_job(
    service: Service, clock: WallClock, offset: timedelta
) -> None:
    await is_told(service, f"control, {offset}")
    before = await shown_time(service)
    waiting = await service.create(f"waits through a jump of {offset} [sim: latency=10m]")
    left = (await service.until_accepted(waiting))["secondsLeft"]
    with clock.off_by(offset):
        await shows(service, before + offset)
        lost = await service.create(f"lost and listed, {offset} [sim: {IN_DOUBT}, listing=late:1s]")
        await forget_when_it_was_lost(service, lost)
        gone = await service.create(f"lost for good, {offset} [sim: {IN_DOUBT}, listing=lost]")
        shown = await service.job(waiting)
        assert 0 <= (shown["secondsLeft"] or 0) <= left + 10
        least, most = SPANS[shown["stage"]]
        assert least <= shown["progress"] <= most
        await service.servers.end_at_provider(waiting)
        ended = [await service.until(job_id, "completed") for job_id in (waiting, lost)]
        ended.append(await service.until(gone, "failed"))
        refused = (await service.deliveries(waiting, count=1))[0]

    assert ended[-1]["errorCode"] == "unknown_outcome"
    assert refused["status_code"] == 401
    for job in ended:
        counted = await service.simulated(job["id"])
        assert counted["accepted"] == 1
        assert moments(job) == sorted(moments(job))
    # The window of the adoption is Temporal's to measure, not the worker's.
    created, *_, failed = moments(ended[-1])
    assert WINDOW <= failed - created < WINDOW + SLACK
    async with service.sessions() as session:
        logged = select(WebhookDelivery).where(col(WebhookDelivery.job_id) == UUID(waiting))
        # The provider's next try may have come since, by the right clock.
        refusals = [each.detail for each in await session.scalars(logged) if each.verdict == "stale"]
    assert refusals
    assert all("our clock" in detail for detail in refusals)
    stale = 'reelay_webhooks_total{provider="fal",verdict="stale"}'
    assert stale in (await service.client.get("/metrics")).text
    await is_told(service, f"a fresh one after {offset}")
