"""Creating: what is answered, what it makes, what is refused, and that a repetition is not a second purchase."""

import asyncio
import json
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import av
import httpx
import pytest
from sqlalchemy import delete
from sqlmodel import col

from reelay.db.tables import Clip, GenerationJob
from tests.eventually import eventually
from tests.integration.api.shared import new_clip, problem, wrong_fields
from tests.lock_waits import waits_for_a_lock
from tests.running import Service, running_service
from tests.servers import Servers

VIDEO = {"prompt": "a lighthouse in the rain", "quality": "fast", "duration": 4}
# Each creating call, with the clip's place for what it makes.
KINDS: list[tuple[str, dict[str, Any], str, str | None, str | None]] = [
    ("/api/generate/video", VIDEO, "video/mp4", "video", "raw_url"),
    ("/api/generate/first-frame", {"prompt": "a hill"}, "image/", "firstFrame", "image_url"),
    ("/api/generate/voice", {"text": "Hello there."}, "audio/", "audio", "voice_url"),
    ("/api/generate/ambient", {"prompt": "rain on a roof", "duration": 2}, "audio/", "audio", "ambient_url"),
    (
        "/api/jobs",
        {"model": "kling-2.5-turbo-pro", "input": {"prompt": "a hill", "cfgScale": 0.7, "duration": 10}},
        "video/mp4",
        "video",
        "raw_url",
    ),
    (
        "/api/jobs",
        {"model": "fal-ai/cogvideox-5b", "input": {"prompt": "a hill", "guidance_scale": 5}},
        "video/mp4",
        "video",
        "raw_url",
    ),
]
CREATED = {
    "jobId",
    "requestId",
    "status",
    "message",
    "estimatedCostCents",
    "estimatedSeconds",
    "statusUrl",
    "eventsUrl",
}


def key() -> dict[str, str]:
    return {"idempotency-key": str(uuid4())}


async def sent(service: Service, job_id: str) -> dict[str, Any]:
    """What the provider was sent for a finished job."""
    job = await service.until(job_id, "completed")
    words: dict[str, Any] = (await service.servers.simulated_request(job["falRequestId"]))["input"]
    return words


@pytest.mark.parametrize(
    ("path", "body", "content_type", "place", "name"),
    KINDS,
    ids=[f"{kind[0]} {kind[1].get('model')}" for kind in KINDS],
)
async def test_each_kind_is_accepted_made_archived_and_given_to_its_clip(
    patient_service: Service, path: str, body: dict[str, Any], content_type: str, place: str, name: str
) -> None:
    client, clip = patient_service.client, await new_clip(patient_service)
    accepted = await client.post(path, json=body | {"clipId": clip["id"]})

    created = accepted.json()
    assert accepted.status_code == 202
    assert created.keys() == CREATED
    assert (created["status"], created["requestId"]) == ("submitted", created["jobId"])
    assert accepted.headers["location"] == created["statusUrl"]
    assert int(accepted.headers["retry-after"]) >= 1
    assert (await client.get(created["statusUrl"])).json()["id"] == created["jobId"]

    job = await patient_service.until(created["jobId"], "completed")
    (file,) = job["files"]
    media = await client.get(file["fileUrl"])
    assert media.headers["content-type"] == file["format"]
    assert file["format"].startswith(content_type)
    with av.open(BytesIO(media.content)) as container:
        assert container.streams
    assert job["actualCostCents"] == created["estimatedCostCents"] > 0
    assert (await client.get(f"/api/clips/{clip['id']}")).json()[place][name] == job["resultUrl"]


async def test_our_spelling_and_the_providers_send_the_same(patient_service: Service) -> None:
    ours = {"prompt": "a hill", "negativePrompt": "fog", "cfgScale": 0.7, "aspectRatio": "1:1", "duration": 10}
    theirs = {"prompt": "a hill", "negative_prompt": "fog", "cfg_scale": 0.7, "aspect_ratio": "1:1", "duration": "10"}
    received = []
    for model, words in (
        ("kling-2.5-turbo-pro", ours),
        ("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", theirs),
    ):
        accepted = await patient_service.client.post("/api/jobs", json={"model": model, "input": words})
        received.append(await sent(patient_service, accepted.json()["jobId"]))

    assert received == [theirs, theirs]


