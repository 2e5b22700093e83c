"""The page in a real browser: create, watch, play, cancel, by keyboard and on a phone, whatever the prompt says."""

import re
from pathlib import Path
from uuid import UUID

from playwright.async_api import expect
from sqlalchemy import update
from sqlmodel import col

from reelay.db.tables import MediaFileRow
from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.second_api import SecondApi
from tests.acceptance.browser.visitor import PHONE
from tests.running import Service
from tests.unit.media.samples import make_picture

VIDEO_PLAYS = "video => video.play().then(() => true)"
VIDEO_IS_MOVING = """() => {
  const video = document.querySelector("video");
  return video.readyState >= 2 && video.currentTime > 0;
}"""
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>" onmouseover="window.hacked=1'


async def test_a_video_is_created_watched_and_played(visit: Visit) -> None:
    visitor = await visit("viewer")
    await visitor.enter()
    page = visitor.page
    await page.get_by_label("Prompt", exact=True).fill("a lighthouse in the rain")
    await expect(page.locator(".price")).to_contain_text("$")
    await page.get_by_role("button", name="Generate").click()
    row = visitor.row("a lighthouse in the rain")
    await expect(row.get_by_text("Ready")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Video is ready")).to_be_visible()

    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("a lighthouse in the rain")
    assert await page.locator("video").evaluate(VIDEO_PLAYS)
    await page.wait_for_function(VIDEO_IS_MOVING)
    await expect(page.locator(".timeline li").first).to_contain_text("Waiting to be processed")
    await expect(page.get_by_role("link", name=re.compile(r"\.mp4$"))).to_be_visible()


async def test_a_file_from_the_disk_or_a_result_becomes_a_first_frame(visit: Visit, tmp_path: Path) -> None:
    visitor = await visit("photographer")
    await visitor.enter()
    page = visitor.page
    frame = page.get_by_role("textbox", name="First frame")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a file").click()
    await (await chooser.value).set_files(make_picture(tmp_path / "me.png"))
    await expect(frame).to_have_value(re.compile("^asset:"))
    await expect(page.locator(".chosen")).to_contain_text("me.png")
    assert await visitor.barriers() == []
    await visitor.look("first-frame-chosen")
    row = await visitor.create("it moves")
    await expect(row.get_by_text("Ready", exact=True)).to_be_visible()

    (tmp_path / "page.png").write_text("<html>")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a file").click()
    await (await chooser.value).set_files(tmp_path / "page.png")
    await expect(page.get_by_text("must be an image, a video or a sound")).to_be_visible()

    await page.get_by_role("button", name="From your files").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("listitem")).to_have_count(1)
    assert await visitor.barriers() == []
    await visitor.look("first-frame-picker")
    await dialog.get_by_role("button", name="me.png").click()
    await expect(frame).to_have_value(re.compile("^asset:"))

    await page.get_by_role("group", name="What to make").get_by_text("First frame").click()
    await page.get_by_label("Model", exact=True).select_option("flux-dev")
    row = await visitor.create("a lighthouse [sim: result=nsfw]")
    await expect(row.get_by_text("Ready", exact=True)).to_be_visible()
    await row.get_by_role("link").click()
    await expect(page.get_by_text("safety check flagged this result")).to_be_visible()
    await page.get_by_role("link", name="Use as first frame").first.click()
    await expect(frame).to_have_value(re.compile("^job:"))
    await expect(page.locator(".chosen")).to_contain_text("a lighthouse")
    row = await visitor.create("the lighthouse moves")
    await expect(row.get_by_text("Ready", exact=True)).to_be_visible()
    await row.get_by_role("link").click()
    assert await page.locator("video").evaluate(VIDEO_PLAYS)


async def test_a_file_says_what_its_content_credentials_are_worth(visit: Visit, service: Service) -> None:
    visitor = await visit("auditor")
    await visitor.enter()
    row = await visitor.create("a pier")
    await expect(row.get_by_text("Ready", exact=True)).to_be_visible()
    await row.get_by_role("link").click()
    mark = visitor.page.locator(".files [data-provenance]")
    for found, sentence in (
        ({"state": "none", "issuer": None, "generator": None}, None),
        ({"state": "trusted", "issuer": "Example Studio", "generator": "A"}, "signed by Example Studio, unchanged"),
        ({"state": "valid", "issuer": None, "generator": "A"}, "signed as an unnamed signer, but no authority"),
        ({"state": "invalid", "issuer": None, "generator": None}, "invalid. The file was changed"),
    ):
        async with service.sessions.begin() as session:
            job_id = UUID(visitor.page.url.rpartition("/")[2])
            of_job = update(MediaFileRow).where(col(MediaFileRow.job_id) == job_id)
            await session.execute(of_job.values(provenance=found))
        await visitor.page.reload()
        await expect(visitor.page.locator(".files li")).to_have_count(1)
        await expect(mark).to_have_count(1 if sentence else 0)
        if sentence:
            await expect(mark).to_contain_text(sentence)
    assert await visitor.barriers() == []


