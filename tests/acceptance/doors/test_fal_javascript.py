"""fal's official JavaScript client, unchanged, by the proxy protocol: one conversation, with the simulator and here."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt
import pytest

from api.doors.fal.proxy import translated
from lab.simulator.samples import Medium
from tests.acceptance.doors.conftest import Door, codes_of
from tests.node import FAL_TYPES, run_node
from tests.running import running_service
from tests.servers import Servers

PROXY = "/api/fal/proxy"


async def converse(**variables: str) -> dict[str, Any]:
    command = ("node", "converse.mjs")
    said: dict[str, Any] = json.loads(
        await asyncio.to_thread(run_node, *command, packages=FAL_TYPES, variables=variables)
    )
    return said


def check(said: dict[str, Any], *, media_at: str) -> None:
    assert (said["first"], said["last"], said["inOrder"], said["sameId"]) == (said["first"], "COMPLETED", True, True)
    assert said["first"] in ("IN_QUEUE", "IN_PROGRESS")
    for file in (said["video"], said["streamed"], said["fromBlob"], *said.get("run", []), *said.get("stream", [])):
        assert file["url"].startswith(media_at)
    assert said["canceled"] == "client_cancelled"
    assert said["wrong"] == [True, 422, ["body", "duration"], 1]
    assert said["unknown"] == [True, 404]
    assert said["shown"] == "image/png"


async def test_the_conversation_with_the_simulator(servers: Servers) -> None:
    check(await converse(FAL_KEY="id:secret", SIMULATOR=servers.simulator), media_at=f"{servers.simulator}/files/")


async def test_the_same_conversation_by_our_proxy_address(door: Door) -> None:
    said = await converse(
        FAL_KEY=door.key, PROXY_URL=f"{door.front.origin}{PROXY}", NODE_EXTRA_CA_CERTS=str(door.authority)
    )
    check(said, media_at=f"{door.front.origin}/api/media/")
    assert len(said["run"]) == len(said["stream"]) == 1
    assert (await door.service.job(said["requestId"]))["status"] == "completed"
    assets = (await door.service.client.get("/api/assets")).json()["data"]
    assert sorted(asset["contentType"] for asset in assets) == ["image/png", "image/png"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (None, 400),
        ("https://fal.media/files/x", 412),
        ("https://queue.fal.run.evil.example/fal-ai/flux", 412),
        ("https://queue.fal.run@evil.example/fal-ai/flux", 412),
        ("http://queue.fal.run/fal-ai/flux", 412),
        ("https://queue.fal.run:444/fal-ai/flux", 412),
        ("/api/credits", 412),
        ("https://[", 412),
        ("https://rest.fal.ai/tokens/", 404),
    ],
)
async def test_nothing_but_fals_own_calls_is_let_through(door: Door, target: str | None, status: int) -> None:
    headers = {"x-fal-target-url": target} if target else {}
    answer = await door.service.client.post(PROXY, json={}, headers=headers)
    assert answer.status_code == status, answer.text
    assert "detail" in answer.json()


async def test_pages_submit_to_the_endpoints_that_they_may_and_to_no_other(servers: Servers) -> None:
    async with running_service(servers, worker=False, fal_proxy_endpoints="fal-ai/veo3.1/**,fal-ai/nano-*") as service:

        async def status_of(method: str, target: str) -> int:
            answer = await service.client.request(
                method, PROXY, json={"prompt": "a lake"}, headers={"x-fal-target-url": target}
            )
            assert answer.json()["detail" if answer.is_error else "request_id"]
            return answer.status_code

        assert await status_of("POST", "https://queue.fal.run/fal-ai/veo3.1/fast") == 200
        assert await status_of("POST", "https://queue.fal.run/fal-ai/nano-banana") == 200
        assert await status_of("POST", "https://queue.fal.run/fal-ai/flux/dev") == 403
        assert await status_of("POST", "https://fal.run/fal-ai/flux/dev/stream") == 403
        assert await status_of("POST", "https://queue.fal.run/fal-ai/flux%2Fdev") == 403
        assert await status_of("GET", f"https://queue.fal.run/fal-ai/flux/requests/{uuid4()}/status") == 404
        # Who shows a key of their own is no page.
        direct = await service.client.post("/fal/queue/fal-ai/flux/dev", json={"prompt": "a lake"})
        assert direct.status_code == 200


@pytest.mark.parametrize(
    ("pattern", "endpoint", "is_meant"),
    [
        ("fal-ai/**", "fal-ai/veo3.1/fast", True),
        ("fal-ai/*", "fal-ai/flux", True),
        ("fal-ai/*", "fal-ai/flux/dev", False),
        ("fal-ai/flux/dev", "fal-ai/flux/dev", True),
        ("fal-ai/flux.dev", "fal-ai/fluxxdev", False),
        ("fal-ai/flux/dev", "fal-ai/flux/dev/image-to-image", False),
    ],
)
def test_a_pattern_means_parts_of_ids(pattern: str, endpoint: str, is_meant: bool) -> None:
    assert bool(re.fullmatch(translated(pattern), endpoint)) is is_meant


async def test_a_page_of_another_origin_does_not_use_its_visitors_session(servers: Servers) -> None:
    secret = "a secret of forty characters for our tests"
    async with running_service(servers, worker=False, jwt_secret=secret, starting_credits_cents=10_000) as service:
        claims = {"sub": "6f4e8f4e-2a0f-4d0e-9a55-3f5a3d4d9a10", "aud": "authenticated", "exp": 2**31}
        session = quote(json.dumps({"access_token": jwt.encode(claims, secret, "HS256")}))
        headers = {
            "x-fal-target-url": "https://queue.fal.run/fal-ai/nano-banana",
            "cookie": f"sb-x-auth-token={session}",
        }
        async with httpx.AsyncClient(base_url=service.origin, headers=headers) as page:
            mine = await page.post(PROXY, json={"prompt": "a lake"}, headers={"origin": service.origin})
            others = await page.post(PROXY, json={"prompt": "a lake"}, headers={"origin": "https://evil.example"})
    assert (mine.status_code, others.status_code) == (200, 403)


async def test_the_client_sends_what_is_larger_than_90_mb_in_parts(door: Door) -> None:
    variables = {**door.environment(), "PROXY_URL": f"{door.front.origin}{PROXY}"}
    command = ("node", "upload_large.mjs")
    address, size = (await asyncio.to_thread(run_node, *command, packages=FAL_TYPES, variables=variables)).split()
    assert address.startswith(f"{door.front.origin}/fal/files/")
    (asset,) = (await door.service.client.get("/api/assets")).json()["data"]
    assert (asset["contentType"], asset["sizeBytes"]) == ("audio/wav", int(size))
    sent = [each.partition("?")[0] for each in door.front.requests if each.startswith("PUT /fal/uploads/")]
    assert sent[0].endswith("/1")  # the first part of several


async def test_a_large_file_comes_in_parts(door: Door) -> None:
    """As the client sends what is larger than 90 MB."""
    client, rest = door.service.client, {"x-fal-target-url": "https://rest.fal.ai/storage/upload/initiate-multipart"}
    async with httpx.AsyncClient(verify=False) as anybody:
        video = (await anybody.get(f"{door.service.servers.simulator}/files/samples/{Medium.VIDEO.file_name}")).content
        body = {"content_type": "video/mp4", "file_name": "a lake.mp4"}
        told = (await client.post(PROXY, json=body, headers=rest)).json()
        address, _, query = told["upload_url"].partition("?")
        halves = video[: len(video) // 2], video[len(video) // 2 :]
        parts = [
            (await anybody.put(f"{address}/{number}?{query}", content=half)).json()
            for number, half in enumerate(halves, start=1)
        ]
        without = await anybody.post(f"{address}/complete", json={"parts": parts})
        whole = await anybody.post(f"{address}/complete?{query}", json={"parts": parts})
        shown = await anybody.get(told["file_url"], follow_redirects=True)
    assert (without.status_code, whole.status_code, shown.status_code) == (401, 200, 200)
    assert shown.content == video


async def test_the_guides_code_runs(door: Door) -> None:
    program = FAL_TYPES / "node_modules" / f"guide-{door.front.port}.mjs"  # where it finds the package
    variables = {**door.environment(), "PROXY_URL": f"{door.front.origin}{PROXY}"}
    program.write_text(codes_of("fal-javascript.md", "js")[0])
    try:
        said = await asyncio.to_thread(run_node, "node", str(program), packages=FAL_TYPES, variables=variables)
    finally:
        program.unlink()
    assert said.split()[-2] == "COMPLETED"
    assert said.split()[-1].startswith(f"{door.front.origin}/api/media/")
