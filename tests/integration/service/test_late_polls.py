"""A poll's answer that comes when nobody waits for it any more does not move the row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.final_pushes import StoredFinalPushes
from activities.inputs import Accepted
from activities.polling import PollingActivities
from reelay.db.attempts import attempt_of, submission_of
from reelay.db.generations import generation_of
from reelay.db.tables import GenerationJob
from reelay.domain.generation import ProviderProgress, ProviderState, Submission
from reelay.providers.errors import ProviderNotConfigured, Unavailable
from reelay.providers.provider import Provider
from reelay.providers.registry import open_providers
from tests.integration.service.test_fallbacks import history
from tests.integration.service.test_slots import LONG, waits
from tests.running import Service, running_service
from tests.servers import Servers

Answer = ProviderProgress | Exception
ANSWERS = {
    "at work": ProviderProgress(state=ProviderState.RUNNING, percent=90),
    "away": Unavailable("fal answered HTTP 503"),
    "without a key": ProviderNotConfigured("FAL_KEY is missing"),
}
late_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())


class Late:
    """A provider that is asked at once, and answers when it is let go."""

    def __init__(self, provider: Provider, answer: Answer) -> None:
        self.is_asked, self.let_go = asyncio.Event(), asyncio.Event()
        self._provider = provider
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        self.is_asked.set()
        await self.let_go.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@asynccontextmanager
async def answered_after(service: Service, job_id: str, answer: Answer) -> AsyncIterator[None]:
    """A poll of the job is under way in the block, and gets its answer at the end of it."""
    async with service.sessions() as session:
        generation = generation_of(await session.get_one(GenerationJob, UUID(job_id)))
        submission = submission_of(await attempt_of(session, generation.id, 1))
    async with open_providers(service.settings, StoredFinalPushes(service.sessions)) as providers:
        late = providers[generation.provider] = Late(providers[generation.provider], answer)
        polling = PollingActivities(service.sessions, providers)
        accepted = Accepted(generation=generation, submission=submission)
        poll = asyncio.create_task(ActivityEnvironment().run(polling.poll, accepted))
        await late.is_asked.wait()
        yield
        late.let_go.set()
        with pytest.raises(ApplicationError):
            await poll


@pytest.fixture(scope="module")
async def narrow(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fal_concurrency=1, webhook_patience=60) as running:
        yield running


@late_answer
async def test_late_answer_does_not_take_a_job_back_from_the_archive(narrow: Service, answer: Answer) -> None:
    job_id = await narrow.create("a harbour [sim: latency=10m, media=slow:10m]")
    await narrow.until_accepted(job_id)
    async with answered_after(narrow, job_id, answer):
        await narrow.servers.end_at_provider(job_id)
        await narrow.until(job_id, "archiving")
    job = await narrow.job(job_id)
    last = (await history(narrow, job_id))[-1]

    assert (job["stage"], job["waitingFor"], last["stage"]) == ("archiving", None, "archiving")
    await narrow.client.post(f"/api/jobs/{job_id}/cancel")
    await narrow.until(job_id, "canceled")


@late_answer
async def test_late_answer_does_not_take_a_fallback_out_of_the_line_for_a_slot(narrow: Service, answer: Answer) -> None:
    running = await narrow.create(LONG)
    await narrow.until_accepted(running)
    failing = {"model": "seedance-1-lite", "input": {"prompt": "a harbour [sim: latency=10m, fail=500]"}}
    body = failing | {"fallbacks": [{"model": "veo3.1-fast", "input": {"prompt": LONG}}], "confirm": True}
    job_id = str((await narrow.client.post("/api/jobs", json=body)).json()["jobId"])
    await narrow.until_accepted(job_id)
    async with answered_after(narrow, job_id, answer):
        await narrow.servers.end_at_provider(job_id)
        await waits(narrow, job_id)
    async with narrow.sessions() as session:
        row = await session.get_one(GenerationJob, UUID(job_id))

    assert (row.status, row.stage, row.waiting_for, row.progress_percent) == ("pending", "waiting", "slot", 0)
    for each in (running, job_id):
        await narrow.until_accepted(each)
        await narrow.client.post(f"/api/jobs/{each}/cancel")
        await narrow.until(each, "canceled")
