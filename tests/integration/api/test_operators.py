"""What operators do by the admin calls."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from reelay.db.tables import Scope
from tests.integration.api.shared import logged, problem, wrong_fields
from tests.running import Service


@pytest.fixture(scope="session")
async def operator(shared_patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await shared_patient_service.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def entries(operator: httpx.AsyncClient, **query: str | int) -> list[dict[str, Any]]:
    response = await operator.get("/api/admin/audit-log", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    found: list[dict[str, Any]] = response.json()["data"]
    return found


async def test_acts_by_the_admin_calls_have_their_entries(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create()
    await patient_service.until(job, "completed")
    (delivery, *_) = await logged(patient_service, job_id=job)
    assert (await operator.post(f"/api/admin/webhooks/{delivery.id}/replay")).status_code == 200
    assert (await operator.post("/api/admin/accounts/studio/resume")).status_code == 200

    (replay,) = await entries(operator, subject=str(delivery.id))
    (resume, *_) = await entries(operator, subject="studio", actor="olga")

    key = operator.headers["authorization"].removeprefix("Bearer ")
    assert (replay["actor"], replay["credential"], replay["details"]) == ("olga", key[:11], {"jobId": job})
    assert [replay] == await entries(operator, subject=patient_service.user_name, action="delivery.replayed")
    assert (resume["action"], resume["userId"]) == ("accounts.resumed", None)
    assert resume["actorId"] == replay["actorId"]


async def test_the_audit_log_is_read_in_pages(operator: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await operator.post("/api/admin/accounts/replicate/resume")).status_code == 200
    first = (await operator.get("/api/admin/audit-log?subject=replicate&limit=2")).json()
    rest = (await operator.get(f"/api/admin/audit-log?subject=replicate&limit=2&after={first['nextCursor']}")).json()

    assert (len(first["data"]), first["hasMore"]) == (2, True)
    moments = [entry["at"] for entry in first["data"] + rest["data"]]
    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) == len(moments) >= 3


async def test_a_replay_that_is_refused_has_no_entry(operator: httpx.AsyncClient) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    problem(await operator.post(f"/api/admin/webhooks/{unknown}/replay"), 404, "NOT_FOUND")
    assert await entries(operator, subject=unknown) == []


async def test_what_is_asked_of_the_audit_log_is_checked(operator: httpx.AsyncClient) -> None:
    assert wrong_fields(await operator.get("/api/admin/audit-log?action=bogus")) == ["action"]
    assert wrong_fields(await operator.get("/api/admin/audit-log?who=olga")) == ["who"]
