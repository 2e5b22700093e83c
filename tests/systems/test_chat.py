"""The chat front, as its document tells it: a command in, an answer to show out."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from db.credits import top_up
from db.users import find_or_create_user
from tests.api.shared import problem, wrong_fields
from tests.running import Service
from tests.systems.reading import until

SOME_TASK = "6f0a1e4c-8d0b-4b5e-9a53-3f7f3d2f1c11"


async def say(client: httpx.AsyncClient, message: str, **more: Any) -> dict[str, Any]:
    response = await client.post("/api/chat", json={"message": message, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == {"success", "type", "content", "metadata"}
    return answer


async def test_a_video_by_chat(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """`/video`, the list of pending videos, `/status` while it works, `/status` when it is done."""
    prompt = "a cat that plays the piano [sim: latency=2s]"
    started = await say(caller, f"/video {prompt}")
    task_id = started["metadata"]["taskId"]
    assert started == {
        "success": True,
        "type": "info",
        "content": {
            "message": "Your video is being generated.",
            "taskId": task_id,
            "prompt": prompt,
            "estimatedTime": "about 2 minutes",
            "instructions": f"Send `/status {task_id}` to see how far it is.",
        },
        "metadata": {"taskId": task_id, "status": "processing"},
    }

    pending = (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"]
    assert [job["id"] for job in pending] == [task_id]

    asked = await say(caller, f"/status {task_id}")
    assert (asked["success"], asked["type"]) == (True, "info")
    assert asked["metadata"] == {"taskId": task_id, "status": "processing"}
    assert asked["content"]["progress"] < 100
    assert asked["content"]["message"]

    await until(caller, f"/api/jobs/{task_id}", "completed")
    done = await say(caller, f"/status {task_id}")
    assert (done["success"], done["type"]) == (True, "video")
    assert done["metadata"] == {"taskId": task_id, "status": "completed"}
    assert prompt in done["content"]["description"]
    assert (await caller.get(done["content"]["url"])).headers["content-type"] == "video/mp4"
    assert (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"] == []


@pytest.mark.parametrize(
    "message", ["", "  ", "/video", "/video   ", "/status", "/movie a cat", "/videos a cat", "hello", "make me a video"]
)
async def test_what_is_not_understood_gets_a_helpful_answer(caller: httpx.AsyncClient, message: str) -> None:
    answer = await say(caller, message)

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["content"]["code"] == "NOT_UNDERSTOOD"
    assert "<prompt>" in answer["content"]["message"] or "<taskId>" in answer["content"]["message"]
    assert (await caller.get("/api/jobs")).json()["data"] == []


async def test_help_tells_the_commands(caller: httpx.AsyncClient) -> None:
    answer = await say(caller, "/HELP")

    assert (answer["success"], answer["type"]) == (True, "info")
    assert "/video <prompt>" in answer["content"]["message"]


async def test_a_prompt_may_have_several_lines(caller: httpx.AsyncClient) -> None:
    answer = await say(caller, "  /Video\na cat\n[sim: latency=60s]")

    assert answer["content"]["prompt"] == "a cat\n[sim: latency=60s]"
    await caller.post(f"/api/jobs/{answer['metadata']['taskId']}/cancel")


@pytest.mark.parametrize("task_id", [SOME_TASK, "7", "x" * 5000, f"{SOME_TASK} please"])
async def test_unknown_task_is_an_error_in_the_chat(caller: httpx.AsyncClient, task_id: str) -> None:
    answer = await say(caller, f"/status {task_id}")

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["content"]["code"] == "NOT_FOUND"


async def test_somebody_elses_task_looks_like_an_unknown_one(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    task_id = (await say(caller, "/video mine [sim: latency=60s]"))["metadata"]["taskId"]
    foreign, unknown = await say(stranger, f"/status {task_id}"), await say(stranger, f"/status {SOME_TASK}")

    assert foreign["content"]["message"] == unknown["content"]["message"].replace(SOME_TASK, task_id)
    assert foreign["metadata"] == unknown["metadata"]
    await caller.post(f"/api/jobs/{task_id}/cancel")


async def test_failure_is_told_in_the_chat(patient_service: Service, caller: httpx.AsyncClient) -> None:
    task_id = (await say(caller, "/video bad [sim: fail=content_policy]"))["metadata"]["taskId"]
    await until(caller, f"/api/jobs/{task_id}", "failed")
    answer = await say(caller, f"/status {task_id}")

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["metadata"] == {"taskId": task_id, "status": "failed"}
    assert answer["content"]["code"] == "content_policy_violation"
    assert answer["content"]["message"]


async def test_cancellation_is_told_in_the_chat(caller: httpx.AsyncClient) -> None:
    task_id = (await say(caller, "/video never mind [sim: latency=60s]"))["metadata"]["taskId"]
    await caller.post(f"/api/jobs/{task_id}/cancel")
    await until(caller, f"/api/jobs/{task_id}", "canceled")

    assert (await say(caller, f"/status {task_id}"))["metadata"]["status"] == "canceled"


async def test_the_same_key_starts_one_video(caller: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    message = {"message": "/video once [sim: latency=60s]"}
    answers = [await caller.post("/api/chat", json=message, headers=key) for _ in range(2)]
    first, again = [answer.json() for answer in answers]
    other = (await caller.post("/api/chat", json={"message": "/video twice"}, headers=key)).json()

    assert first == again
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true"]
    assert (other["success"], other["content"]["code"]) == (False, "IDEMPOTENCY_KEY_REUSED")
    assert len((await caller.get("/api/jobs")).json()["data"]) == 1
    await caller.post(f"/api/jobs/{first['metadata']['taskId']}/cancel")


async def test_empty_account_is_told_in_the_chat_and_a_filled_one_goes_on(patient_service: Service) -> None:
    async with await patient_service.user("penniless", credits=0) as client:
        answer = await say(client, "/video too dear [sim: latency=60s]")
        assert (answer["success"], answer["type"]) == (False, "error")
        assert answer["content"]["code"] == "INSUFFICIENT_CREDITS"
        async with patient_service.sessions.begin() as session:
            await top_up(session, await find_or_create_user(session, "penniless"), 10_000)

        assert (await say(client, "/video now it is not"))["success"]


async def test_wrong_inputs_are_named_in_the_chat(caller: httpx.AsyncClient) -> None:
    answer = await say(caller, "/video " + "x" * 20_001)

    assert (answer["success"], answer["content"]["code"]) == (False, "INVALID_PARAMS")
    assert "prompt" in answer["content"]["message"]


@pytest.mark.parametrize("body", [{}, {"message": None}, {"message": 7}, {"message": "x" * 25_001}])
async def test_what_is_no_message_is_refused(caller: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert wrong_fields(await caller.post("/api/chat", json=body)) == ["message"]


async def test_chat_needs_a_key(patient_service: Service) -> None:
    async with httpx.AsyncClient(base_url=patient_service.origin) as nobody:
        problem(await nobody.post("/api/chat", json={"message": "/help"}), 401, "UNAUTHENTICATED")