async def test_duration_reaches_the_provider_in_its_own_words(patient_service: Service) -> None:
    job_id = await patient_service.create(duration=6, aspectRatio="9:16")
    words = await sent(patient_service, job_id)

    assert (words["duration"], words["aspect_ratio"]) == ("6s", "9:16")


VEO, KLING = "veo3.1-fast", "kling-2.5-turbo-pro"
FRAME = {"firstFrameUrl": "https://images.example.com/frame.png"}


@pytest.mark.parametrize(
    ("path", "body", "duration", "ratio"),
    [
        ("/api/generate/video", {"quality": "fast"}, "6s", "9:16"),
        ("/api/generate/video", {"quality": "fast", **FRAME}, "6s", "9:16"),
        ("/api/generate/video", {"model": VEO, "duration": 4, "aspect_ratio": "16:9"}, "4s", "16:9"),
        ("/api/generate/video", {"model": VEO, "duration": None}, "6s", "9:16"),
        ("/api/generate/video", {"model": KLING}, "5", "9:16"),  # it has no six seconds
        ("/api/jobs", {"model": VEO}, "8s", "16:9"),
    ],
)
async def test_video_that_is_asked_for_by_a_prompt_alone_is_six_seconds_upright(
    patient_service: Service, path: str, body: dict[str, Any], duration: str, ratio: str
) -> None:
    words = {"input": {"prompt": "x"}} if path == "/api/jobs" else {"prompt": "x"}
    created = (await patient_service.client.post(path, json=body | words)).json()
    async with patient_service.sessions() as session:
        job = await session.get_one(GenerationJob, UUID(created["jobId"]))

    assert job.arguments["duration"] == duration
    assert job.arguments.get("aspect_ratio") == ratio
    assert created["estimatedCostCents"] == job.estimated_cost_cents


async def test_what_a_video_is_by_default_can_be_set(servers: Servers) -> None:
    settings: dict[str, Any] = {"generate_video_duration": 4, "generate_video_aspect_ratio": "16:9"}
    async with running_service(servers, worker=False, **settings) as service:
        created = await service.client.post("/api/generate/video", json={"prompt": "x", "quality": "fast"})

        assert created.json()["estimatedCostCents"] == 60
        assert (await service.job(created.json()["jobId"]))["aspectRatio"] == "16:9"


async def test_callers_input_is_kept_whole_and_a_retry_sends_what_was_sent(patient_service: Service) -> None:
    body = {"prompt": "a hill [sim: fail=500]", "quality": "fast", "duration": 4}
    failed = await patient_service.until(
        (await patient_service.client.post("/api/generate/video", json=body)).json()["jobId"], "failed"
    )
    retried = await patient_service.client.post(f"/api/jobs/{failed['id']}/retry", json={})
    again = await patient_service.until(retried.json()["jobId"], "failed")

    assert failed["input"] == again["input"] == body
    first, second = [
        (await patient_service.servers.simulated_request(job["falRequestId"]))["input"] for job in (failed, again)
    ]
    assert first == second
    assert (first["duration"], first["aspect_ratio"]) == ("4s", "9:16")


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("fr-FR,fr;q=0.9", "Génération en cours..."),
        ("pt-BR", "Geração em andamento..."),
        ("de, en;q=0.5", "Generation in progress..."),
        (None, "Generation in progress..."),
    ],
)
async def test_answer_is_in_the_language_asked_for(patient_service: Service, language: str | None, told: str) -> None:
    headers = {"accept-language": language} if language else {}
    created = await patient_service.client.post("/api/generate/voice", json={"text": "Hello."}, headers=headers)

    assert created.json()["message"] == told


