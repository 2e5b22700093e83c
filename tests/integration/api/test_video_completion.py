"""Pushes of the studio backend: progress shows, an end is kept, and nobody else is listened to."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col, select
from structlog.testing import capture_logs

from reelay.db.deliveries import delete_old_deliveries
from reelay.db.tables import Scope, User, WebhookDelivery
from tests.eventually import PATIENCE, eventually
from tests.integration.api.shared import problem
from tests.integration.api.studio import PATH, Studio, playing
from tests.running import Service

MESSAGES = {
    "pending": "Waiting to be processed",
    "processing": "Processing",
    "generating": "Generating the video",
    "downloading": "Downloading the video from Google",
}


MODEL_RUN = ("modelName", "modelVersion", "processingTime", "generationTime", "downloadTime", "generatedAt")


@pytest.fixture(scope="module")
async def studio(shared_patient_service: Service) -> AsyncIterator[Studio]:
    async with shared_patient_service.for_user("whom the studio works for") as service:
        yield await playing(service)


@pytest.fixture(scope="module")
async def job_id(studio: Studio) -> str:
    """A job for what must have no effect on it."""
    return await studio.started()


@pytest.fixture(scope="module")
async def operator(shared_patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await shared_patient_service.user("operator", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def is_untouched(studio: Studio, job_id: str) -> bool:
    job = await studio.service.job(job_id)
    return (job["status"], job["progress"]) == ("submitted", 0)


async def test_pushes_drive_a_job_from_pending_to_its_videos(studio: Studio) -> None:
    job_id = await studio.started(metadata={"externalId": "render-7"})
    assert (await studio.service.job(job_id))["progress"] == 0
    for status, public, percent in (
        ("pending", "submitted", 0),
        ("processing", "in_progress", 25),
        ("generating", "in_progress", 50),
        ("downloading", "in_progress", 75),
    ):
        job = await studio.says(job_id, status)
        assert (job["status"], job["progress"], job["progressMessage"]) == (public, percent, MESSAGES[status])

    metadata = {
        "model_name": "veo-2.0-generate-001",
        "model_version": "2.0",
        "processing_time": 120.5,
        "generation_time": 90.2,
        "download_time": 30.3,
        "prompt_used": "Un coucher de soleil",
    }
    generated_at = "2025-10-23T14:30:00Z"
    answer = await studio.complete(job_id, metadata=metadata, generated_at=generated_at)
    said = answer.json()
    assert answer.status_code == 200
    assert said.keys() == {"success", "message", "job_id", "num_videos", "processing_time_ms"}
    assert (said["success"], said["job_id"], said["num_videos"]) == (True, job_id, 3)
    assert said["processing_time_ms"] >= 0

    job = await studio.service.until(job_id, "completed")
    assert (job["progress"], job["metadata"], len(job["files"])) == (100, {"externalId": "render-7"}, 3)
    for file, video in zip(job["files"], studio.videos, strict=True):
        assert (file["fileName"], file["metadata"]) == (video["filename"], metadata)
        assert (file["fileSize"], file["format"], file["durationSeconds"]) == (video["file_size"], "video/mp4", 3.0)
        assert (file["width"], file["height"], file["aspectRatio"]) == (1280, 720, "16:9")
        assert (await studio.service.client.get(file["fileUrl"])).status_code == 200
    assert job["resultData"] == {"videos": studio.videos, "metadata": metadata, "generated_at": generated_at}
    assert [job[name] for name in MODEL_RUN] == ["veo-2.0-generate-001", "2.0", 120.5, 90.2, 30.3, generated_at]
    assert job["progressMessage"] == "Generation completed successfully"
    assert await studio.service.trail(job_id) == [
        "Created",
        "Submitting to studio",
        "Accepted by studio",
        *MESSAGES.values(),
        "Copying the media into the archive",
        "Generation completed successfully",
    ]


async def test_progress_goes_onward_alone(studio: Studio) -> None:
    job_id = await studio.started()
    assert (await studio.says(job_id, "generating", progress=63))["progress"] == 63
    for status, progress in (("generating", 55), ("processing", None), ("pending", None), ("generating", 63)):
        job = await studio.says(job_id, status, progress=progress)
        assert (job["progress"], job["progressMessage"]) == (63, MESSAGES["generating"])
    assert (await studio.says(job_id, "generating", progress=64))["progress"] == 64
    assert (await studio.says(job_id, "warming up"))["progress"] == 64
    assert (await studio.says(job_id, "failed", error="out of memory"))["status"] != "completed"

    job = await studio.service.until(job_id, "failed")
    assert (job["progress"], job["errorCode"], job["errorMessage"]) == (0, "provider_error", "out of memory")


async def test_any_number_of_pushes_leaves_no_trace_in_the_workflow(studio: Studio) -> None:
    job_id = await studio.started()
    await studio.service.webhook_is_awaited(job_id)
    before = len((await studio.service.run(job_id).fetch_history()).events)
    for batch in range(5):
        pushes = (studio.push(job_id, "generating", progress=50 + batch, message=f"frame {n}") for n in range(20))
        assert {answer.status_code for answer in await asyncio.gather(*pushes)} == {200}

    assert (await studio.service.job(job_id))["progress"] == 54
    assert len((await studio.service.run(job_id).fetch_history()).events) == before
    assert (await studio.service.trail(job_id)).count(MESSAGES["generating"]) == 1
    assert len(await studio.logged(job_id, *["accepted"] * 5)) == 5


async def test_the_first_end_wins_however_often_it_is_told(studio: Studio) -> None:
    job_id = await studio.started()
    assert (await studio.complete(job_id)).status_code == 200
    later = [studio.complete(job_id), studio.push(job_id, "failed"), studio.push(job_id, "generating")]
    assert {answer.status_code for answer in await asyncio.gather(*later * 5)} == {200}
    job = await studio.service.until(job_id, "completed")
    trail = await studio.service.trail(job_id)

    for late in (studio.complete(job_id), studio.push(job_id, "failed"), studio.push(job_id, "downloading")):
        answer = await late
        assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert await studio.service.job(job_id) == job
    assert await studio.service.trail(job_id) == trail


async def test_an_end_after_a_cancellation_changes_nothing(studio: Studio) -> None:
    job_id = await studio.started()
    await studio.service.client.post(f"/api/jobs/{job_id}/cancel")
    await studio.service.until(job_id, "canceled")
    assert (await studio.complete(job_id)).status_code == 200
    assert (await studio.service.job(job_id))["status"] == "canceled"


async def test_health_says_healthy(studio: Studio) -> None:
    assert (await studio.service.client.get(PATH)).json()["status"] == "healthy"


@pytest.mark.parametrize("spoil", [None, "", lambda secret: secret[:-1], str.upper, lambda secret: secret + "x"])
@pytest.mark.fault("W8")
async def test_without_the_secret_nothing_happens(studio: Studio, job_id: str, spoil: Any) -> None:
    given = spoil(studio.secret) if callable(spoil) else spoil
    headers = {} if given is None else {"x-webhook-secret": given}
    body = json.dumps({"job_id": job_id, "content_type": "video", "status": "generating"}).encode()
    with capture_logs() as lines:
        refused = problem(await studio.send(body, headers), 401, "UNAUTHENTICATED")
    assert refused["error"] == "Unauthorized: Invalid webhook secret"
    assert await is_untouched(studio, job_id)
    assert studio.secret not in str(lines)


@pytest.mark.fault("W8")
async def test_the_secret_counts_in_its_header_alone_and_is_kept_nowhere(studio: Studio, job_id: str) -> None:
    body = json.dumps({"job_id": job_id, "content_type": "video", "status": "generating"}).encode()
    in_query = await studio.service.client.post(PATH, content=body, params={"x-webhook-secret": studio.secret})
    problem(in_query, 401, "UNAUTHENTICATED")
    assert await is_untouched(studio, job_id)
    async with studio.service.sessions() as session:
        kept = (await session.scalars(select(WebhookDelivery))).all()
    assert kept
    assert not [row for row in kept if studio.secret in f"{row.headers} {row.detail} {row.body!r}"]


@pytest.mark.parametrize(
    ("missing", "named"),
    [("job_id", "job_id"), ("content_type", "content_type"), ("status", "status"), ("data", "data.videos")],
)
async def test_a_missing_field_is_refused(studio: Studio, job_id: str, missing: str, named: str) -> None:
    body = {"job_id": job_id, "content_type": "video", "status": "completed", "data": {"videos": studio.videos}}
    del body[missing]
    refused = problem(await studio.send(json.dumps(body).encode()), 400, "INVALID_PARAMS")
    assert refused["error"] == refused["detail"] == f"{named} is missing"
    assert await is_untouched(studio, job_id)


@pytest.mark.parametrize("unknown", [str(uuid4()), "render-7", "../../etc", "9" * 400], ids=lambda _: "")
async def test_an_unknown_job_is_not_found(studio: Studio, unknown: str) -> None:
    refused = problem(await studio.push(unknown, "generating"), 404, "NOT_FOUND")
    assert (refused["error"], refused["job_id"]) == ("VideoGeneration not found", unknown)


async def test_another_providers_job_is_not_found(studio: Studio) -> None:
    job_id = await studio.service.create("quiet [sim: webhook=lost]")
    problem(await studio.complete(job_id), 404, "NOT_FOUND")


HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe{}",
    "\ufeff{}".encode(),
    '{"job_id": "J", "status": "generating", "content_type": "video", "progress": NaN}'.encode("utf-16"),
    b'{"job_id": "J", "status": "generating", "content_type": "video", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"job_id": "J", "status": "generating", "content_type": "video", "progress": 1' + b"0" * 5000 + b"}",
    b'{"job_id": "J\\u0000", "status": "generating", "content_type": "video"}',
    b'{"job_id": "J", "job_id": 7, "status": "generating", "content_type": "video"}',
    b'{"job_id": "J", "status": "completed", "content_type": "video", "videos": ["http://169.254.169.254/"], "v": 1',
]


@pytest.mark.parametrize("template", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_bodies_are_the_senders_fault(studio: Studio, job_id: str, template: bytes) -> None:
    answer = await studio.send(template.replace(b"J", job_id.encode()))
    assert answer.status_code in (200, 400, 404), answer.text


async def test_a_body_that_no_backend_sends_is_refused_unread(studio: Studio) -> None:
    problem(await studio.send(b"x" * 2_000_000), 413, "PAYLOAD_TOO_LARGE")


async def test_odd_text_and_numbers_are_kept_without_harm(studio: Studio) -> None:
    job_id = await studio.started()
    assert (await studio.says(job_id, "generating", message="\x00\ud800 frame", progress=1e300))["progress"] == 74
    video = {**studio.videos[0], "filename": "a\x00b.mp4"}
    odd = {"\x00": "\udfff", "big": 10**40, "processing_time": 1e300, "model_name": 7, "generation_time": "soon"}
    answer = await studio.complete(job_id, videos=[video], metadata=odd, generated_at="when it was done")
    assert answer.status_code == 200
    job = await studio.service.until(job_id, "completed")
    assert job["files"][0]["fileName"] == "ab.mp4"
    assert [job[name] for name in MODEL_RUN] == ["veo-2.0-generate-001", "2.0", 1e300, None, None, None]


async def test_a_push_that_comes_before_its_job_is_fed_in_again(studio: Studio) -> None:
    # The id that the API derives from the caller's key, known to the backend before the job is there.
    async with studio.service.sessions() as session:
        user_id = (await session.scalars(select(col(User.id)).where(col(User.name) == studio.service.user_name))).one()
    key = f"render {uuid4()}"
    job_id = str(uuid5(NAMESPACE_URL, f"{user_id}:/api/jobs:{key}"))
    problem(await studio.push(job_id, "generating"), 404, "NOT_FOUND")
    created = await studio.service.client.post(
        "/api/jobs", json={"model": "studio-push", "input": {}}, headers={"idempotency-key": key}
    )
    assert created.json()["jobId"] == job_id
    await studio.service.until(job_id, "in_progress")
    (row,) = await studio.logged(job_id, "accepted")
    assert row.handed_over_at


# Operators


async def test_the_log_is_for_operators(studio: Studio, operator: httpx.AsyncClient) -> None:
    problem(await studio.service.client.get("/api/admin/webhooks"), 403, "FORBIDDEN")
    problem(await studio.service.client.post(f"/api/admin/webhooks/{uuid4()}/replay"), 403, "FORBIDDEN")
    async with httpx.AsyncClient(base_url=studio.service.origin, timeout=PATIENCE) as nobody:
        problem(await nobody.get("/api/admin/webhooks"), 401, "UNAUTHENTICATED")
    problem(await operator.post(f"/api/admin/webhooks/{uuid4()}/replay"), 404, "NOT_FOUND")


async def listed(operator: httpx.AsyncClient, verdict: str) -> list[dict[str, Any]]:
    """The deliveries with that verdict, once there are any: the log is written after the answer."""

    async def rows() -> list[dict[str, Any]]:
        return list((await operator.get("/api/admin/webhooks", params={"verdict": verdict})).json()["data"])

    return await eventually(rows)


async def test_the_log_is_read_page_by_page(studio: Studio, operator: httpx.AsyncClient) -> None:
    job_id = await studio.started()
    for progress in (50, 51, 52):
        await studio.says(job_id, "generating", progress=progress)
    await studio.logged(job_id, *["accepted"] * 3)
    query: dict[str, Any] = {"jobId": job_id, "limit": 2, "provider": "studio", "verdict": "accepted"}

    async def page(after: str = "", **other: Any) -> tuple[list[int], str | None]:
        answer = (await operator.get("/api/admin/webhooks", params=query | {"after": after} | other)).json()
        assert answer["hasMore"] is (answer["nextCursor"] is not None)
        assert all(row["headers"].keys() <= {"content-type", "user-agent"} for row in answer["data"])
        return [json.loads(row["body"])["progress"] for row in answer["data"]], answer["nextCursor"]

    newest, cursor = await page()
    assert newest == [52, 51]
    assert await page(cursor or "") == ([50], None)

    # As if all three had come at one moment.
    async with studio.service.sessions.begin() as session:
        mine = col(WebhookDelivery.job_id) == UUID(job_id)
        await session.execute(update(WebhookDelivery).where(mine).values(received_at=datetime.now(UTC)))
    first, cursor = await page(limit=1)
    second, cursor = await page(cursor or "", limit=1)
    third, cursor = await page(cursor or "", limit=1)
    assert (sorted(first + second + third), cursor) == ([50, 51, 52], None)


async def test_a_dead_letter_is_kept_whole_and_can_be_replayed(studio: Studio, operator: httpx.AsyncClient) -> None:
    body = json.dumps({"job_id": "later", "content_type": "video", "pad": "x" * 9000}).encode()
    problem(await studio.send(body), 400, "INVALID_PARAMS")
    rows = await listed(operator, "malformed")
    (letter,) = [row for row in rows if row["bodyBytes"] == len(body)]
    assert (letter["verified"], letter["detail"]) == (True, "status is missing")

    # As after an update that understands it: the stored bytes, not the verdict, decide.
    job_id = await studio.started()
    mended = json.dumps({"job_id": job_id, "content_type": "video", "status": "processing"}).encode()
    async with studio.service.sessions.begin() as session:
        row = col(WebhookDelivery.id) == UUID(letter["id"])
        await session.execute(update(WebhookDelivery).where(row).values(body=mended))
    replayed = (await operator.post(f"/api/admin/webhooks/{letter['id']}/replay")).json()
    assert (replayed["verdict"], replayed["jobId"]) == ("accepted", job_id)
    assert (await studio.service.job(job_id))["progress"] == 25


async def test_a_replayed_end_is_a_duplicate_and_a_forged_one_is_not_replayed(
    studio: Studio, operator: httpx.AsyncClient
) -> None:
    job_id = await studio.started()
    await studio.complete(job_id)
    await studio.service.until(job_id, "completed")
    (genuine,) = await studio.logged(job_id, "accepted")
    replayed = await operator.post(f"/api/admin/webhooks/{genuine.id}/replay")
    assert replayed.json()["verdict"] == "duplicate"

    fal_job = await studio.service.create()
    await studio.service.until(fal_job, "completed")
    await studio.service.closed_as(fal_job)
    (of_fal,) = await studio.logged(fal_job, "accepted")
    assert (await operator.post(f"/api/admin/webhooks/{of_fal.id}/replay")).json()["verdict"] == "duplicate"

    await studio.send(b"{}", {"x-webhook-secret": "forged"})
    forged = await listed(operator, "forged")
    problem(await operator.post(f"/api/admin/webhooks/{forged[0]['id']}/replay"), 409, "CONFLICT")


async def test_old_deliveries_are_forgotten_in_batches(studio: Studio) -> None:
    job_id = await studio.started()
    for progress in (50, 51, 52):
        await studio.says(job_id, "generating", progress=progress)
    rows = await studio.logged(job_id, *["accepted"] * 3)
    async with studio.service.sessions.begin() as session:
        of_job = col(WebhookDelivery.job_id) == UUID(job_id)
        long_ago = col(WebhookDelivery.received_at) - timedelta(days=40)
        await session.execute(update(WebhookDelivery).where(of_job).values(received_at=long_ago))
        await session.execute(
            update(WebhookDelivery).where(col(WebhookDelivery.id) == rows[2].id).values(next_try_at=long_ago)
        )
        month = timedelta(days=30)
        assert await delete_old_deliveries(session, older_than=month, at_most=1) == 1
        assert await delete_old_deliveries(session, older_than=month, at_most=10) == 1
        kept = (await session.scalars(select(col(WebhookDelivery.id)).where(of_job))).all()
        assert list(kept) == [rows[2].id]
        await session.rollback()