async def test_a_picture_is_dropped_or_pasted(visit: Visit) -> None:
    visitor = await visit("photographer")
    await visitor.enter()
    frame = visitor.page.get_by_role("textbox", name="First frame")
    for name, carrier, target in (
        ("drop", "dataTransfer", "closest('.drop')"),
        ("paste", "clipboardData", "closest('input')"),
    ):
        await frame.fill("")
        await frame.evaluate(
            f"""async (input) => {{
              const canvas = new OffscreenCanvas(64, 64);
              canvas.getContext("2d");
              const files = new DataTransfer();
              files.items.add(new File([await canvas.convertToBlob()], "{name}.png", {{ type: "image/png" }}));
              const kind = "{name}" === "drop" ? DragEvent : ClipboardEvent;
              const event = new kind("{name}", {{ bubbles: true, cancelable: true, {carrier}: files }});
              input.{target}.dispatchEvent(event);
            }}"""
        )
        await expect(frame).to_have_value(re.compile("^asset:"))
        await expect(visitor.page.locator(".chosen")).to_contain_text(f"{name}.png")


async def test_the_key_of_a_link_leaves_the_address(visit: Visit) -> None:
    visitor = await visit("viewer")
    await visitor.enter()

    assert visitor.key not in visitor.page.url
    assert not await visitor.page.evaluate("key => document.documentElement.outerHTML.includes(key)", visitor.key)
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("navigation", name="Main")).to_be_visible()


async def test_a_wrong_key_is_refused_and_a_right_one_let_in(visit: Visit) -> None:
    visitor = await visit("viewer")
    page = visitor.page
    await page.goto(visitor.origin)
    await page.get_by_label("API key").fill("rk_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not taken")
    assert await visitor.barriers() == []
    await visitor.look("sign-in")

    await page.get_by_label("API key").fill(visitor.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Your generations")).to_be_visible()
    assert await page.evaluate("() => localStorage.length") == 0
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.evaluate("() => sessionStorage.length") == 0


async def test_a_job_is_canceled_and_retried(visit: Visit) -> None:
    visitor = await visit("canceler")
    await visitor.enter()
    row = await visitor.create("slow tide [sim: latency=10m]")
    await expect(row.get_by_role("progressbar")).to_be_visible()
    await row.get_by_role("button", name=re.compile("Cancel")).press("Enter")
    await expect(row.get_by_text("Canceled")).to_be_visible()

    await expect(row.get_by_role("button", name=re.compile("Retry"))).to_be_focused()
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.row("slow tide")).to_have_count(2)
    again = visitor.row("slow tide").first
    await again.get_by_role("button", name=re.compile("Cancel")).click()
    await expect(again.get_by_text("Canceled")).to_be_visible()


async def test_a_failed_job_says_why_and_what_to_do(visit: Visit) -> None:
    visitor = await visit("unlucky")
    await visitor.enter()
    row = await visitor.create("forbidden fruit [sim: fail=content_policy]")
    await row.get_by_role("link").click()
    await expect(visitor.page.get_by_text("Reword the prompt")).to_be_visible()
    await expect(visitor.page.get_by_text("None of your credits were charged")).to_be_visible()
    assert await visitor.barriers() == []
    await visitor.look("failed")


async def test_any_endpoint_of_fal_is_made_by_its_id(visit: Visit) -> None:
    visitor = await visit("sculptor")
    await visitor.enter()
    page = visitor.page
    await page.get_by_role("group", name="What to make").get_by_text("Other").click()
    endpoint = page.get_by_label("Endpoint", exact=True)
    await endpoint.fill("fal-ai/hunyuan3d-v22")
    await endpoint.press("Tab")
    await expect(page.get_by_role("alert").filter(has_text="fal-ai/hunyuan3d-v21")).to_be_visible()
    await expect(page.get_by_role("button", name="Generate")).to_be_disabled()

    await endpoint.fill("fal-ai/hunyuan3d-v21")
    await endpoint.press("Tab")
    await page.get_by_label("Input image").fill("https://example.com/teapot.png")
    await expect(page.locator(".price")).to_contain_text("0.30")
    await expect(page.get_by_label("Most that it may cost, in cents")).to_have_count(0)
    assert await visitor.barriers() == []
    await visitor.look("other")
    await page.get_by_role("button", name="Generate").click()
    await expect(visitor.row("Other without text").get_by_text("Ready", exact=True)).to_be_visible()

    await endpoint.fill("fal-ai/any-llm")
    await endpoint.press("Tab")
    await page.get_by_label("Prompt", exact=True).fill("Hello")
    most = page.get_by_label("Most that it may cost, in cents")
    await expect(page.locator(".price")).to_contain_text("Say what it may cost at most")
    await most.fill("9")
    await page.get_by_role("button", name="Generate").click()
    await expect(visitor.row("Hello").get_by_text("Ready", exact=True)).to_be_visible()


