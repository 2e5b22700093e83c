"""The node editor: its own component `VideoGenerator`, whose action posts to `/api/jobs` and whose hook polls."""

from playwright.async_api import expect

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.react import open_component, played, simulate
from tests.running import Service


async def test_the_component_generates_and_shows_a_video(visit: Visit, service: Service) -> None:
    visitor = await visit("editor")
    page = visitor.page
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await open_component(visitor, "VideoGenerator")

    await simulate(page, "latency=10m")
    await page.get_by_role("button", name="Generate Video").click()
    await expect(page.get_by_role("button", name="Generating...")).to_be_disabled()
    await expect(page.get_by_text("Status: pending")).to_be_visible()
    await service.end_newest_at_provider()
    video = page.locator("video")
    assert await played(video) > 0
    await expect(page.get_by_text("Video ready!")).to_be_visible()
    assert f"Video ready: {await video.get_attribute('src')}" in said
    await expect(page.get_by_role("button", name="Generate Video")).to_be_enabled()


async def test_the_component_shows_why_it_failed(visit: Visit) -> None:
    visitor = await visit("editor")
    page = visitor.page
    await open_component(visitor, "VideoGenerator")

    await simulate(page, "fail=422")
    await page.get_by_role("button", name="Generate Video").click()
    await page.get_by_text("Error: prompt: This input is not supported").wait_for()
    assert visitor.complaints == ["Failed: prompt: This input is not supported"]
    visitor.complaints.clear()  # the component's own
