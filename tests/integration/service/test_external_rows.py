"""Rows that another backend wrote into the table: what it has bought is never bought again."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from reelay.cli.external import start
from reelay.domain.reconciliation import Reconciled
from tests.eventually import PATIENCE
from tests.integration.service.reconciling import reconcile
from tests.running import Service, running_service
from tests.servers import Database, Servers

ENDPOINT = "fal-ai/veo3.1/fast"


@dataclass(frozen=True)
class Backend:
    """An application of before, with SQL of its own and the provider's key."""

    connection: asyncpg.Connection
    service: Service
    user: UUID

    async def insert(self, prompt: str, **columns: Any) -> str:
        values = {
            "user_id": self.user,
            "job_type": "video_veo31",
            "status": "pending",
            "input_params": json.dumps({"prompt": prompt, "duration": 6, "quality": "fast"}),
            "estimated_cost_cents": 240,
        } | columns
        names, places = ", ".join(values), ", ".join(f"${number}" for number in range(1, len(values) + 1))
        statement = f"insert into generation_jobs ({names}) values ({places}) returning id"
        return str(await self.connection.fetchval(statement, *values.values()))

    async def submit(self, prompt: str) -> dict[str, Any]:
        """The provider's answer to a POST of its own."""
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.post(
                f"{self.service.servers.simulator}/{ENDPOINT}",
                json={"prompt": prompt, "duration": "6s"},
                headers={"authorization": "Key key:secret"},
            )
        answer.raise_for_status()
        queued: dict[str, Any] = answer.json()
        return queued

    async def note_submission(self, job: str, queued: dict[str, Any], *, addresses: bool = True) -> None:
        await self.connection.execute(
            "update generation_jobs set fal_request_id = $2, fal_status_url = $3, fal_response_url = $4,"
            " status = 'submitted', submitted_at = now() where id = $1",
            UUID(job),
            queued["request_id"],
            queued["status_url"] if addresses else None,
            queued["response_url"] if addresses else None,
        )

    async def posts(self, prompt: str) -> int:
        """How often the provider was asked for it."""
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            seen = (await client.get(f"{self.service.servers.simulator}/__sim/requests")).json()
        return sum(request["input"].get("prompt") == prompt for request in seen)

    async def row(self, job: str) -> dict[str, Any]:
        return dict(await self.connection.fetchrow("select * from generation_jobs where id = $1", UUID(job)) or {})


@pytest.fixture
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture
async def backend(servers: Servers, database: Database) -> AsyncIterator[Backend]:
    async with running_service(servers, database=database) as service:
        connection = await asyncpg.connect(database.service_url)
        user = await connection.fetchval("select id from users where name = 'ann'")
        yield Backend(connection, service, user)
        await connection.close()


@pytest.mark.parametrize("addresses", [True, False], ids=["with its addresses", "by its request id alone"])
async def test_open_row_with_a_request_is_followed_and_not_bought_again(backend: Backend, addresses: bool) -> None:
    prompt = f"a harbour {uuid4()} [sim: latency=10m]"
    job_id = await backend.insert(prompt)
    await backend.note_submission(job_id, await backend.submit(prompt), addresses=addresses)

    assert await reconcile(backend.service) == Reconciled(checked=1, resumed=1, taken_over=1)
    await backend.service.servers.end_all_at_provider()
    job = await backend.service.until(job_id, "completed")
    assert job["files"]
    assert job["resultUrl"]
    assert await backend.posts(prompt) == 1
    assert "Reconciled: another backend has submitted it; following its request" in await backend.service.trail(job_id)
    row = await backend.row(job_id)
    assert (row["charged_cents"], row["credits_deducted"], row["origin"]) == (0, False, "external")
    assert await reconcile(backend.service) == Reconciled()


async def test_row_without_a_request_is_left_until_an_operator_starts_it(
    backend: Backend, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = f"a lighthouse {uuid4()}"
    job_id = await backend.insert(prompt)
    assert await reconcile(backend.service) == Reconciled()
    assert (await backend.service.job(job_id))["status"] == "pending"
    assert await backend.posts(prompt) == 0

    monkeypatch.setenv("DATABASE_SERVICE_URL", database.service_url)
    folder = DataDir(backend.service.settings.data_dir)
    await start(folder, UUID(job_id))
    assert (await reconcile(backend.service)).started == 1
    await backend.service.until(job_id, "completed")
    assert await backend.posts(prompt) == 1
    assert (await backend.row(job_id))["charged_cents"] == 0
    with pytest.raises(StackError, match="only an open job of another backend"):
        await start(folder, UUID(job_id))


async def test_row_that_its_backend_completes_meanwhile_is_left_alone(backend: Backend) -> None:
    prompt = f"a street {uuid4()} [sim: latency=10m]"
    job_id = await backend.insert(prompt)
    await backend.note_submission(job_id, await backend.submit(prompt))
    assert (await reconcile(backend.service)).taken_over == 1
    await backend.connection.execute(
        "update generation_jobs set status = 'completed', result_url = 'https://v3.fal.media/old.mp4',"
        " completed_at = now(), progress_percent = 100 where id = $1",
        UUID(job_id),
    )
    await backend.service.servers.end_all_at_provider()

    assert await backend.service.closed_as(job_id) == "COMPLETED"
    job = await backend.service.job(job_id)
    assert (job["status"], job["stage"], job["resultUrl"]) == ("completed", "done", "https://v3.fal.media/old.mp4")
    assert (await backend.service.trail(job_id))[-1] == "Written by another backend"
    assert await backend.posts(prompt) == 1


@pytest.mark.fault("S12")
async def test_cancel_of_what_another_backend_has_submitted_buys_nothing(backend: Backend) -> None:
    """It has no attempt yet, by which a run would know that it was sent."""
    prompt = f"an alley {uuid4()} [sim: latency=10m]"
    job_id = await backend.insert(prompt)
    await backend.note_submission(job_id, await backend.submit(prompt))
    assert (await backend.service.client.post(f"/api/jobs/{job_id}/cancel")).status_code == 202

    await backend.service.until(await backend.service.create("a fresh one"), "completed")
    assert await backend.posts(prompt) == 1


async def test_what_another_backend_writes_is_told_like_our_own_changes(backend: Backend) -> None:
    job_id = await backend.insert("a meadow")
    await backend.connection.execute("update generation_jobs set status = 'failed' where id = $1", UUID(job_id))

    job = await backend.service.job(job_id)
    assert (job["status"], job["stage"], job["progress"]) == ("failed", "done", 0)
    assert job["completedAt"]
    assert await backend.service.trail(job_id) == ["Written by another backend"] * 2


async def test_an_address_in_a_row_does_not_decide_where_our_key_goes(backend: Backend) -> None:
    prompt = f"a trap {uuid4()}"
    queued = await backend.submit(prompt)
    job_id = await backend.insert(prompt)
    elsewhere = {
        name: f"https://attacker.example/fal-ai/veo3.1/requests/{queued['request_id']}"
        for name in ("status_url", "response_url")
    }
    await backend.note_submission(job_id, queued | elsewhere)

    assert (await reconcile(backend.service)).taken_over == 1
    await backend.service.until(job_id, "completed")


async def test_a_request_that_another_job_has_is_followed_once(backend: Backend) -> None:
    prompt = f"twice {uuid4()}"
    queued = await backend.submit(prompt)
    for _ in range(2):
        await backend.note_submission(await backend.insert(prompt), queued)

    assert (await reconcile(backend.service)).taken_over == 1
    assert (await reconcile(backend.service)).taken_over == 0
