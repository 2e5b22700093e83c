"""One Chromium for all of these tests; a context of its own for each visitor."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.acceptance.browser.chromium import MISSING, find_chromium, is_skipped
from tests.acceptance.browser.visitor import DESKTOP, Visitor
from tests.eventually import PATIENCE
from tests.running import Service

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
PATIENCE_MS = PATIENCE * 1000

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if is_skipped():
        pytest.skip("SKIP_BROWSER=1")
    executable = find_chromium()
    if executable is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield running
        await running.close()


@pytest.fixture
async def visit(browser: Browser, service: Service) -> AsyncIterator[Visit]:
    """Makes visitors: `await visit("ann")`, with the options of a browser's context. None may have had to complain."""
    async with AsyncExitStack() as stack:
        visitors: list[Visitor] = []

        async def make(user: str, *, origin: str = service.origin, **options: object) -> Visitor:
            options = {"viewport": DESKTOP, "reduced_motion": "reduce", **options}
            context = await browser.new_context(**options)  # type: ignore[arg-type]
            stack.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            async with await service.user(user) as client:
                key = client.headers["authorization"].removeprefix("Bearer ")
            visitor = Visitor(await context.new_page(), origin, key)
            visitor.listen()
            visitors.append(visitor)
            return visitor

        yield make
        assert [complaint for visitor in visitors for complaint in visitor.complaints] == []
