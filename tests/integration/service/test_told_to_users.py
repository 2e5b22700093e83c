"""What users read of jobs that wait for an operator: what it means for the job, and nothing of accounts, keys or us."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from reelay.db.engine import as_user, make_engine, make_sessions
from reelay.db.tables import GenerationJob, Scope
from tests.eventually import eventually
from tests.integration.api.shared import problem
from tests.integration.api.streams import opened
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.domain.test_messages import THE_OPERATORS

SEEDANCE = "seedance-1-lite"
LANGUAGES = ("en", "fr", "pt")


async def told(service: Service, job_id: str) -> str:
    """All that the job's user reads of it, as sentences and facts, in all languages."""
    answers: list[Any] = []
    for language in LANGUAGES:
        headers = {"accept-language": language}
        for address in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/history", "/api/jobs"):
            answers.append((await service.client.get(address, headers=headers)).json())
        said = await service.client.post("/api/chat", json={"message": f"/status {job_id}"}, headers=headers)
        answers.append(said.json())
    async with opened(service.client, f"/api/jobs/{job_id}/events") as events:
        answers.append(vars(await events.next()))
    return re.sub(re.escape(service.origin), "", json.dumps(answers, default=str))


async def says(service: Service, job_id: str, words: str) -> None:
    """Once the operators' timeline does."""

    async def it_does() -> bool:
        return any(words in line for line in await service.trail(job_id))

    await eventually(it_does)


Waiting = tuple[Service, list[str]]


@pytest.fixture(scope="module")
async def waits_in_vain(servers: Servers) -> AsyncIterator[Waiting]:
    async with running_service(servers, worker=False, webhook_patience=60, adoption_window=2) as service:
        unsent = await service.create("a fox", model=SEEDANCE)
        without = replace(service, settings=service.settings.model_copy(update={"replicate_api_token": None}))
        async with without.worker():
            await service.until(unsent, "failed")
            lost = await service.create("[sim: submit=drop, webhook=lost]")
            await service.until(lost, "failed", "completed")
            locked = await service.create("[sim: submit=403-locked]")
            await says(service, locked, "locked")
            yield service, [unsent, lost, locked]


async def test_users_read_nothing_of_the_operators(waits_in_vain: Waiting) -> None:
    service, jobs = waits_in_vain
    for job_id in jobs:
        assert THE_OPERATORS.findall(await told(service, job_id)) == []


TEXTS = """
    select progress_message, error_message from generation_jobs
    union all select message, error from video_generations
"""


async def test_users_who_read_the_table_read_nothing_of_the_operators(waits_in_vain: Waiting) -> None:
    """As Supabase's own clients do, under row-level security."""
    service, jobs = waits_in_vain
    async with service.sessions() as session:
        owner = (await session.get_one(GenerationJob, UUID(jobs[0]))).user_id
    engine = make_engine(str(service.settings.database_url.get_secret_value()))
    async with as_user(make_sessions(engine), owner) as session:
        texts = [said for row in await session.execute(text(TEXTS)) for said in row if said]
    await engine.dispose()
    assert len(texts) > len(jobs)
    assert THE_OPERATORS.findall("\n".join(texts)) == []


async def test_operators_read_the_causes(waits_in_vain: Waiting) -> None:
    service, (unsent, _, locked) = waits_in_vain
    async with await service.user("operator", scope=Scope.ADMIN) as operator:
        for job_id, cause in ((unsent, "REPLICATE_API_TOKEN"), (locked, "locked")):
            history = (await operator.get(f"/api/admin/jobs/{job_id}/history")).json()["data"]
            assert any(cause in event["detail"] for event in history)
        problem(await operator.get(f"/api/admin/jobs/{UUID(int=1)}/history"), 404, "NOT_FOUND")
    problem(await service.client.get(f"/api/admin/jobs/{locked}/history"), 403, "FORBIDDEN")