async def test_two_generations_of_one_clip_at_once_lose_nothing(patient_service: Service) -> None:
    client, clip = patient_service.client, await new_clip(patient_service)
    accepted = await asyncio.gather(
        client.post("/api/generate/voice", json={"text": "Hello.", "clipId": clip["id"]}),
        client.post("/api/generate/ambient", json={"prompt": "rain", "duration": 2, "clipId": clip["id"]}),
        client.post("/api/generate/first-frame", json={"prompt": "rain", "clipId": clip["id"]}),
        client.post("/api/generate/video", json=VIDEO | {"clipId": clip["id"]}),
    )
    jobs = [await patient_service.until(response.json()["jobId"], "completed") for response in accepted]

    clip = (await client.get(f"/api/clips/{clip['id']}")).json()
    given = clip["audio"]["voice_url"], clip["audio"]["ambient_url"], clip["firstFrame"]["image_url"]
    assert (*given, clip["video"]["raw_url"]) == tuple(job["resultUrl"] for job in jobs)
    assert clip["status"] == "video_ready"


async def test_clip_deleted_meanwhile_fails_neither_the_generation_nor_its_repetition(
    patient_service: Service,
) -> None:
    client, clip, headers = patient_service.client, await new_clip(patient_service), key()
    body = {"text": "Hello. [sim: latency=1s]", "clipId": clip["id"]}
    accepted = await client.post("/api/generate/voice", json=body, headers=headers)
    async with patient_service.sessions.begin() as session:
        await session.execute(delete(Clip).where(col(Clip.id) == clip["id"]))
    again = await client.post("/api/generate/voice", json=body, headers=headers)

    assert again.content == accepted.content
    assert (await patient_service.until(accepted.json()["jobId"], "completed"))["files"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate/voice", {"text": "Hello."}),
        ("/api/batches", {"jobs": [{"model": "chatterbox", "input": {"text": "Hello."}}]}),
        ("/api/clips/{id}/produce", {"video": {"prompt": "a harbour"}}),
    ],
)
async def test_clip_that_is_deleted_in_the_same_moment_is_a_conflict(
    patient_service: Service, path: str, body: dict[str, Any]
) -> None:
    client, clip = patient_service.client, await new_clip(patient_service)
    for each in body.get("jobs", [body] if "text" in body else []):
        each["clipId"] = clip["id"]
    async with patient_service.sessions() as other:
        await other.execute(delete(Clip).where(col(Clip.id) == clip["id"]))
        creating = asyncio.create_task(client.post(path.format(**clip), json=body))
        await eventually(lambda: waits_for_a_lock(patient_service.sessions))
        await other.commit()

    problem(await creating, 409, "CONFLICT")
    assert (await client.get("/api/credits")).json()["heldCents"] == 0


async def test_all_wrong_fields_are_named_at_once_with_limit_and_value(patient_service: Service) -> None:
    body = {"prompt": 5, "duration": 7, "aspectRatio": "5:4", "seed": -1, "colour": "red"}
    refused = await patient_service.client.post("/api/generate/video", json=body)

    assert set(wrong_fields(refused)) == body.keys()
    errors = {error["field"]: error for error in refused.json()["errors"]}
    assert {field: error["value"] for field, error in errors.items()} == body
    assert errors["duration"]["limit"] == [4, 6, 8]
    assert errors["seed"]["limit"] == {"min": 0, "max": 4_294_967_295}
    assert errors["aspectRatio"]["message"] == "must be one of 16:9, 9:16"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/generate/video", {}, "prompt"),
        ("/api/generate/video", {"prompt": "  "}, "prompt"),
        ("/api/generate/video", {"prompt": "x", "model": "veo-9"}, "model"),
        ("/api/generate/video", {"prompt": "x", "model": "whisper"}, "model"),
        ("/api/generate/video", {"prompt": "x", "quality": "best"}, "quality"),
        ("/api/generate/video", {"prompt": "x", "firstFrameUrl": "file:///etc/passwd"}, "firstFrameUrl"),
        ("/api/generate/video", {"prompt": "x", "clipId": "7"}, "clipId"),
        ("/api/generate/video", {"prompt": "x", "metadata": {"a": "x" * 20_000}}, "metadata"),
        ("/api/generate/voice", {}, "text"),
        ("/api/generate/ambient", {"prompt": "x", "duration": 23}, "duration"),
        ("/api/generate/transcribe", {}, "audioUrl"),
        ("/api/generate/transcribe", {"audioUrl": "speech.mp3"}, "audioUrl"),
        ("/api/jobs", {"model": "nothing", "input": {}}, "model"),
        ("/api/jobs", {"input": {"prompt": "x"}}, "model"),
        ("/api/jobs", {"model": "fal-ai/veo3.1/image-to-video", "input": {"prompt": "x"}}, "firstFrameUrl"),
    ],
)
async def test_what_is_missing_or_wrong_is_named(
    patient_service: Service, path: str, body: dict[str, Any], field: str
) -> None:
    assert wrong_fields(await patient_service.client.post(path, json=body)) == [field]


