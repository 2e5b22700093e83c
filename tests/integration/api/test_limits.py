"""What one caller may ask for in a time, in all processes together; others do not notice."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reelay.db.users import find_user
from reelay.domain.access_pass import Holder
from reelay.domain.generation import media_address
from reelay.domain.media_link import link_key, sign_media_address
from tests.eventually import PATIENCE, eventually
from tests.integration.api.shared import problem
from tests.lock_waits import waits_for_a_lock
from tests.running import Service, running_service
from tests.servers import Database, Servers

VOICE = "/api/generate/voice"
WORDS = {"text": "Hello."}
REQUESTS: dict[str, Any] = {"requests_per_second": 1}
"""Slower than any machine that answers a flood."""
EVERY_CREATION: dict[str, Any] = {
    VOICE: WORDS,
    "/api/batches": {"jobs": [{"model": "eleven-v3", **WORDS}]},
    "/api/pipelines": {"steps": {"voice": {"kind": "voice", "input": WORDS}}},
}
LOCK_CREDITS = text("select from credit_accounts where user_id = :user for update")
LOCK_QUOTAS = text("select from quotas where user_id = :user for update nowait")
CREATIONS: dict[str, Any] = {"requests_per_second": 0, "creations_per_minute": 8, "concurrent_generations": 6}


@pytest.fixture(scope="module")
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture(scope="module")
async def hasty(servers: Servers, database: Database) -> AsyncIterator[Service]:
    """A service that is asked too often."""
    async with running_service(servers, worker=False, database=database, **REQUESTS) as service:
        yield service


@pytest.fixture(scope="module")
async def hasty_twin(servers: Servers, hasty: Service, database: Database) -> AsyncIterator[Service]:
    """A second process of it."""
    async with running_service(servers, worker=False, database=database, **REQUESTS) as service:
        yield service


@pytest.fixture(scope="module")
async def limited(servers: Servers, database: Database) -> AsyncIterator[Service]:
    async with running_service(servers, worker=False, database=database, **CREATIONS) as service:
        yield service


@pytest.fixture(scope="module")
async def twin(servers: Servers, limited: Service, database: Database) -> AsyncIterator[Service]:
    """A second process of the same service."""
    async with running_service(servers, worker=False, database=database, **CREATIONS) as service:
        yield service


def counted(answers: Sequence[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def end_all(service: Service) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text("update generation_jobs set status = 'failed'"))


@pytest.mark.fault("T14")
async def test_a_flood_is_refused_and_others_are_not(hasty: Service, hasty_twin: Service) -> None:
    async with await hasty.user("carl") as carl, await hasty.user("bob") as bob:
        begun = time.monotonic()
        flood = asyncio.gather(
            *(carl.get(f"{each.origin}/api/jobs") for each in (hasty, hasty_twin) for _ in range(100))
        )
        others = await asyncio.gather(*(bob.get("/api/jobs") for _ in range(8)))
        answers = await flood
        came_back = time.monotonic() - begun
        refused = next(answer for answer in answers if answer.status_code == 429)

    assert 10 <= counted(answers)[200] <= 10 + came_back
    assert counted(answers).keys() == {200, 429}
    assert counted(others) == {200: 8}
    problem(refused, 429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit-policy"] == '"requests";q=10;w=10'
    assert re.fullmatch(r'"requests";r=0;t=\d+', refused.headers["ratelimit"])


async def test_refused_requests_are_answered_again_after_a_while(hasty: Service) -> None:
    async with await hasty.user("dora") as dora:
        answers = await asyncio.gather(*(dora.get("/api/jobs") for _ in range(80)))
        assert counted(answers)[429]

        async def is_answered() -> bool:
            return (await dora.get("/api/jobs")).status_code == 200

        await eventually(is_answered, every=0.2)


async def test_no_more_than_so_many_generations_live_at_once(limited: Service, twin: Service) -> None:
    async with await limited.user("erin") as erin:
        answers = await asyncio.gather(
            *(erin.post(f"{each.origin}{VOICE}", json=WORDS) for each in (limited, twin) for _ in range(10))
        )
        refused = next(answer for answer in answers if answer.status_code == 429)

        assert counted(answers) == {202: 6, 429: 14}
        problem(refused, 429, "RATE_LIMITED")
        assert refused.headers["retry-after"]
        assert len((await erin.get("/api/jobs")).json()["data"]) == 6
        await end_all(limited)
        assert (await erin.post(VOICE, json=WORDS)).status_code == 202


async def test_no_more_than_so_many_generations_a_minute(limited: Service) -> None:
    """What was refused for another reason does not count, and what is only repeated is answered still."""
    async with await limited.user("fred") as fred:
        assert (await fred.post(VOICE, json={"text": ""})).status_code == 422
        first = await fred.post(VOICE, json=WORDS, headers={"idempotency-key": "first"})
        assert first.headers["ratelimit-policy"] == '"creations";q=8;w=60'
        assert first.headers["ratelimit"] == '"creations";r=7;t=8'
        answers: list[httpx.Response] = []
        while not answers or answers[-1].status_code == 202:  # as long as more than eight a minute come back
            await end_all(limited)
            answers.append(await fred.post(VOICE, json=WORDS))
        refused = answers.pop()
        repeated = await fred.post(VOICE, json=WORDS, headers={"idempotency-key": "first"})

    assert len(answers) >= 7
    problem(refused, 429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["retry-after"]) <= 8
    assert refused.headers["ratelimit-policy"] == '"creations";q=8;w=60'
    assert repeated.status_code == 202
    assert repeated.json()["jobId"] == first.json()["jobId"]


@pytest.mark.parametrize("path", EVERY_CREATION)
async def test_every_creation_takes_its_quota_before_its_credits(limited: Service, path: str) -> None:
    """All in one order, so that no two creations of a user wait for each other."""
    async with limited.for_user("orderly") as mine:
        assert (await mine.client.post(VOICE, json=WORDS)).status_code == 202  # now there are rows to lock
        async with mine.sessions.begin() as holder:
            user = await find_user(holder, mine.user_name)
            assert user
            await holder.execute(LOCK_CREDITS, {"user": user.id})
            creating = asyncio.create_task(mine.client.post(path, json=EVERY_CREATION[path]))
            await eventually(partial(waits_for_a_lock, mine.sessions))
            async with mine.sessions() as asker:
                with pytest.raises(DBAPIError, match="could not obtain lock"):
                    await asker.execute(LOCK_QUOTAS, {"user": user.id})
        assert (await creating).is_success


async def test_zero_is_no_limit_and_one_limit_holds_without_the_others(servers: Servers) -> None:
    async with running_service(
        servers, worker=False, requests_per_second=0, creations_per_minute=0, concurrent_generations=2
    ) as service:
        answers = await asyncio.gather(*(service.client.post(VOICE, json=WORDS) for _ in range(20)))
        reads = await asyncio.gather(*(service.client.get("/api/jobs") for _ in range(50)))

    assert counted(answers) == {202: 2, 429: 18}
    assert counted(reads) == {200: 50}
    assert "ratelimit" not in next(answer for answer in answers if answer.status_code == 202).headers


async def test_reads_by_a_link_are_limited_and_take_nothing_from_the_users_requests(hasty: Service) -> None:
    async with hasty.for_user("linked") as mine:
        async with mine.sessions() as session:
            user = await find_user(session, mine.user_name)
        assert user
        pepper = mine.settings.api_key_pepper.get_secret_value().encode()
        link = sign_media_address(
            link_key(pepper), Holder(user_id=user.id), media_address(uuid4(), "a.mp4"), now=time.time()
        )
        async with httpx.AsyncClient(base_url=mine.origin, timeout=PATIENCE) as anybody:
            answers = [await anybody.get(link) for _ in range(30)]
        assert counted(answers).keys() == {404, 429}
        assert (await mine.client.get("/api/credits")).status_code == 200
