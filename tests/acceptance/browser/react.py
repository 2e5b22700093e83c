"""The components of `clients/js/test`, put together with React for a browser."""

import json
from functools import cache

from playwright.async_api import Locator, Page, Route, expect

from tests.acceptance.browser.visitor import Visitor
from tests.node import run_node

HOUR = 3_600_000
"""Milliseconds."""


@cache
def bundle() -> str:
    return run_node("esbuild", "test/page.tsx", "--bundle", "--format=esm", "--log-level=warning")


async def open_component(visitor: Visitor, name: str, *, base_url: str = "") -> None:
    """A page of the visitor's origin that shows it, and calls the API of that origin unless another one is named."""
    page = visitor.page
    await page.goto(f"{visitor.origin}/healthz#{name}")
    connection = json.dumps({"baseUrl": base_url, "apiKey": visitor.key})
    await page.evaluate("connection => sessionStorage.setItem('connection', connection)", connection)
    await page.set_content("<!doctype html><title>Components</title><main></main>")
    await page.add_script_tag(content=bundle(), type="module")
    await expect(page.get_by_role("button", name="Leave")).to_be_visible()


async def simulate(page: Page, directive: str) -> None:
    """From now on the directive is in the prompt of all that the page creates."""

    async def create(route: Route) -> None:
        words = json.loads(route.request.post_data or "{}")
        await route.continue_(post_data=json.dumps(words | {"prompt": f"{words['prompt']} [sim: {directive}]"}))

    for path in ("/api/generate/video", "/api/jobs"):
        await page.route(f"**{path}", create)


async def played(video: Locator) -> float:
    """Its length in seconds, once it plays."""
    script = "async (video) => { video.muted = true; await video.play(); return video.duration; }"
    return float(await video.evaluate(script))


async def nothing_is_asked_after_leaving(page: Page) -> None:
    """With an installed clock: an hour after the component was unmounted."""
    asked: list[str] = []
    await page.get_by_role("button", name="Leave").click()
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.run_for(HOUR)
    assert asked == []
