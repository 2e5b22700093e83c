"""What a user has who comes by a token, and a service without credits."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import col, select

from reelay import operators
from reelay.db.audit_log import Actor
from reelay.db.credits import ledger_drift, top_up
from reelay.db.deletion import anonymise_user
from reelay.db.tables import CreditEntry
from reelay.db.users import find_or_create_user, find_user
from tests.acceptance.browser.second_api import SecondApi
from tests.eventually import PATIENCE, eventually
from tests.integration.api.issuer import SECRET, by_secret, claims
from tests.running import Job, Service, running_service, until
from tests.servers import Servers

START = 3_000_000_000
"""Cents; more than fit into 32 bits."""


@pytest.fixture(scope="module")
async def generous(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(
        servers, webhook_patience=60, jwt_secret=SECRET, starting_credits_cents=START
    ) as service:
        yield service


def caller(origin: str, subject: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {by_secret(claims(sub=subject))}"}
    return httpx.AsyncClient(base_url=origin, headers=headers, timeout=PATIENCE)


async def entries_of(service: Service, subject: str) -> list[tuple[str, int, str | None]]:
    statement = select(CreditEntry).where(col(CreditEntry.user_id) == UUID(subject)).order_by(col(CreditEntry.id))
    async with service.sessions() as session:
        assert await ledger_drift(session) == []
        return [(entry.phase, entry.available_cents, entry.reference) for entry in await session.scalars(statement)]


async def test_first_requests_that_come_at_once_bring_the_credits_once(generous: Service) -> None:
    subject = str(uuid4())
    second = SecondApi(generous.settings)
    await second.start()
    try:
        async with caller(generous.origin, subject) as one, caller(second.origin, subject) as other:
            answers = await asyncio.gather(*(client.get("/api/credits") for client in [one, other] * 8))
    finally:
        await second.stop()

    assert {answer.json()["availableCents"] for answer in answers} == {START}
    assert await entries_of(generous, subject) == [("top_up", START, "starting credits")]


async def test_a_user_who_was_there_before_gets_none(generous: Service) -> None:
    subject = str(uuid4())
    async with generous.sessions.begin() as session:
        await top_up(session, await find_or_create_user(session, subject), 700)
    async with caller(generous.origin, subject) as client:
        assert (await client.get("/api/credits")).json()["availableCents"] == 700


async def test_what_was_issued_to_a_deleted_user_makes_no_new_one_and_what_is_issued_later_does(
    generous: Service,
) -> None:
    subject, now = str(uuid4()), int(time.time())
    old, undated = (by_secret(claims(sub=subject, iat=iat)) for iat in (now - 60, None))
    async with httpx.AsyncClient(base_url=generous.origin, timeout=PATIENCE) as client:

        async def answer(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return (await client.get("/api/credits", headers=headers)).status_code

        assert await answer(old) == 200
        asked = await client.post("/api/events/token", headers={"authorization": f"Bearer {old}"})
        async with generous.sessions.begin() as session:
            await operators.delete(session, Actor(None, "test"), subject)
            assert await anonymise_user(session, UUID(subject))

        assert await answer(undated) == 401

        async def is_refused() -> bool:
            return await answer(old) == 401

        await eventually(is_refused)
        assert (await client.get("/api/events", params={"token": asked.json()["token"]})).status_code == 401
        async with generous.sessions() as session:
            assert await find_user(session, subject) is None

        assert await answer(by_secret(claims(sub=subject, iat=int(time.time()) + 2))) == 200
        assert await answer(undated) == 401
    assert [phase for phase, *_ in await entries_of(generous, subject)] == ["top_up"]


async def completed(client: httpx.AsyncClient, job_id: str) -> Job:
    return await until(client, f"/api/jobs/{job_id}", "completed")


async def test_a_service_without_credits_takes_none_and_the_switch_harms_nothing(generous: Service) -> None:
    poor, rich = str(uuid4()), str(uuid4())
    words = {"text": "Hello. [sim: latency=10m]"}
    unmetered = SecondApi(generous.settings.model_copy(update={"unmetered": True, "starting_credits_cents": 0}))
    await unmetered.start()
    try:
        async with caller(unmetered.origin, poor) as free, caller(generous.origin, rich) as paying:
            taken = (await free.post("/api/generate/voice", json=words)).json()["jobId"]
            paid = (await paying.post("/api/generate/voice", json=words)).json()["jobId"]
            shown = (await free.get("/api/credits")).json()
            async with await generous.user(f"limited {uuid4()}", credits=0, key_budget_cents=0) as limited:
                limit = await limited.post(f"{unmetered.origin}/api/generate/voice", json=words)
            # While both are under way, each user goes on by the other setting.
            async with caller(generous.origin, poor) as metered, caller(unmetered.origin, rich) as freed:
                refused = await metered.post("/api/generate/voice", json=words)
                also_taken = (await freed.post("/api/generate/voice", json=words)).json()["jobId"]
                for client, job_id in ((free, taken), (paying, paid), (paying, also_taken)):
                    await until(client, f"/api/jobs/{job_id}", "in_progress")
                    await generous.servers.end_at_provider(job_id)
                jobs = [
                    await completed(metered, taken),
                    await completed(freed, paid),
                    await completed(freed, also_taken),
                ]
                left = (await freed.get("/api/credits")).json()
    finally:
        await unmetered.stop()

    assert shown == {"balanceCents": 0, "heldCents": 0, "availableCents": 0, "unmetered": True}
    assert refused.status_code == 402
    assert (limit.status_code, limit.json()["code"]) == (402, "KEY_BUDGET_SPENT")  # a key's limit is no credit
    charged = [job["creditsDeducted"] for job in jobs]
    assert charged == [0, jobs[1]["actualCostCents"], 0]
    assert left["availableCents"] == START - jobs[1]["actualCostCents"]
    assert await entries_of(generous, poor) == []
    assert [phase for phase, _, _ in await entries_of(generous, rich)] == ["top_up", "hold", "settle"]
