"""The chat's document in its own order: its script, its answer, its front, its table; an address and a key are ours."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from reelay.domain.language import Language
from tests.eventually import PATIENCE
from tests.node import node_environment
from tests.running import Service, running_service
from tests.servers import Servers

FRONT = Path(__file__).parent / "chat"
WEBHOOK = "/webhook-test/ai-agent-fiable"
TASK_ID = re.compile(r"video_\d{10}_[a-z0-9]{6}")
ANSWER = """
{
  "success": true,
  "type": "info",
  "content": {
    "message": "🎬 Génération vidéo en cours...",
    "taskId": "video_1703265432_abc123",
    "prompt": "un chat qui court dans un jardin",
    "estimatedTime": "30-60 secondes",
    "instructions": "Vérifiez l'historique dans quelques instants..."
  },
  "metadata": {
    "taskId": "video_1703265432_abc123",
    "status": "processing"
  }
}
"""


@pytest.fixture
async def service(servers: Servers) -> AsyncIterator[Service]:
    """A French one, whose worker has not started."""
    async with running_service(servers, worker=False, webhook_patience=60, language=Language.FRENCH) as running:
        yield running


async def node(script: str, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        "node", str(FRONT / script), *arguments, stdout=PIPE, stderr=PIPE, env=node_environment()
    )


async def shown(process: Process) -> Any:
    """What the script shows last, once it has ended."""
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output.decode().splitlines()[-1])


async def test_the_document_from_its_script_to_its_video(service: Service) -> None:
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    answer = await shown(await node("test-webhook.js", f"{service.origin}{WEBHOOK}", key))
    task_id = answer["metadata"]["taskId"]
    assert TASK_ID.fullmatch(task_id)
    assert answer == json.loads(ANSWER.replace("video_1703265432_abc123", task_id))

    (pending,) = await shown(await node("front.js", "pending", service.origin, key))
    assert await shown(await node("front.js", "byTaskId", service.origin, key, task_id)) == pending
    assert pending | {"id": "", "created_at": ""} == {
        "id": "",
        "task_id": task_id,
        "prompt": "un chat qui court dans un jardin",
        "video_url": None,
        "status": "processing",
        "created_at": "",
        "completed_at": None,
    }

    display = await node("front.js", "display", service.origin, key, json.dumps(answer))
    realtime = await node("front.js", "realtime", service.origin, key)
    assert realtime.stdout is not None
    assert json.loads(await realtime.stdout.readline()) == "SUBSCRIBED"
    async with service.worker():
        displayed, told = await asyncio.gather(shown(display), shown(realtime))

    url = displayed["content"]["url"]
    assert displayed == {
        "success": True,
        "type": "video",
        "content": {"url": url, "description": "un chat qui court dans un jardin"},
    }
    assert told == {"type": "video", "content": {"url": told["content"]["url"]}}
    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        for address in (url, told["content"]["url"]):
            played = await browser.get(address, follow_redirects=True)
            assert (played.status_code, played.headers["content-type"]) == (200, "video/mp4"), (
                f"{address}: {played.text}"
            )

    async with service.sessions() as session:
        rows = await session.execute(text("select * from video_tasks where task_id = :task_id"), {"task_id": task_id})
        row = rows.mappings().one()
    assert (row["prompt"], row["status"]) == ("un chat qui court dans un jardin", "completed")
    assert row["completed_at"] > row["created_at"]

    status = (await service.client.post(WEBHOOK, json={"message": f"/status {task_id}"})).json()
    assert (status["success"], status["type"], status["metadata"]["status"]) == (True, "video", "completed")
    assert await shown(await node("front.js", "pending", service.origin, key)) == []


async def test_a_task_that_there_is_not_is_an_error_as_supabase_throws_one(service: Service) -> None:
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    thrown = await shown(await node("front.js", "byTaskId", service.origin, key, "video_1703265432_abc123"))
    assert thrown["code"] == "NOT_FOUND"
    assert thrown["error"]
