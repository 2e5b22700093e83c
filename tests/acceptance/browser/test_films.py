"""A clip's film in a real browser: made, approved, played with its sound, edited and made again."""

import re

from playwright.async_api import expect

from tests.acceptance.browser.conftest import Visit

FILM_PLAYS = "video => video.play().then(() => true)"
FILM_IS_HEARD = """() => {
  const film = document.querySelector("video");
  return film.readyState >= 2 && film.currentTime > 0 && !film.muted && film.webkitAudioDecodedByteCount > 0
    && film.webkitVideoDecodedByteCount > 0;
}"""


async def test_a_film_is_made_approved_played_with_sound_and_made_again(visit: Visit) -> None:
    visitor = await visit("editor")
    await visitor.enter()
    page = visitor.page
    await page.get_by_role("link", name="Campaigns").click()
    await page.get_by_label("Name of the campaign").fill("Sea")
    await page.get_by_role("button", name="Make a campaign").click()
    await page.get_by_label("Title of the clip").fill("Dawn")
    await page.get_by_role("button", name="Add a clip").click()
    await page.get_by_role("link", name="Make the film of Dawn").click()

    await page.get_by_label("First frame: what it shows").fill("a harbour at dawn")
    await page.get_by_label("Video: what happens").fill("boats leave")
    await page.get_by_label("Voice: what is said").fill("Every morning the harbour wakes.")
    await page.get_by_label("Sound: what is heard").fill("gulls")
    await page.get_by_label("Let me approve the first frame").check()
    await page.get_by_role("button", name="What does it cost?").click()
    await expect(page.get_by_text("It would cost $")).to_be_visible()
    assert await visitor.barriers() == []
    await visitor.look("film-form")
    await page.get_by_role("button", name="Make the film").click()

    frame = page.locator("[data-step=firstFrame]")
    await expect(frame).to_have_attribute("data-status", "waiting_for_approval")
    await expect(frame.locator("img")).to_be_visible()
    await expect(page.locator("[data-step=video]")).to_have_attribute("data-status", "waiting")
    assert await visitor.barriers() == []
    await visitor.look("film-approval")
    await page.get_by_role("button", name="Approve firstFrame").click()

    await expect(page.locator("[data-step=film]")).to_have_attribute("data-status", "completed")
    film = page.get_by_label("The film")
    assert await film.evaluate(FILM_PLAYS)
    await page.wait_for_function(FILM_IS_HEARD)
    assert await visitor.barriers() == []
    await visitor.look("film-ready")

    first = page.url
    await page.get_by_label("What voice is asked for").fill("Every evening the boats come home.")
    await page.get_by_role("button", name="What does it cost?").click()
    await expect(page.get_by_text(re.compile("It would make voice, film"))).to_be_visible()
    await page.get_by_role("button", name="Make it again").click()
    await page.wait_for_url(lambda url: url != first)
    await expect(page.locator("[data-step=film]")).to_have_attribute("data-status", "completed")
    await expect(page.locator("[data-step=video]")).to_have_attribute("data-status", "reused")

    await page.get_by_role("link", name="Campaigns").click()
    await page.get_by_role("link", name="Sea").click()
    await page.get_by_role("link", name="Make all films").click()
    await page.get_by_role("group", name="Dawn").get_by_label("Video: what happens").fill("waves")
    await page.get_by_role("button", name="What does it cost?").click()
    await expect(page.get_by_text("It would cost $")).to_be_visible()
    assert await visitor.barriers() == []
    await visitor.look("films-form")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Make all films").click()
    await expect(page.get_by_role("link", name="Dawn")).to_have_count(3)

    await page.get_by_role("link", name="Films", exact=True).click()
    await expect(page.get_by_role("link", name="Dawn")).to_have_count(3)
