"""Who may come in by the doors, and what they find there: the documented calls have their tests elsewhere."""

import httpx
import pytest
from fastapi.routing import APIRoute

from api.doors.fal import routes, storage
from api.doors.mcp import routes as mcp
from api.doors.openai import held, videos
from reelay.db.keys import revoke_key
from tests.acceptance.doors.conftest import Door
from tests.eventually import PATIENCE

FAL = "/fal/queue/fal-ai/veo3.1/requests/{job}"
OF_A_JOB = [
    ("GET", FAL),
    ("GET", f"{FAL}/status"),
    ("GET", f"{FAL}/status/stream"),
    ("PUT", f"{FAL}/cancel"),
    ("GET", "/v1/videos/{job}"),
    ("GET", "/v1/videos/{job}/content"),
    ("DELETE", "/v1/videos/{job}"),
    ("POST", "/v1/videos/{job}/remix"),
]


@pytest.mark.parametrize(("method", "path"), OF_A_JOB)
async def test_somebody_elses_job_is_not_found(door: Door, method: str, path: str) -> None:
    job = await door.service.create("a lake [sim: latency=10m]")
    body = {"json": {"prompt": "a sea"}} if method == "POST" else {}
    async with await door.service.user(f"a stranger to {door.service.user_name}") as stranger:
        theirs = await stranger.request(method, path.format(job=job), **body)  # type: ignore[arg-type]
        nobodys = await stranger.request(method, path.format(job="6f4e8f4e-2a0f-4d0e-9a55-3f5a3d4d9a10"), **body)  # type: ignore[arg-type]
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content


async def test_every_door_asks_who_calls(door: Door) -> None:
    found = [
        (method, route.path)
        for module in (routes, storage, mcp, held, videos)
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    assert len(found) > 20
    async with httpx.AsyncClient(base_url=door.service.origin, timeout=PATIENCE) as nobody:
        for method, path in found:
            address = path.replace("{app:path}", "fal-ai/flux").replace("{endpoint:path}", "fal-ai/flux")
            for name in ("{job_id}", "{asset_id}", "{video_id}", "{request_id}", "{name}"):
                address = address.replace(name, "6f4e8f4e-2a0f-4d0e-9a55-3f5a3d4d9a10")
            sent: dict[str, list[str]] = {"parts": []} if path.endswith("/complete") else {}
            answer = await nobody.request(method, address.replace("{number}", "1"), json=sent)
            assert answer.status_code == 401, (method, path, answer.text)


async def test_a_status_stream_ends_when_its_key_is_revoked(door: Door) -> None:
    job = await door.service.create("a lake [sim: latency=10m]")
    async with door.service.client.stream("GET", f"{FAL.format(job=job)}/status/stream") as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("data: ")
        async with door.service.sessions.begin() as session:
            assert await revoke_key(session, door.key)
        assert not [line async for line in lines if '"COMPLETED"' in line]
