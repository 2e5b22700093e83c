"""The handlers of the pages, as they stand there, sent what an endpoint is sent."""

import json
import os
import re
import signal
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from lab.devstack.ports import free_ports
from reelay.outgoing.secrets import new_secret
from tests.eventually import eventually
from tests.node import CLIENT, install_packages, node_environment
from tests.paths import ROOT

SECRET = new_secret()
# Next.js calls the route with a Request of the web, as Node has it, and answers what it returns.
AS_NEXT_DOES = """
import { createServer } from "node:http";
import { POST } from "./route.mjs";

createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const init = { method: "POST", headers: incoming.headers, body: Buffer.concat(chunks) };
  const response = await POST(new Request("http://localhost" + incoming.url, init));
  outgoing.writeHead(response.status).end(await response.text());
}).listen(process.env.PORT, "127.0.0.1");
"""
Post: TypeAlias = Callable[[bytes, dict[str, str]], Awaitable[int]]


def code_of(page: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def sent(*, secret: str = SECRET, ago: timedelta = timedelta(0)) -> tuple[bytes, dict[str, str]]:
    job = {"id": str(uuid4()), "resultUrl": "https://reelay.example/video.mp4", "status": "completed"}
    event = {"type": "job.completed", "timestamp": datetime.now(UTC).isoformat(), "sequence": 1, "data": job}
    body, event_id, at = json.dumps(event), str(uuid4()), datetime.now(UTC) - ago
    return body.encode(), {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": f"v1,bm8= {Webhook(secret).sign(event_id, at, body)}",
    }


async def check(post: Post, printed: Callable[[], Awaitable[list[str]]]) -> None:
    body, headers = sent()
    assert [await post(body, headers) for _ in range(3)] == [200, 200, 200]
    assert await post(body + b" ", headers) == 400
    assert await post(*sent(secret=new_secret())) == 400
    assert await post(*sent(ago=timedelta(minutes=6))) == 400
    assert await post(body, {"content-type": "application/json"}) == 400
    assert await printed() == [f"{json.loads(body)['data']['id']} is at https://reelay.example/video.mp4"]


async def test_fastapi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("REELAY_WEBHOOK_SECRET", SECRET)
    names: dict[str, object] = {"__name__": "app"}
    exec(compile(code_of("webhooks-fastapi.md", "python"), "app.py", "exec"), names)
    transport = httpx.ASGITransport(names["app"])  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:

        async def post(body: bytes, headers: dict[str, str]) -> int:
            return (await client.post("/hooks/reelay", content=body, headers=headers)).status_code

        async def printed() -> list[str]:
            return capsys.readouterr().out.splitlines()

        await check(post, printed)


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("webhooks-express.md", {"app.mjs": ""}),
        ("webhooks-nextjs.md", {"route.mjs": "", "app.mjs": AS_NEXT_DOES}),
    ],
)
async def test_node(page: str, files: dict[str, str], tmp_path: Path) -> None:
    install_packages(CLIENT)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "reelay-client").symlink_to(CLIENT)
    (tmp_path / "node_modules" / "express").symlink_to(CLIENT / "node_modules" / "express")
    for name, content in files.items():
        (tmp_path / name).write_text(content or code_of(page, "js"))
    (port,) = free_ports(1)
    async with running(tmp_path, port) as process, httpx.AsyncClient(trust_env=False) as client:

        async def post(body: bytes, headers: dict[str, str]) -> int:
            url = f"http://127.0.0.1:{port}/hooks/reelay"
            return (await client.post(url, content=body, headers=headers)).status_code

        async def is_up() -> bool:
            with suppress(httpx.TransportError):
                return await post(b"", {}) == 400
            return False

        async def printed() -> list[str]:
            os.killpg(process.pid, signal.SIGTERM)
            out, _ = await process.communicate()
            return out.decode().splitlines()

        await eventually(is_up)
        await check(post, printed)


@asynccontextmanager
async def running(folder: Path, port: int) -> AsyncIterator[Process]:
    environment = {**node_environment(), "REELAY_WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    process = await create_subprocess_exec(
        "node", "app.mjs", cwd=folder, env=environment, stdout=PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # `node` of the wheel is a process that starts another
        await process.wait()
