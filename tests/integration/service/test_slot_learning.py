"""A limit that is `auto` follows what the provider runs at once, and its operator sees why."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import text

from activities.slot_learning import SlotLearning
from reelay.db.tables import Scope
from reelay.domain.generation import ProviderName, ProviderProgress, ProviderState, Submission
from reelay.domain.learned_limit import Learned
from reelay.providers.registry import Providers
from tests.eventually import eventually
from tests.integration.api.shared import wrong_fields
from tests.integration.service.test_slots import LONG
from tests.running import Service, running_service
from tests.servers import Servers

LONG_AGO = (
    "update learned_limits set at = at - interval '1 minute'",
    "update submission_attempts set sent_at = sent_at - interval '30 seconds'",
)


class Account:
    """A provider that is in one state with all that it has."""

    def __init__(self, state: ProviderState) -> None:
        self.state = state
        self.asked: list[str] = []

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        self.asked.append(submission.request_id)
        return ProviderProgress(state=self.state)


async def pass_time(service: Service) -> None:
    for statement in LONG_AGO:
        await change(service, statement)


async def change(service: Service, statement: str) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text(statement))


async def learned(operator: httpx.AsyncClient) -> list[tuple[int, str]]:
    changes = (await operator.get("/api/admin/providers/fal/learned-limits")).json()["data"]
    return [(change["slots"], change["lesson"]) for change in changes]


@pytest.fixture(scope="module")
async def shared(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fal_concurrency="auto", webhook_patience=60) as running:
        yield running


@pytest.fixture(scope="module")
async def operator(shared: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await shared.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def test_limit_rises_while_jobs_wait_and_falls_when_the_provider_queues(
    shared: Service, operator: httpx.AsyncClient
) -> None:
    busy, full = Account(ProviderState.RUNNING), Account(ProviderState.QUEUED)
    jobs = [await shared.create(LONG) for _ in range(3)]

    async def has_risen() -> bool:
        await pass_time(shared)
        await learning(shared, busy).learn()
        return (3, "all_run") in await learned(operator)

    await eventually(has_risen)
    assert (await learned(operator))[:2] == [(3, "all_run"), (2, "begun")]
    for job_id in jobs:
        await shared.until_accepted(job_id)
    (fal,) = [each for each in (await operator.get("/api/admin/providers")).json()["data"] if each["provider"] == "fal"]
    assert (fal["slots"], fal["isLearned"]) == (3, True)

    # What was sent before the limit was changed says nothing of the new one.
    await change(shared, "update learned_limits set at = now()")
    await learning(shared, full).learn()
    assert full.asked == []
    await change(shared, "update learned_limits set at = at - interval '1 hour'")
    await pass_time(shared)
    await learning(shared, full).learn()
    assert (await learned(operator))[0] == (2, "queued")
    assert len(full.asked) == 3
    for job_id in jobs:
        await shared.servers.end_at_provider(job_id)
        await shared.until(job_id, "completed")


def learning(service: Service, account: Account) -> SlotLearning:
    providers = cast(Providers, {ProviderName.FAL: account})
    return SlotLearning(service.sessions, providers, service.settings.slots)


async def test_operator_has_a_limit_learned_where_the_provider_can_be_asked(operator: httpx.AsyncClient) -> None:
    async def limited(provider: str, **words: Any) -> httpx.Response:
        return await operator.post(f"/api/admin/providers/{provider}/limit", json={"slots": Learned.AUTO, **words})

    assert (await limited("replicate")).json()["slots"] == "auto"
    assert wrong_fields(await limited("studio")) == ["slots"]
    assert (await limited("fal", endpoint="fal-ai/veo3.1")).status_code == 422
    assert (await operator.post("/api/admin/providers/replicate/limit", json={"slots": None})).json()["slots"] is None