async def test_wrong_input_is_told_at_its_field(visit: Visit) -> None:
    visitor = await visit("viewer")
    await visitor.enter()
    page = visitor.page
    await page.get_by_role("button", name="Generate").click()
    prompt = page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    await expect(prompt).to_be_focused()
    await expect(page.get_by_text("Prompt is needed.")).to_be_visible()

    await prompt.fill("a harbour")
    await page.get_by_role("textbox", name="First frame").fill("not an address")
    await expect(page.get_by_role("textbox", name="First frame")).to_have_attribute("aria-invalid", "true")


async def test_everything_is_done_with_the_keyboard(visit: Visit) -> None:
    visitor = await visit("typist")
    await visitor.enter()
    keyboard, page = visitor.page.keyboard, visitor.page
    await page.reload()
    await expect(page.get_by_label("Prompt", exact=True)).to_be_visible()
    await keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    await keyboard.press("Enter")
    await keyboard.press("Tab")
    await expect(page.get_by_label("Video", exact=True)).to_be_focused()
    for expected in ("First frame", "Voice"):
        await keyboard.press("ArrowRight")
        await expect(page.get_by_role("radio", name=expected)).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.press("Tab")
    await expect(page.get_by_label("Text", exact=True)).to_be_focused()
    await keyboard.type("The rain has stopped.")
    await page.get_by_label("Text", exact=True).press("Tab")
    for _ in range(10):
        if await page.get_by_role("button", name="Generate").evaluate("one => one === document.activeElement"):
            break
        await keyboard.press("Tab")
    await keyboard.press("Enter")
    await expect(visitor.row("The rain has stopped.").get_by_text("Ready")).to_be_visible()


async def test_what_a_prompt_says_is_text(visit: Visit) -> None:
    visitor = await visit("villain")
    await visitor.enter()
    row = await visitor.create(HOSTILE)
    await expect(row.get_by_text("Ready")).to_be_visible()
    await row.get_by_role("link").click()
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    await visitor.go("/gallery")
    await expect(visitor.page.get_by_role("link", name=HOSTILE)).to_be_visible()
    assert await visitor.page.evaluate("() => window.hacked") is None


async def test_a_clip_is_made_and_filled(visit: Visit) -> None:
    visitor = await visit("director")
    await visitor.enter("/campaigns")
    page = visitor.page
    await expect(page.get_by_text("No campaigns yet")).to_be_visible()
    await page.get_by_label("Name of the campaign").fill("Autumn at the coast")
    await page.get_by_role("button", name="Make a campaign").click()
    await page.get_by_label("Title of the clip").fill("Harbour")
    campaign = page.url.partition("#")[2]
    await page.get_by_role("button", name="Add a clip").click()
    await page.get_by_role("link", name="Make: First frame, for Harbour").click()
    await expect(page.get_by_text("What you make goes to “Harbour”")).to_be_visible()
    row = await visitor.create("a harbour at first light, watercolour")
    await expect(row.get_by_text("Ready")).to_be_visible()

    await page.get_by_role("link", name="Campaigns").click()
    await page.get_by_role("link", name="Autumn at the coast").click()
    await page.wait_for_url(f"**/#{campaign}")
    picture = page.get_by_role("img", name="First frame of Harbour")
    await expect(picture).to_be_visible()
    await page.wait_for_function("() => document.querySelector('.clip img').naturalWidth > 0")
    assert await visitor.barriers() == []
    await visitor.look("campaign")


async def test_a_phone_shows_all_of_it(visit: Visit) -> None:
    visitor = await visit("phone", viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    await visitor.enter()
    row = await visitor.create("a harbour at night, seen from a very small window")
    await expect(row.get_by_text("Ready")).to_be_visible()
    for path in ("/", "/gallery", "/campaigns"):
        await visitor.go(path)
        await visitor.all_is_there()
        assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert await visitor.barriers() == []
        await visitor.look(f"phone-dark{path.replace('/', '-')}")
    assert await visitor.page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") == "light dark"


async def test_the_page_stands_below_a_path_of_its_public_address(visit: Visit, service: Service) -> None:
    below = SecondApi(service.settings.model_copy(update={"app_url": f"{service.origin}/studio/reelay"}))
    await below.start()
    visitor = await visit("viewer", origin=f"{below.origin}/studio/reelay")
    await visitor.enter()
    row = await visitor.create("a lighthouse below a path")
    await expect(row.get_by_text("Ready")).to_be_visible()
    await row.get_by_role("link").click()
    assert await visitor.page.locator("video").evaluate(VIDEO_PLAYS)
    await visitor.page.goto(f"{below.origin}/studio/reelay/docs")
    await expect(visitor.page.get_by_role("heading", name="Reelay API")).to_be_visible()
    await below.stop()
