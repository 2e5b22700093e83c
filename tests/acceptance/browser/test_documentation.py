"""The documentation of the API in a browser."""

from playwright.async_api import expect

from tests.acceptance.browser.conftest import Visit


async def test_documentation_shows_itself_under_its_policy(visit: Visit) -> None:
    visitor = await visit("ann")
    await visitor.page.goto(f"{visitor.origin}/docs")
    await expect(visitor.page.get_by_role("heading", name="Reelay API")).to_be_visible()
    await visitor.page.get_by_text("/api/models", exact=True).first.click()
    await expect(visitor.page.get_by_text("Try it out").first).to_be_visible()
    assert visitor.complaints == []
