"""The components of `clients/js/test`, put together with React for a browser."""

from functools import cache

from playwright.async_api import Route

from tests.browser.visitor import Visitor
from tests.node import run_node

HTML = '<!doctype html><title>Components</title><main></main><script type="module" src="page.js"></script>'


@cache
def bundle() -> str:
    return run_node("esbuild", "test/page.tsx", "--bundle", "--format=esm", "--log-level=warning")


async def open_component(visitor: Visitor, name: str) -> None:
    """A page of the API's origin that shows it."""

    async def serve(route: Route) -> None:
        if route.request.url.endswith("/page.js"):
            await route.fulfill(body=bundle(), content_type="text/javascript")
        else:
            await route.fulfill(body=HTML, content_type="text/html")

    await visitor.page.route("**/components/*", serve)
    await visitor.page.add_init_script(f"sessionStorage.setItem('apiKey', '{visitor.key}')")
    await visitor.page.goto(f"{visitor.origin}/components/#{name}")
