"""What the Content Credentials of files are worth, as callers read it."""

import asyncio
from pathlib import Path

from tests.certificates import Authority
from tests.content_credentials import signed
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_video
from tests.unit.media.server import serving
from tests.unit.providers.scripted_server import json_answer, scripted_server

NONE = {"state": "none", "issuer": None, "generator": None}
TRUSTED = {"state": "trusted", "issuer": "Example Studio", "generator": "A model"}


async def test_what_a_provider_signed_is_kept_byte_for_byte_and_trusted(servers: Servers, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate = authority.issue_signer("Example Studio")
    video = signed(make_video(tmp_path / "plain.mp4"), tmp_path / "signed.mp4", "video/mp4", certificate).read_bytes()
    async with scripted_server() as fal, serving() as media:
        media.sends("/video.mp4", video)

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            result = {"video": {"url": f"{media.origin}/video.mp4"}}
            body = {"status": "COMPLETED"} if "/status" in fal.seen[-1].target else result
            await json_answer(200, body if fal.seen[-1].method == "GET" else {"request_id": "one"})(reader, writer)

        fal.always = always
        async with running_service(
            servers, fal_queue_base=fal.url, webhook_patience=0, content_credentials_trust_anchors=authority.file
        ) as service:
            (file,) = (await service.until(await service.create(), "completed"))["files"]
            kept = (await service.client.get(file["fileUrl"])).content
            uploaded = await service.client.post("/api/uploads", files={"file": ("mine.mp4", video)})
            asset = (await service.client.get(f"/api/assets/{uploaded.json()['assetId']}")).json()

    assert file["provenance"] == asset["provenance"] == TRUSTED
    assert kept == video


async def test_what_carries_no_credentials_says_so(service: Service) -> None:
    job = await service.until(await service.create("a pier"), "completed")
    assert [file["provenance"] for file in job["files"]] == [NONE]
