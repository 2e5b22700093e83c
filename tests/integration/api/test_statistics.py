"""The operators' figures, and what Prometheus reads."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from reelay.db.credits import top_up
from reelay.db.ledger_audit import audit_ledger
from reelay.db.tables import Scope
from reelay.db.users import find_or_create_user
from tests.eventually import PATIENCE
from tests.integration.api.shared import logged, problem, wrong_fields
from tests.running import Service, running_service
from tests.servers import Servers

ENDED = ("provider_unauthorized", "internal_error", "run_stopped")
"""Some of the reasons why an operator has to look at an ended job."""


@pytest.fixture(scope="module")
async def counted(servers: Servers) -> AsyncIterator[Service]:
    """A service of its own: nobody else's jobs are counted."""
    async with running_service(servers, webhook_patience=1) as running:
        yield running


@pytest.fixture(scope="module")
async def operator(counted: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await counted.user("olga", scope=Scope.ADMIN) as client:
        yield client


async def figures(operator: httpx.AsyncClient, window: str = "1h") -> dict[str, Any]:
    response = await operator.get("/api/admin/stats", params={"window": window})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture(scope="module")
async def idle_operator(servers: Servers) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running_service(servers, worker=False) as empty,
        await empty.user("olga", scope=Scope.ADMIN, credits=0) as client,
    ):
        yield client


@pytest.mark.parametrize(("window", "slices"), [("1h", 12), ("24h", 24), ("7d", 28)])
async def test_without_jobs_there_are_zeros(idle_operator: httpx.AsyncClient, window: str, slices: int) -> None:
    found = await figures(idle_operator, window)

    assert found["outcomes"] == {"created": 0, "completed": 0, "failed": 0, "canceled": 0, "successRate": None}
    assert (found["models"], found["failures"], found["needs"], found["parkedAccounts"]) == ([], {}, [], [])
    assert [len(found["slices"]), len(found["webhooks"]["slices"])] == [slices, slices]
    assert found["inbox"] == {"waiting": 0, "oldestSeconds": 0}
    assert found["ledger"]["drift"] == []


async def test_figures_tell_what_became_of_jobs(counted: Service, operator: httpx.AsyncClient) -> None:
    before = await figures(operator)
    done = await counted.create("a lighthouse")
    rescued = await counted.create("a lost call [sim: webhook=lost]")
    adopted = await counted.create("a lost answer [sim: submit=drop]")
    for job in (done, rescued, adopted):
        await counted.until(job, "completed")
    refused = await counted.create("a refused one [sim: fail=422]")
    assert await counted.closed_as(refused) == "FAILED"
    await logged(counted, job_id=adopted)

    found = await figures(operator)

    outcomes = {name: found["outcomes"][name] - before["outcomes"][name] for name in ("created", "completed", "failed")}
    assert outcomes == {"created": 4, "completed": 3, "failed": 1}
    (model,) = [each for each in found["models"] if each["provider"] == "fal"]
    assert 0 < model["p50Seconds"] <= model["p95Seconds"]
    assert found["outcomes"]["successRate"] == pytest.approx(
        model["completed"] / (model["completed"] + model["failed"])
    )
    assert sum(found["failures"].values()) == found["outcomes"]["failed"]
    assert sum(each["completed"] for each in found["slices"]) == found["outcomes"]["completed"]
    assert found["webhooks"]["verdicts"]["accepted"] >= 2
    assert any(each["p95Ms"] for each in found["webhooks"]["slices"])
    assert found["rescuedByPoll"]["fal"] >= 1
    assert found["submissions"]["adopted"] >= 1


async def test_what_needs_a_hand_says_why_and_what_to_do(counted: Service, operator: httpx.AsyncClient) -> None:
    overdue, *ended = [await counted.create(each) for each in ("overdue", *ENDED)]
    for job in (overdue, *ended):
        await counted.closed_as(job)
    async with counted.sessions.begin() as session:
        await session.execute(
            text(
                "update generation_jobs set status = 'in_progress', submitted_at = now() - interval '9 hours',"
                " completed_at = null where id = :id"
            ),
            {"id": UUID(overdue)},
        )
        for job, code in zip(ended, ENDED, strict=True):
            await session.execute(
                text("update generation_jobs set status = 'failed', error_code = :code where id = :id"),
                {"id": UUID(job), "code": code},
            )

    needs = {each["jobId"]: each for each in (await figures(operator))["needs"]}

    assert [needs[job]["need"] for job in (overdue, *ended)] == ["overdue", *ENDED]
    assert "key" in needs[ended[0]]["advice"]
    assert "stack trace" in needs[ended[1]]["advice"]


async def test_books_that_do_not_balance_are_shown(counted: Service, operator: httpx.AsyncClient) -> None:
    async with counted.sessions.begin() as session:
        assert [each for each in await audit_ledger(session) if each.account == "available"] == []
    async with counted.sessions.begin() as session:
        user = await find_or_create_user(session, "drifter")
        await top_up(session, user, 500)
    async with counted.sessions.begin() as session:
        await session.execute(
            text("update credit_accounts set available_cents = available_cents + 7 where user_id = :id"),
            {"id": user.id},
        )

    async with counted.sessions.begin() as session:
        await audit_ledger(session)
    shown = (await figures(operator))["ledger"]
    (drift,) = [each for each in shown["drift"] if each["account"] == "available"]
    assert (drift["userId"], drift["keptCents"], drift["countedCents"]) == (str(user.id), 507, 500)
    assert shown["auditedAt"]


async def test_a_window_is_one_of_three(operator: httpx.AsyncClient) -> None:
    assert wrong_fields(await operator.get("/api/admin/stats?window=2h")) == ["window"]


async def test_figures_are_for_operators(counted: Service) -> None:
    problem(await counted.client.get("/api/admin/stats"), 403, "FORBIDDEN")


async def test_metrics_count_by_route_and_tell_nothing_of_users(counted: Service) -> None:
    job = await counted.create("a secret plan")
    await counted.until(job, "completed")
    await logged(counted, job_id=job)
    await counted.client.get("/wp-login.php")
    await counted.client.request("BREW", "/api/jobs")

    async with httpx.AsyncClient(base_url=counted.origin, timeout=PATIENCE) as prometheus:
        response = await prometheus.get("/metrics")

    assert response.status_code == 200
    assert 'reelay_http_requests_total{method="POST",route="/api/generate/video",status="202"}' in response.text
    assert 'reelay_webhooks_total{provider="fal",verdict="accepted"}' in response.text
    assert 'reelay_signal_seconds_count{verdict="accepted"}' in response.text
    assert 'reelay_generations_active{stage="generating"}' in response.text
    assert "reelay_ledger_audit_timestamp_seconds" in response.text
    assert not re.search(r"wp-login|BREW|secret plan|\bann\b|[0-9a-f]{8}-[0-9a-f]{4}-", response.text)
