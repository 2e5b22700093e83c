"""Media in a bucket: the page loads them by links that lead to another origin."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.browser.conftest import Visit
from tests.running import running_service
from tests.s3 import point_at, s3_server
from tests.servers import Servers

STILL_IS_SHOWN = "() => document.querySelector('.thumb img')?.naturalWidth > 0"


async def test_media_in_a_bucket_is_shown_and_loaded_by_its_player(
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
            assert await part.body() == b"ftyp"  # with a 200: rclone's, S3 answers 206
