"""News that break off, much of a past, every view for every eye; and the client module on its own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.history import copy_jobs
from tests.acceptance.browser.second_api import SecondApi
from tests.integration.api.shared import new_clip
from tests.running import Service

MANY = 100
"""Copies of each of five jobs."""
WATCH = """async ([id, apiKey, words]) => {
  const { watchGeneration } = await import("/web/reelay.js");
  const seen = { progress: [], failed: null };
  const job = await watchGeneration(id, {
    apiKey,
    pollInterval: 100,
    onProgress: (job) => seen.progress.push(job.progress),
    onCompleted: (job) => (seen.completed = job.id),
    onFailed: (error) => (seen.failed = { name: error.name, code: error.code, job: error.job?.id }),
    ...words,
  });
  return { ...seen, status: job?.status ?? null };
}"""
ABORTED = """async ([id, apiKey]) => {
  const { watchGeneration } = await import("/web/reelay.js");
  const stop = new AbortController();
  const calls = [];
  const watched = watchGeneration(id, {
    apiKey, signal: stop.signal, onProgress: () => { calls.push("progress"); stop.abort(); },
    onFailed: () => calls.push("failed"), onCompleted: () => calls.push("completed"),
  });
  return { result: (await watched) ?? null, calls };
}"""


@pytest.fixture
async def second_api(service: Service) -> AsyncIterator[SecondApi]:
    api = SecondApi(service.settings.model_copy(update={"interactive_budget_cents": 10}))
    await api.start()
    yield api
    await api.stop()


async def test_the_page_goes_on_after_the_api_was_away(visit: Visit, service: Service, second_api: SecondApi) -> None:
    visitor = await visit("patient", origin=second_api.origin)
    await visitor.enter()
    page = visitor.page
    await page.get_by_role("radio", name="Voice").press("Space")
    await page.get_by_label("Text", exact=True).fill("still here [sim: latency=10m]")
    await page.get_by_role("button", name="Generate").click()
    row = visitor.row("still here")
    await expect(row.get_by_role("progressbar")).to_be_visible()

    await second_api.stop()
    await expect(page.get_by_text("The connection is lost")).to_be_visible()
    await visitor.look("away")
    await service.end_newest_at_provider()
    await second_api.start()
    await expect(page.get_by_text("The connection is lost")).to_be_hidden()
    await expect(row.get_by_text("Ready")).to_be_visible()
    fresh = visitor.row("after the break")
    await page.get_by_label("Text", exact=True).fill("after the break")
    await page.get_by_role("button", name="Generate").click()
    await expect(fresh.get_by_text("Ready")).to_be_visible()


async def test_a_price_above_the_budget_is_confirmed_first(visit: Visit, second_api: SecondApi) -> None:
    visitor = await visit("spender", origin=second_api.origin)
    await visitor.enter()
    page = visitor.page
    await page.get_by_label("Prompt", exact=True).fill("a costly sunrise")
    await page.get_by_role("button", name="Generate").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Spend $")
    assert await visitor.barriers() == []
    await visitor.look("confirm")
    await dialog.get_by_role("button", name="Not now").click()
    await expect(dialog).to_have_count(0)
    await expect(visitor.row("a costly sunrise")).to_have_count(0)

    await page.get_by_role("button", name="Generate").click()
    await dialog.get_by_role("button", name="Generate for").click()
    await expect(visitor.row("a costly sunrise")).to_be_visible()


async def test_no_job_a_few_and_five_hundred(visit: Visit, service: Service) -> None:
    """Every view is shown to axe-core, and kept for people, in both colour schemes."""
    empty = await visit("newcomer", color_scheme="dark")
    await empty.enter()
    await expect(empty.page.get_by_text("Nothing here yet")).to_be_visible()
    await see_views(empty, {"/": "Create", "/gallery": "Gallery", "/campaigns": "Campaigns"}, "0-dark")

    job_id = await some_of_each(service)
    clip = await new_clip(service)
    for scheme in ("light", "dark"):
        few = await visit(service.user_name, color_scheme=scheme)
        await few.enter()
        views = {
            "/": "Create",
            "/gallery": "Gallery",
            f"/jobs/{job_id}": "a lighthouse",
            f"/campaigns/{clip['campaignId']}": "Autumn",
        }
        await see_views(few, views, f"few-{scheme}")

    many = await visit("veteran")
    await copy_jobs(service, service.user_name, "veteran", count=MANY)
    await many.enter()
    rows = many.page.locator(".row")
    await expect(rows).to_have_count(100)
    await many.page.get_by_role("button", name="Show older ones").click()
    await expect(rows).to_have_count(200)
    assert await many.barriers() == []
    await many.look("500-list")
    await many.create("one more")
    await expect(rows.first).to_contain_text("one more")
    await expect(rows.first.get_by_text("Ready")).to_be_visible()
    await many.go("/gallery")
    await expect(many.page.get_by_role("region", name="Transcript").first).to_contain_text("quick brown fox")
    await expect(many.page.locator(".piece")).to_have_count(24)
    await many.look("500-gallery")


async def see_views(visitor: Any, views: dict[str, str], name: str) -> None:
    for number, (path, heading) in enumerate(views.items()):
        await visitor.go(path)
        await expect(visitor.page.get_by_role("heading", level=1)).to_contain_text(heading)
        await visitor.all_is_there()
        assert await visitor.barriers() == [], path
        await visitor.look(f"{name}-{number}")


async def some_of_each(service: Service) -> str:
    """Five finished jobs, one of each kind; the video's id."""
    audio = f"{service.servers.simulator}/files/sample.wav"
    calls = {
        "first-frame": {"prompt": "a red lighthouse on a rock, oil on canvas"},
        "voice": {"text": "The light turns once every ten seconds."},
        "ambient": {"prompt": "wind over a cold sea"},
        "transcribe": {"audioUrl": audio},
        "video": {"prompt": "a lighthouse in the rain, seen from a boat", "quality": "fast"},
    }
    ids = [
        (await service.client.post(f"/api/generate/{kind}", json=words)).json()["jobId"]
        for kind, words in calls.items()
    ]
    for job_id in ids:
        await service.until(job_id, "completed")
    return str(ids[-1])


