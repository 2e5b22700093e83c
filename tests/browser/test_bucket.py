"""Media in a bucket: the page shows and plays them by links that lead to another origin."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_page import VIDEO_IS_MOVING, VIDEO_PLAYS
from tests.running import running_service
from tests.s3 import point_at, s3_server
from tests.servers import Servers

STILL_IS_SHOWN = "() => document.querySelector('.thumb img')?.naturalWidth > 0"


async def test_media_in_a_bucket_is_shown_played_and_downloaded(
    servers: Servers, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path) as endpoint:
        point_at(monkeypatch, endpoint)
        async with running_service(servers, archive_url="s3://media/archive") as service:
            await service.until(await service.create("a lighthouse"), "completed")
            key = service.client.headers["authorization"].removeprefix("Bearer ")
            visitor = replace(await visit("ann", origin=service.origin), key=key)
            page = visitor.page
            await visitor.enter()
            await page.wait_for_function(STILL_IS_SHOWN)

            async with page.expect_response(
                lambda answer: ".mp4" in answer.url and answer.url.startswith(endpoint)
            ) as answered:
                await visitor.row("a lighthouse").get_by_role("link").click()
            video = await answered.value
            assert await video.header_value("content-type") == "video/mp4"
            part = await page.request.get(video.url, headers={"range": "bytes=4-7"})
            assert (part.status, await part.body()) == (206, b"ftyp")
            assert await page.locator("video").evaluate(VIDEO_PLAYS)
            await page.wait_for_function(VIDEO_IS_MOVING)
            async with page.context.expect_page() as opened:
                await page.get_by_role("link", name="video.mp4").click()
            await (await opened.value).wait_for_url(f"{endpoint}/**")
            await expect(page.get_by_role("heading", level=1)).to_have_text("a lighthouse")
