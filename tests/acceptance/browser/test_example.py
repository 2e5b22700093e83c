"""The React app of `clients/js/example`, served from an origin of its own."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.acceptance.browser.conftest import PATIENCE_MS
from tests.acceptance.browser.front import serving
from tests.acceptance.browser.react import played
from tests.acceptance.browser.second_api import SecondApi
from tests.acceptance.browser.visitor import SCREENSHOTS
from tests.node import CLIENT, run_node
from tests.running import Service

RANGES = """async ([url]) => {
  const ask = async (headers, method = "GET") => {
    const answer = await fetch(url, { headers, method });
    return [answer.status, (await answer.arrayBuffer()).byteLength, answer.headers.get("content-range")];
  };
  return [await ask({ range: "bytes=0-1" }), await ask({}, "HEAD")];
}"""


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The app's origin. Its modules are put together with React as a build of the app's own would."""
    folder: Path = tmp_path_factory.mktemp("front")
    shutil.copy(CLIENT / "example" / "index.html", folder)
    built = run_node("esbuild", "example/app.js", "--bundle", "--format=esm", "--log-level=warning")
    (folder / "app.js").write_text(built)
    async with serving(folder) as origin:
        yield origin


@pytest.fixture
async def api(service: Service, front: str) -> AsyncIterator[SecondApi]:
    api = SecondApi(service.settings.model_copy(update={"cors_origins": (front,), "app_url": None}))
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def page(browser: Browser, service: Service, front: str, api: SecondApi) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 900, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    await page.goto(f"{front}/?api={api.origin}#{key}")
    yield page
    await context.close()


async def test_the_example_creates_follows_and_plays_from_its_own_origin(
    service: Service, api: SecondApi, page: Page
) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.get_by_label("Prompt").fill("seen from another origin [sim: latency=10m]")
    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("status")).to_contain_text("Generating at fal")
    await service.end_newest_at_provider()

    video = page.locator("video")
    assert await played(video) > 0
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "example-plays.png")
    link = await video.get_attribute("src")
    assert str(link).startswith(f"{api.origin}/api/media/")
    first, whole = await page.evaluate(RANGES, [link])
    assert first[:2] == [206, 2]
    assert first[2].startswith("bytes 0-1/")
    assert whole[0] == 200
    assert complaints == []


async def test_the_example_says_why_a_video_was_not_made(page: Page) -> None:
    await page.get_by_label("Prompt").fill("[sim: fail=content_policy]")
    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("alert")).to_be_visible()