async def test_large_amounts_need_a_confirmation(servers: Servers) -> None:
    async with running_service(servers, worker=False, interactive_budget_cents=60) as service:
        at_the_budget = await service.client.post("/api/generate/video", json=VIDEO)
        above = VIDEO | {"duration": 6}
        refused = problem(await service.client.post("/api/generate/video", json=above), 409, "CONFIRMATION_REQUIRED")
        confirmed = await service.client.post("/api/generate/video", json=above | {"confirm": True})

        assert at_the_budget.json()["estimatedCostCents"] == 60
        assert refused["estimatedCostCents"] == confirmed.json()["estimatedCostCents"] == 90
        assert [response.status_code for response in (at_the_budget, confirmed)] == [202, 202]


async def test_estimate_is_what_creating_answers(patient_service: Service) -> None:
    body = {"model": "veo3.1-fast", "input": {"prompt": "x", "duration": 8}}
    estimate = (await patient_service.client.post("/api/estimate", json=body)).json()
    created = (await patient_service.client.post("/api/jobs", json=body)).json()

    assert estimate["model"] == "veo3.1-fast"
    for figure in ("estimatedCostCents", "estimatedSeconds"):
        assert estimate[figure] == created[figure]


@pytest.mark.fault("T12")
async def test_repeated_request_gets_the_first_answer_again(patient_service: Service) -> None:
    client, headers = patient_service.client, key()
    first = await client.post("/api/generate/video", json=VIDEO, headers=headers)
    await patient_service.until(first.json()["jobId"], "completed")
    otherwise_formatted = json.dumps(dict(reversed(VIDEO.items())), indent=3).encode("utf-16")
    for content in (json.dumps(VIDEO).encode(), otherwise_formatted):
        again = await client.post(
            "/api/generate/video", content=content, headers=headers | {"content-type": "application/json"}
        )
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["idempotency-replayed"] == "true"

    assert "idempotency-replayed" not in first.headers
    assert (await patient_service.simulated(first.json()["jobId"]))["accepted"] == 1


