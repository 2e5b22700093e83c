"""fal's official JavaScript client in a page, which has no key: our proxy address knows its user by the session."""

import json
from typing import Any
from urllib.parse import quote

from playwright.async_api import Browser

from tests.acceptance.doors.test_fal_javascript import check
from tests.eventually import PATIENCE
from tests.integration.api.issuer import SECRET, by_secret, claims
from tests.node import CLIENT, FAL_TYPES, install_packages, run_node
from tests.running import running_service
from tests.servers import Servers


async def test_the_same_conversation_in_a_page(browser: Browser, servers: Servers) -> None:
    install_packages(FAL_TYPES)
    bundle = run_node(
        "esbuild", "in_browser.mjs", "--bundle", "--format=iife", "--log-level=error", packages=CLIENT, cwd=FAL_TYPES
    )
    named: dict[str, Any] = {"jwt_secret": SECRET, "starting_credits_cents": 100_000, "app_url": None}
    async with running_service(servers, **named) as service:
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE * 1000)
        session = quote(json.dumps({"access_token": by_secret(claims())}))
        await context.add_cookies([{"name": "sb-front-auth-token", "value": session, "url": service.origin}])
        page = await context.new_page()
        await page.goto(f"{service.origin}/healthz")
        await page.add_script_tag(content=bundle)
        said = await page.evaluate("converse()")
        await context.close()
    check(said, media_at=f"{service.origin}/api/media/")
