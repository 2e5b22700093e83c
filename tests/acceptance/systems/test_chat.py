"""The chat front, as its document tells it: a command in, an answer to show out."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reelay.db.credits import top_up
from reelay.db.users import find_or_create_user
from reelay.domain.language import Language
from reelay.domain.messages import message
from tests.eventually import PATIENCE
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, running_service, until
from tests.servers import Servers

SOME_TASK = "6f0a1e4c-8d0b-4b5e-9a53-3f7f3d2f1c11"
FRENCH = {"accept-language": "fr-FR,fr;q=0.9,en;q=0.5"}


async def say(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    response = await client.post("/api/chat", json={"message": text, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == {"success", "type", "content", "metadata"}
    return answer


async def only_job(client: httpx.AsyncClient) -> str:
    """The id of the user's one job."""
    (job,) = (await client.get("/api/jobs")).json()["data"]
    job_id: str = job["id"]
    return job_id


async def test_a_video_by_chat(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """`/video`, the list of pending videos, `/status` while it works, `/status` when it is done."""
    caller.headers.update(FRENCH)
    prompt = "un chat qui court dans un jardin [sim: latency=10m]"
    started = await say(caller, f"/video {prompt}", timestamp="2025-12-23T20:30:00.000Z")
    task_id = started["metadata"]["taskId"]
    assert re.fullmatch(r"video_\d{10}_[a-z0-9]{6}", task_id)
    assert started == {
        "success": True,
        "type": "info",
        "content": {
            "message": "🎬 Génération vidéo en cours...",
            "taskId": task_id,
            "prompt": prompt,
            "estimatedTime": "30-60 secondes",
            "instructions": "Vérifiez l'historique dans quelques instants...",
        },
        "metadata": {"taskId": task_id, "status": "processing"},
    }

    (pending,) = (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"]
    assert (pending["provider"], pending["model"], pending["estimatedCostCents"]) == ("replicate", "zeroscope-v2-xl", 5)

    asked = await say(caller, f"/status {task_id}")
    assert (asked["success"], asked["type"]) == (True, "info")
    assert asked["metadata"] == {"taskId": task_id, "status": "processing"}
    assert asked["content"]["progress"] < 100
    assert "Génération en cours" in asked["content"]["message"]

    await until(caller, f"/api/jobs/{pending['id']}", "in_progress")
    await patient_service.servers.end_at_provider(pending["id"])
    job = await until(caller, f"/api/jobs/{pending['id']}", "completed")
    done = await say(caller, f"/status {task_id}")
    assert (done["success"], done["type"]) == (True, "video")
    assert done["metadata"] == {"taskId": task_id, "status": "completed"}
    assert done["content"]["description"] == prompt
    assert (done["content"]["model"], done["content"]["durationSeconds"]) == ("zeroscope-v2-xl", 3)
    assert (await caller.get(done["content"]["url"])).headers["content-type"] == "video/mp4"
    assert job["actualCostCents"] <= pending["estimatedCostCents"]
    assert (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"] == []


@pytest.mark.parametrize(
    ("command", "shown_as", "content_type", "model"),
    [
        ("/image un phare sous la pluie", "image", "image/png", "nano-banana"),
        ("/voice Bonjour de la côte.", "audio", "audio/wav", "chatterbox"),
    ],
)
async def test_images_and_voices_are_commands_that_tell_their_price(
    caller: httpx.AsyncClient, command: str, shown_as: str, content_type: str, model: str
) -> None:
    caller.headers.update(FRENCH)
    started = await say(caller, command)
    (job,) = (await caller.get("/api/jobs")).json()["data"]
    assert f"(${job['estimatedCostCents'] / 100:.2f})" in started["content"]["message"]
    assert (started["content"]["prompt"], job["model"]) == (command.partition(" ")[2], model)

    await until(caller, f"/api/jobs/{job['id']}", "completed")
    done = await say(caller, f"/status {started['metadata']['taskId']}")
    assert (done["type"], done["content"]["description"]) == (shown_as, started["content"]["prompt"])
    assert (await caller.get(done["content"]["url"])).headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("language", "message", "seconds"),
    [
        ("fr", "🎬 Génération vidéo en cours...", "30-60 secondes"),
        ("en", "🎬 Your video is being generated...", "30-60 seconds"),
        ("pt-BR", "🎬 Geração do vídeo em andamento...", "30-60 segundos"),
    ],
)
async def test_the_chat_speaks_the_callers_language(
    caller: httpx.AsyncClient, language: str, message: str, seconds: str
) -> None:
    caller.headers["accept-language"] = language
    content = (await say(caller, "/video a cat"))["content"]
    assert (content["message"], content["estimatedTime"]) == (message, seconds)


@pytest.mark.parametrize(
    "text", ["/video", "/video   ", "/image", "/voice", "/status", "/cancel", "/confirm", "/movie a cat", "/videos cat"]
)
async def test_what_is_not_understood_gets_a_helpful_answer(caller: httpx.AsyncClient, text: str) -> None:
    answer = await say(caller, text)

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["content"]["code"] == "NOT_UNDERSTOOD"
    assert "<prompt>" in answer["content"]["message"]
    assert answer["content"]["error"] == answer["content"]["message"]
    assert (await caller.get("/api/jobs")).json()["data"] == []


@pytest.mark.parametrize("text", ["", "  ", "bonjour", "fais-moi une vidéo"])
async def test_plain_words_are_answered_with_help_in_the_callers_language(caller: httpx.AsyncClient, text: str) -> None:
    caller.headers.update(FRENCH)
    answer = await say(caller, text)

    assert (answer["success"], answer["type"]) == (True, "info")
    assert "commandes" in answer["content"]["message"]
    assert "/video <prompt> : générer une vidéo" in answer["content"]["message"]
    assert (await caller.get("/api/jobs")).json()["data"] == []


async def test_help_tells_the_commands(caller: httpx.AsyncClient) -> None:
    answer = await say(caller, "/HELP")

    assert (answer["success"], answer["type"]) == (True, "info")
    assert "/video <prompt>" in answer["content"]["message"]


async def test_a_prompt_may_have_several_lines(caller: httpx.AsyncClient) -> None:
    answer = await say(caller, "  /Video\na cat\n[sim: latency=10m]")

    assert answer["content"]["prompt"] == "a cat\n[sim: latency=10m]"
    await say(caller, f"/cancel {answer['metadata']['taskId']}")


@pytest.mark.parametrize("task_id", [SOME_TASK, "7", "x" * 5000, f"{SOME_TASK} please"])
async def test_unknown_task_is_an_error_in_the_chat(caller: httpx.AsyncClient, task_id: str) -> None:
    answer = await say(caller, f"/status {task_id}")

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["content"]["code"] == "NOT_FOUND"


async def test_somebody_elses_task_looks_like_an_unknown_one(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    task_id = (await say(caller, "/video mine [sim: latency=10m]"))["metadata"]["taskId"]
    foreign, unknown = await say(stranger, f"/status {task_id}"), await say(stranger, f"/status {SOME_TASK}")

    assert foreign["content"]["message"] == unknown["content"]["message"].replace(SOME_TASK, task_id)
    assert foreign["metadata"] == unknown["metadata"]
    await say(caller, f"/cancel {task_id}")


async def test_failure_is_told_in_the_chat(caller: httpx.AsyncClient) -> None:
    task_id = (await say(caller, "/video bad [sim: fail=500]"))["metadata"]["taskId"]
    await until(caller, f"/api/jobs/{await only_job(caller)}", "failed")
    answer = await say(caller, f"/status {task_id}")

    assert (answer["success"], answer["type"]) == (False, "error")
    assert answer["metadata"] == {"taskId": task_id, "status": "failed"}
    assert answer["content"]["status"] == "failed"
    assert answer["content"]["code"] == "provider_error"
    assert answer["content"]["error"] == answer["content"]["message"] != ""


async def test_video_that_takes_too_long_is_told_in_the_documents_words(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=0.5, generation_deadline=4) as service:
        client = service.client
        client.headers.update(FRENCH)
        task_id = (await say(client, "/video slow [sim: latency=10m]"))["metadata"]["taskId"]
        await until(client, f"/api/jobs/{await only_job(client)}", "failed")
        content = (await say(client, f"/status {task_id}"))["content"]

    assert re.fullmatch(r"Timeout - vidéo non générée après \d+s", content["error"])
    assert (content["status"], content["code"]) == ("failed", "deadline_exceeded")


async def test_task_is_canceled_by_a_command(caller: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    task_id = (await say(caller, "/video never mind [sim: latency=10m]"))["metadata"]["taskId"]
    assert (await say(stranger, f"/cancel {task_id}"))["content"]["code"] == "NOT_FOUND"
    canceled = await say(caller, f"/cancel {task_id}")
    assert (canceled["success"], canceled["type"], canceled["content"]["taskId"]) == (True, "info", task_id)
    await until(caller, f"/api/jobs/{await only_job(caller)}", "canceled")

    for command in ("/status", "/cancel"):
        answer = await say(caller, f"{command} {task_id}")
        assert (answer["success"], answer["metadata"]) == (False, {"taskId": task_id, "status": "canceled"})


async def test_what_costs_more_than_the_interactive_budget_is_started_when_confirmed(servers: Servers) -> None:
    async with running_service(servers, worker=False, interactive_budget_cents=4) as service:
        client = service.client
        client.headers.update(FRENCH)
        asked = await say(client, "/video un chat")
        assert (asked["success"], asked["type"]) == (False, "info")
        assert asked["content"]["message"] == "Cela coûte $0.05. Pour lancer, envoyez : /confirm /video un chat"
        assert (asked["content"]["code"], asked["content"]["estimatedCostCents"]) == ("CONFIRMATION_REQUIRED", 5)
        assert (await client.get("/api/jobs")).json()["data"] == []

        assert (await say(client, "/confirm /video un chat"))["content"]["prompt"] == "un chat"
        assert (await say(client, "/video un chat", confirm=True))["success"]
        assert len((await client.get("/api/jobs")).json()["data"]) == 2


async def test_the_same_key_starts_one_video(caller: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    message = {"message": "/video once [sim: latency=10m]"}
    answers = [await caller.post("/api/chat", json=message, headers=key) for _ in range(2)]
    first, again = [answer.json() for answer in answers]
    other = (await caller.post("/api/chat", json={"message": "/video twice"}, headers=key)).json()

    assert first == again
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true"]
    assert (other["success"], other["content"]["code"]) == (False, "IDEMPOTENCY_KEY_REUSED")
    assert len((await caller.get("/api/jobs")).json()["data"]) == 1
    await say(caller, f"/cancel {first['metadata']['taskId']}")


async def test_empty_account_is_told_in_the_chat_and_a_filled_one_goes_on(patient_service: Service) -> None:
    async with await patient_service.user("penniless", credits=0) as client:
        client.headers.update(FRENCH)
        answer = await say(client, "/video too dear [sim: latency=10m]")
        assert (answer["success"], answer["type"]) == (False, "error")
        assert answer["content"]["code"] == "INSUFFICIENT_CREDITS"
        assert answer["content"]["message"] == message("credits_insufficient", Language.FRENCH, cents=5, available=0)
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
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as nobody:
        problem(await nobody.post("/api/chat", json={"message": "/help"}), 401, "UNAUTHENTICATED")


async def test_task_of_the_callers_own_is_one_video_however_often_it_is_sent(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    caller.headers.update(FRENCH)
    task = {"taskId": "video_1703265432_abc123", "prompt": "un chat qui court dans un jardin"}
    paths = ("/webhook-test/video-bg-process", "/api/tasks", "/api/tasks")
    answers = [await caller.post(path, json=task) for path in paths]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[0].json()["content"] | task == answers[0].json()["content"]
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    job = (await caller.get(f"/api/jobs/{task['taskId']}")).json()
    assert (job["id"], job["model"], job["externalId"]) == (await only_job(caller), "zeroscope-v2-xl", task["taskId"])
    assert (await say(caller, f"/status {task['taskId']}"))["metadata"]["taskId"] == task["taskId"]

    problem(await caller.post("/api/tasks", json=task | {"prompt": "un chien"}), 409, "CONFLICT")
    assert (await stranger.post("/api/tasks", json=task | {"prompt": "a dog"})).status_code == 202


async def test_task_that_the_chat_has_started_is_not_started_again(caller: httpx.AsyncClient) -> None:
    started = await say(caller, "/video un chat [sim: latency=10m]")
    task = {"taskId": started["metadata"]["taskId"], "prompt": "un chat [sim: latency=10m]"}
    assert (await caller.post("/api/tasks", json=task)).json() == started
    assert await only_job(caller)
    await say(caller, f"/cancel {task['taskId']}")


async def test_tasks_sent_at_once_are_one_video(caller: httpx.AsyncClient) -> None:
    task = {"taskId": "render 7", "prompt": "un chat"}
    answers = await asyncio.gather(*(caller.post("/api/tasks", json=task) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len({answer.text for answer in answers}) == 1
    assert await only_job(caller)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["taskId", "prompt"]),
        ({"taskId": "", "prompt": "a"}, ["taskId"]),
        ({"taskId": "x" * 201, "prompt": "a"}, ["taskId"]),
        ({"taskId": "x", "prompt": "x" * 20_001}, ["prompt"]),
    ],
)
async def test_what_is_no_task_is_refused(caller: httpx.AsyncClient, body: dict[str, Any], wrong: list[str]) -> None:
    assert wrong_fields(await caller.post("/api/tasks", json=body)) == wrong


async def test_second_path_is_the_same_chat(patient_service: Service, caller: httpx.AsyncClient) -> None:
    said = {"message": "/video un chat [sim: latency=10m]", "timestamp": "2025-12-23T20:30:00.000Z"}
    answer = await caller.post("/webhook-test/ai-agent-fiable", json=said)
    assert (answer.status_code, answer.json()["metadata"]["status"]) == (200, "processing")
    assert await only_job(caller)
    await say(caller, f"/cancel {answer.json()['metadata']['taskId']}")
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as nobody:
        problem(await nobody.post("/webhook-test/ai-agent-fiable", json=said), 401, "UNAUTHENTICATED")


async def test_second_paths_are_the_operators_choice(servers: Servers) -> None:
    async with running_service(
        servers, worker=False, chat_webhook_path="/webhook/chat", task_webhook_path="/webhook/bg"
    ) as service:
        assert (await service.client.post("/webhook/chat", json={"message": "/help"})).status_code == 200
        assert (
            await service.client.post("/webhook-test/ai-agent-fiable", json={"message": "/help"})
        ).status_code == 404
        task = {"taskId": "video_1703265432_abc123", "prompt": "un chat"}
        assert (await service.client.post("/webhook/bg", json=task)).status_code == 202
