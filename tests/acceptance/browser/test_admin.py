"""The operators' page in a browser."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from playwright.async_api import expect
from sqlalchemy import text

from reelay.db.audit_log import Actor
from reelay.db.tables import Scope
from reelay.domain.generation import AT_THE_PROVIDER, ProviderName
from reelay.operators import limit_slots
from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.test_page import VIDEO_PLAYS
from tests.acceptance.browser.visitor import PHONE, Visitor
from tests.running import Service

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
async def operators_key(shared_service: Service) -> AsyncIterator[str]:
    async with await shared_service.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client.headers["authorization"].removeprefix("Bearer ")


async def opened(visitor: Visitor, key: str, path: str = "") -> None:
    await visitor.page.goto(f"{visitor.origin}/admin#key={key}")
    await expect(visitor.page.get_by_role("navigation", name="Main")).to_be_visible()
    if path:
        await visitor.go(path)


async def test_an_operator_sees_what_needs_a_hand_and_why(service: Service, visit: Visit, operators_key: str) -> None:
    job = await service.create("nobody knows [sim: fail=422]")
    await service.closed_as(job)
    async with service.sessions.begin() as session:
        await session.execute(
            text("update generation_jobs set error_code = 'unknown_outcome' where id = :id"), {"id": UUID(job)}
        )
        await session.execute(
            text("update job_events set detail = :words where job_id = :id"), {"id": UUID(job), "words": HOSTILE}
        )
    visitor = await visit("olga")

    await opened(visitor, operators_key)
    page = visitor.page

    needs = page.get_by_role("region", name="Jobs needing a hand")
    await expect(needs).to_contain_text(job)
    await expect(needs).to_contain_text(HOSTILE)
    await expect(needs).to_contain_text("Look in the provider's dashboard")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("a hand")
    await expect(page.get_by_role("img", name="Generations that ended")).to_be_visible()
    await page.get_by_role("button", name="7 days").click()
    await expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
    assert await visitor.barriers() == []
    await page.emulate_media(color_scheme="dark")
    assert await visitor.barriers() == []
    assert "owned" not in await page.title()


async def test_a_delivery_can_be_read_and_fed_in_again_on_a_phone(
    service: Service, visit: Visit, operators_key: str
) -> None:
    job = await service.create("a lighthouse")
    await service.until(job, "completed")
    await service.deliveries(job, count=1)
    visitor = await visit("olga", viewport=PHONE)

    await opened(visitor, operators_key, f"/deliveries?jobId={job}")
    page = visitor.page
    await page.locator(".deliveries summary").first.click()

    await expect(page.locator(".deliveries pre").first).to_contain_text('"status": "OK"')
    await expect(page.locator(".deliveries")).not_to_contain_text("token=")
    await page.get_by_role("button", name="Replay").first.click()
    await expect(page.locator("#toasts")).to_contain_text("Replayed: duplicate")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await visitor.barriers() == []


async def test_a_user_is_limited_given_a_key_and_shut_out(service: Service, visit: Visit, operators_key: str) -> None:
    visitor = await visit("olga", viewport=PHONE)
    await opened(visitor, operators_key, "/users")
    page = visitor.page
    await page.get_by_label("User", exact=True).fill(service.user_name)
    await page.get_by_role("button", name="Look").click()
    rows = page.locator(".users > li")
    await expect(rows).to_have_count(1)
    await rows.locator("summary").click()
    await page.get_by_label("Monthly budget").fill("2000")
    await page.get_by_role("button", name="Set the budget").click()
    await expect(rows.locator("summary")).to_contain_text("$20.00 a month")
    await page.get_by_label("Budget of a new key").fill("500")
    await page.get_by_role("button", name="New key").click()
    await expect(page.locator(".secret")).to_contain_text("rk_")
    await expect(page.locator(".keys li")).to_have_count(2)
    await expect(page.locator(".keys")).to_contain_text("$0.00 of $5.00 spent, $5.00 left")
    await page.get_by_role("button", name="Revoke").first.click()
    await expect(page.locator(".keys")).to_contain_text("revoked")
    assert await visitor.barriers() == []
    await visitor.look("admin-users")
    await page.get_by_role("button", name="Disable").click()
    await expect(rows.locator("summary")).to_contain_text("disabled")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_who_waits_is_held_back_and_goes_first(service: Service, visit: Visit, operators_key: str) -> None:
    async with service.sessions.begin() as session:
        await limit_slots(session, Actor(None, "test"), ProviderName.FAL, 0)
    jobs: list[str] = []
    try:
        jobs += [await waiting(service, "a lighthouse [sim: latency=10m]") for _ in range(2)]
        visitor = await visit("olga", viewport=PHONE)
        await opened(visitor, operators_key, "/waiting")
        page = visitor.page
        rows = page.locator("tbody tr", has_text="veo3.1-fast")
        await page.get_by_role("button", name=f"First: {jobs[1]}").click()
        await expect(rows.first).to_contain_text("normal, goes first")
        await expect(rows.first).to_contain_text(jobs[1])
        await page.get_by_role("button", name=f"Hold: {jobs[1]}").click()
        await expect(rows.last).to_contain_text("normal, goes first, held back")
        assert await visitor.barriers() == []
        await visitor.look("admin-waiting")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.get_by_role("button", name=f"Release: {jobs[1]}").click()
        await expect(rows.first).to_contain_text(jobs[1])
    finally:
        async with service.sessions.begin() as session:
            await session.execute(text("delete from slot_limits"))
        for job_id in jobs:
            await service.client.post(f"/api/jobs/{job_id}/cancel")


async def waiting(service: Service, prompt: str) -> str:
    """A job that waits for a slot, once the worker knows of the limit."""
    while True:
        job_id = await service.create(prompt)
        job = await service.until(job_id, "waiting", *AT_THE_PROVIDER)
        if job["waitingFor"] == "slot":
            return job_id
        await service.client.post(f"/api/jobs/{job_id}/cancel")


async def test_an_administrators_key_opens_anybodys_job(service: Service, visit: Visit, operators_key: str) -> None:
    job = await service.create("a lighthouse of somebody else's")
    await service.until(job, "completed")
    visitor = await visit("olga")
    await visitor.page.goto(f"{visitor.origin}/#key={operators_key}")
    await visitor.go(f"/jobs/{job}")

    await expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("a lighthouse of somebody else's")
    assert await visitor.page.locator("video").evaluate(VIDEO_PLAYS)


async def test_a_users_key_opens_nothing(visit: Visit) -> None:
    visitor = await visit("ann")

    await opened(visitor, visitor.key)

    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("For operators")
    await expect(visitor.page.locator("#main")).to_contain_text("--scope admin")