async def test_the_client_polls_where_events_do_not_get_through(visit: Visit, service: Service) -> None:
    visitor = await visit(service.user_name)
    blocked = []

    async def block(route: Route) -> None:
        blocked.append(route.request.url)
        await route.abort()

    await visitor.page.goto(f"{service.origin}/web/icon.svg")
    await visitor.page.route("**/events*", block)
    job_id = await service.create("watched by polls [sim: latency=1s]")
    seen = await visitor.page.evaluate(WATCH, [job_id, service_key(service), {}])

    assert blocked
    assert (seen["status"], seen["completed"], seen["failed"]) == ("completed", job_id, None)
    assert seen["progress"] == sorted(seen["progress"])


async def test_the_client_tells_each_end(visit: Visit, service: Service) -> None:
    visitor = await visit(service.user_name)
    await visitor.page.goto(f"{service.origin}/web/icon.svg")

    async def watched(job_id: str, words: dict[str, Any]) -> Any:
        return await visitor.page.evaluate(WATCH, [job_id, service_key(service), words])

    ready = await service.create("watched to its end")
    assert (await watched(ready, {}))["status"] == "completed"
    failing = await service.create("watched in vain [sim: fail=422]")
    assert (await watched(failing, {}))["failed"] == {
        "name": "GenerationFailed",
        "code": "provider_rejected",
        "job": failing,
    }
    nobodys = "00000000-0000-0000-0000-000000000000"
    assert (await watched(nobodys, {}))["failed"]["code"] == "NOT_FOUND"

    await visitor.page.route("**/events*", lambda route: route.abort())
    slow = await service.create("watched for too long [sim: latency=10m]")
    assert (await watched(slow, {"maxPollTime": 500}))["failed"]["name"] == "WaitTimeout"
    await visitor.page.unroute("**/events*")
    aborted = await visitor.page.evaluate(ABORTED, [slow, service_key(service)])
    assert aborted == {"result": None, "calls": ["progress"]}
    await service.client.post(f"/api/jobs/{slow}/cancel")


def service_key(service: Service) -> str:
    return service.client.headers["authorization"].removeprefix("Bearer ")