@pytest.mark.fault("T12")
@pytest.mark.parametrize("change", [{"duration": 6}, {"quality": "standard"}, {"metadata": {"a": 1}}])
async def test_key_of_another_request_is_refused(patient_service: Service, change: dict[str, Any]) -> None:
    client, headers = patient_service.client, key()
    await client.post("/api/generate/video", json=VIDEO, headers=headers)

    refused = await client.post("/api/generate/video", json=VIDEO | change, headers=headers)
    problem(refused, 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.fault("T12")
async def test_key_of_a_refused_request_is_still_free(patient_service: Service) -> None:
    client, headers = patient_service.client, key()
    refused = await client.post("/api/generate/video", json=VIDEO | {"clipId": str(uuid4())}, headers=headers)
    accepted = await client.post("/api/generate/video", json=VIDEO, headers=headers)

    assert [refused.status_code, accepted.status_code] == [422, 202]


@pytest.mark.fault("T5")
async def test_keys_of_two_users_have_nothing_to_do_with_each_other(
    patient_service: Service, bob: httpx.AsyncClient
) -> None:
    headers = key()
    hers = await patient_service.client.post("/api/generate/voice", json={"text": "ann's"}, headers=headers)
    his = await bob.post("/api/generate/voice", json={"text": "bob's"}, headers=headers)

    assert [hers.status_code, his.status_code] == [202, 202]
    assert his.json()["jobId"] != hers.json()["jobId"]
    assert "idempotency-replayed" not in his.headers


@pytest.mark.fault("T13")
@pytest.mark.parametrize("value", [b"", b"k" * 256, "clé".encode(), "clé".encode("latin-1"), b"a\tb"])
async def test_odd_keys_are_refused(patient_service: Service, value: bytes) -> None:
    refused = await patient_service.client.post("/api/generate/video", json=VIDEO, headers={b"idempotency-key": value})
    assert wrong_fields(refused) == ["idempotency-key"]


async def test_longest_key_is_taken(patient_service: Service) -> None:
    headers = {"idempotency-key": str(uuid4()).ljust(255, "~")}
    assert (await patient_service.client.post("/api/generate/video", json=VIDEO, headers=headers)).status_code == 202


async def test_caller_who_prefers_to_wait_gets_the_finished_job(patient_service: Service) -> None:
    answer = await patient_service.client.post("/api/generate/video", json=VIDEO, headers={"prefer": "wait=90"})

    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=90"
    job = await patient_service.job(answer.json()["id"])
    assert answer.json() == job | {"jobId": job["id"], "message": job["progressMessage"]}
    assert (job["requestId"], job["status"]) == (job["id"], "completed")


async def test_wait_that_runs_out_gets_the_202(patient_service: Service) -> None:
    body = VIDEO | {"prompt": "slow [sim: latency=10m]"}
    answer = await patient_service.client.post("/api/generate/video", json=body, headers={"prefer": "wait=1"})

    assert answer.status_code == 202
    assert answer.json().keys() == CREATED
    assert (await patient_service.client.post(f"/api/jobs/{answer.json()['jobId']}/cancel")).status_code == 202


async def test_applied_preference_is_never_longer_than_what_is_waited(patient_service: Service) -> None:
    answer = await patient_service.client.post(
        "/api/generate/voice", json={"text": "x"}, headers={"prefer": "wait=9999"}
    )

    assert answer.headers["preference-applied"] == "wait=300"


async def test_without_asynchronous_generation_every_call_waits(servers: Servers) -> None:
    async with running_service(servers, use_async_generation=False, webhook_patience=60) as service:
        answer = await service.client.post("/api/generate/voice", json={"text": "Hello."})

        assert answer.status_code == 200
        assert answer.json()["status"] == "completed"


async def test_without_a_worker_the_job_is_accepted_and_done_later(servers: Servers) -> None:
    async with running_service(servers, worker=False, webhook_patience=60) as service:
        job_id = await service.create()
        assert (await service.job(job_id))["status"] == "pending"
        async with service.worker():
            await service.until(job_id, "completed")


async def test_campaign_and_clip_are_made_once_by_key(patient_service: Service) -> None:
    client = patient_service.client
    campaign = (await client.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
    for path, body, other in (
        ("/api/campaigns", {"name": "Winter", "metadata": {"a": 1}}, {"name": "Spring"}),
        (f"/api/campaigns/{campaign}/clips", {"title": "Harbour", "position": 1}, {"title": "Hill"}),
    ):
        headers = key()
        first, *again = [await client.post(path, json=body, headers=headers) for _ in range(3)]

        assert first.status_code == 201
        assert "idempotency-replayed" not in first.headers
        for replayed in again:
            assert (replayed.status_code, replayed.content) == (201, first.content)
            assert replayed.headers["idempotency-replayed"] == "true"
        problem(await client.post(path, json=other, headers=headers), 422, "IDEMPOTENCY_KEY_REUSED")
        assert (await client.post(path, json=body, headers=key())).json()["id"] != first.json()["id"]
    assert len((await client.get(f"/api/campaigns/{campaign}")).json()["clips"]) == 2


async def test_clips_asked_for_at_once_with_one_key_are_one(patient_service: Service) -> None:
    path, headers = f"/api/campaigns/{(await new_clip(patient_service))['campaignId']}/clips", key()
    answers = await asyncio.gather(
        *(patient_service.client.post(path, json={"title": "Hill"}, headers=headers) for _ in range(20))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
