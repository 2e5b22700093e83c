"""The campaign editor and its hook `useVideoGeneration`: submitted, polled every three seconds, shown."""

from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.react import nothing_is_asked_after_leaving, open_component, played, simulate
from tests.browser.second_api import SecondApi
from tests.running import Service


async def test_a_clip_gets_its_video(visit: Visit) -> None:
    visitor = await visit("director")
    page = visitor.page
    await page.clock.install()
    await open_component(visitor, "ClipCard")
    generate = page.get_by_role("button", name="Generate")

    await simulate(page, "latency=4s")
    async with page.expect_response("**/api/generate/video") as answer:
        await generate.click()
    assert (await (await answer.value).json())["status"] == "submitted"
    await expect(generate).to_be_disabled()
    await page.wait_for_function("() => document.querySelector('progress')?.value > 0")
    assert await played(page.locator("video")) > 0
    await expect(page.get_by_role("progressbar")).to_have_count(0)

    await simulate(page, "fail=422")
    await generate.click()
    await expect(page.get_by_role("alert")).to_have_text("prompt: This input is not supported")

    await simulate(page, "latency=60s")
    async with page.expect_response("**/api/jobs/*"):
        await generate.click()
    await nothing_is_asked_after_leaving(page)


async def test_a_front_of_another_origin_changes_the_address_alone(visit: Visit, service: Service) -> None:
    api = SecondApi(service.settings.model_copy(update={"cors_origins": (service.origin,), "app_url": None}))
    await api.start()
    visitor = await visit("director")
    await open_component(visitor, "ClipCard", base_url=api.origin)
    await visitor.page.get_by_role("button", name="Generate").click()
    video = visitor.page.locator("video")
    assert await played(video) > 0
    assert str(await video.get_attribute("src")).startswith(api.origin)
    await api.stop()
