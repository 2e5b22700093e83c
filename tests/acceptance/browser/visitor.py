"""Somebody who looks at the page: a browser's tab, signed in, whose complaints are written down."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

SCREENSHOTS = Path(__file__).parent / "screenshots"
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
# The page goes on without these, and the browser writes each failed request down by itself.
FAILED_REQUEST = re.compile(r"Failed to load resource|net::ERR_")


ALL_IS_THERE = """() => {
  const inSight = (image) => image.getBoundingClientRect().top < innerHeight;
  const pictures = [...document.images].filter(inSight);
  return !document.querySelector("main").innerText.includes("Reading") && pictures.every((image) => image.complete);
}"""


@dataclass(frozen=True)
class Visitor:
    page: Page
    origin: str
    key: str
    complaints: list[str] = field(default_factory=list)
    """What the page should never make a browser say: exceptions, breaches of its own policy."""

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not FAILED_REQUEST.search(text):
            self.complaints.append(text)

    async def enter(self, path: str = "/") -> None:
        """By a link with the key, as `reelay dev` prints it; then to the view."""
        await self.page.goto(f"{self.origin}/#key={self.key}")
        await expect(self.page.get_by_role("navigation", name="Main")).to_be_visible()
        await self.go(path)

    async def go(self, path: str) -> None:
        await self.page.evaluate("path => { location.hash = path }", f"#{path}")

    def row(self, words: str) -> Locator:
        """The job in the list whose title has these words."""
        return self.page.locator(".row", has_text=words)

    async def create(self, prompt: str) -> Locator:
        """Makes a video by the form; its row."""
        await self.page.get_by_label("Prompt", exact=True).fill(prompt)
        await self.page.get_by_role("button", name="Generate").click()
        await expect(self.row(prompt)).to_be_visible()
        return self.row(prompt)

    async def all_is_there(self) -> None:
        """Nothing is being read any more, and the pictures in sight are."""
        await self.page.wait_for_function(ALL_IS_THERE)

    async def look(self, name: str) -> None:
        """A screenshot for people."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    async def barriers(self) -> list[str]:
        """What axe-core finds to stand in somebody's way."""
        # Still: a colour in the middle of a fade is nobody's choice.
        found: dict[str, Any] = (await Axe().run(self.page)).response
        return [
            f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]
