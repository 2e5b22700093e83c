"""A mistake of ours, on the way through the real parts: told in the history, never paid twice, and not for ever."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.final_pushes import StoredFinalPushes
from activities.inputs import Attempt
from activities.retries import TRIES
from activities.submission import SubmissionActivities
from reelay.db.generations import generation_of
from reelay.db.retries import INTERNAL_ERROR_OF, record_retry
from reelay.db.tables import GenerationJob, Scope
from reelay.domain.generation import ProviderName, Submission
from reelay.providers.provider import Provider, SubmissionRequest
from reelay.providers.registry import open_providers
from tests.running import Service, running_service
from tests.servers import Servers

BROKEN_COMPLETION = (
    """
    create function break_completion() returns trigger language plpgsql as $$ begin
        raise exception 'a mistake of the tests';
    end $$
    """,
    """
    create trigger break_completion before update on generation_jobs
    for each row when (new.status = 'completed') execute function break_completion()
    """,
)


@pytest.fixture
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=60) as running:
        yield running


async def history(service: Service, job_id: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = (await service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]
    return lines


async def test_history_tells_why_and_when_it_is_tried_again(service: Service) -> None:
    job_id = await service.create("gone at first [sim: media=expired:1]")
    await service.until(job_id, "completed")
    async with await service.user("operator", scope=Scope.ADMIN) as operator:
        told = (await operator.get(f"/api/admin/jobs/{job_id}/history")).json()["data"]
    (line,) = [line for line in await history(service, job_id) if "retryAt" in line["data"]]
    (cause,) = [line["detail"] for line in told if "retryAt" in line["data"]]

    assert line["data"]["activity"] == "archive"
    assert line["data"]["attempt"] == 1
    assert datetime.fromisoformat(line["data"]["retryAt"]) >= datetime.fromisoformat(line["at"]).replace(microsecond=0)
    assert line["detail"] == f"It did not work at once; trying again at {line['data']['retryAt'][11:19]} UTC"
    assert cause.startswith("Trying again at")
    assert "410" in cause


@pytest.mark.fault("S13")
async def test_completion_that_fails_by_a_mistake_ends_the_job_and_releases_its_hold(service: Service) -> None:
    job_id = await service.create("a harbour [sim: latency=10m]")
    await service.until_accepted(job_id)
    async with service.sessions.begin() as session:
        for statement in BROKEN_COMPLETION:
            await session.execute(text(statement))
        for _ in range(TRIES - 1):  # all but the last have failed already
            mark = {INTERNAL_ERROR_OF: "complete"}
            assert await record_retry(session, UUID(job_id), "An internal error", at=datetime.now(UTC), **mark)
    await service.servers.end_at_provider(job_id)
    job = await service.until(job_id, "failed")

    assert (job["errorCode"], job["actualCostCents"]) == ("internal_error", 0)
    assert "a mistake of the tests" not in str(job)
    assert (await service.client.get("/api/credits")).json()["heldCents"] == 0
    assert (await service.trail(job_id))[-1] == "An internal error (DBAPIError) in complete"


@pytest.mark.fault("S13")
async def test_mistake_after_the_post_may_be_an_acceptance(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        job_id = await service.create("a harbour [sim: latency=10m]")
        async with service.sessions() as session:
            row = await session.get_one(GenerationJob, UUID(job_id))
        attempt = Attempt(generation=generation_of(row), number=1)
        async with open_providers(service.settings, StoredFinalPushes(service.sessions)) as providers:
            providers[ProviderName.FAL] = Unread(providers[ProviderName.FAL])
            submission = SubmissionActivities(service.settings, service.sessions, providers, service.slots)
            for _ in range(2):
                with pytest.raises(ApplicationError) as failed:
                    await ActivityEnvironment().run(submission.submit, attempt)
                assert (failed.value.type, failed.value.non_retryable) == ("SubmissionUncertain", True)

        assert (await service.simulated(job_id))["accepted"] == 1
        assert (await service.job(job_id))["stage"] == "uncertain"


class Unread:
    """A provider whose answer to the POST cannot be read."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def submit(self, request: SubmissionRequest) -> Submission:
        await self._provider.submit(request)
        raise TypeError("an answer that nobody can read")
