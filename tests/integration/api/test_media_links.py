"""Media by its link: whoever has it needs no key, and it opens nothing else."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from reelay.db.keys import revoke_key
from reelay.db.users import disable_user, enable_user, find_user
from reelay.domain.access_pass import Holder
from reelay.domain.media_link import link_key, sign_media_address
from tests.eventually import PATIENCE
from tests.integration.api.shared import new_clip, problem
from tests.running import Job, Service, until


@pytest.fixture(scope="module")
async def patient_service(shared_patient_service: Service) -> AsyncIterator[Service]:
    """To one user for all tests of this file, because they share what that user has."""
    async with shared_patient_service.for_user("one for this file") as mine:
        yield mine


@pytest.fixture(scope="module")
async def finished(patient_service: Service) -> Job:
    """A completed job of ann's, in a clip."""
    clip = await new_clip(patient_service)
    return await patient_service.until(await patient_service.create("for everybody", clipId=clip["id"]), "completed")


@pytest.fixture
async def anybody(patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        yield client


async def test_every_link_of_a_job_plays_without_a_header(
    patient_service: Service, anybody: httpx.AsyncClient, finished: Job
) -> None:
    clip = (await patient_service.client.get(f"/api/clips/{finished['clipId']}")).json()
    (file,) = finished["files"]
    size = file["fileSize"]

    for address in (finished["resultUrl"], file["fileUrl"], clip["video"]["raw_url"]):
        whole = await anybody.get(address)
        assert (whole.status_code, len(whole.content), whole.headers["content-type"]) == (200, size, "video/mp4")
    part = await anybody.get(file["fileUrl"], headers={"range": "bytes=0-99"})
    head = await anybody.head(file["fileUrl"])
    poster = await anybody.get(file["posterUrl"])

    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 0-99/{size}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert (poster.status_code, poster.headers["content-type"]) == (200, "image/jpeg")
    assert poster.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_link_in_streams_lists_and_the_chat_plays(
    patient_service: Service, anybody: httpx.AsyncClient, finished: Job
) -> None:
    client, job_id = patient_service.client, finished["id"]
    (video,) = [each for each in (await client.get("/api/videos/user")).json()["data"] if each["id"] == job_id]
    (listed,) = [each for each in (await client.get("/api/jobs")).json()["data"] if each["id"] == job_id]
    told = (await client.post("/api/chat", json={"message": f"/status {job_id}"})).json()
    event = (await client.get(f"/api/jobs/{job_id}/events")).text

    for address in (video["fileUrl"], listed["resultUrl"], told["content"]["url"]):
        assert (await anybody.head(address)).status_code == 200
        assert address in event


async def test_link_opens_one_file_and_nothing_else(
    patient_service: Service, anybody: httpx.AsyncClient, finished: Job
) -> None:
    link, poster = finished["resultUrl"], finished["files"][0]["posterUrl"]
    address, query = link.split("?")

    problem(await anybody.get(address), 401, "UNAUTHENTICATED")
    problem(await anybody.get(f"/api/jobs/{finished['id']}?{query}"), 422, "INVALID_PARAMS")
    for other in (f"{poster.split('?')[0]}?{query}", link.replace("expires=1", "expires=2"), link[:-4] + "xxxx"):
        refused = problem(await anybody.get(other), 401, "UNAUTHENTICATED")
        assert "GET /api/jobs/{id}" in refused["detail"]


async def test_expired_link_says_where_a_fresh_one_is(
    patient_service: Service, anybody: httpx.AsyncClient, finished: Job
) -> None:
    async with patient_service.sessions() as session:
        ann = await find_user(session, patient_service.user_name)
    assert ann
    pepper = patient_service.settings.api_key_pepper.get_secret_value().encode()
    address = finished["resultUrl"].removeprefix(patient_service.origin).split("?")[0]
    expired = sign_media_address(link_key(pepper), Holder(user_id=ann.id), address, now=time.time() - 2 * 3600)

    refused = problem(await anybody.get(expired), 401, "UNAUTHENTICATED")
    assert "has expired" in refused["detail"]
    assert (await patient_service.client.get(expired)).status_code == 200  # the key is still good


async def test_anothers_key_does_not_stop_a_link(bob: httpx.AsyncClient, finished: Job) -> None:
    assert (await bob.head(finished["resultUrl"])).status_code == 200
    problem(await bob.get(finished["resultUrl"].split("?")[0]), 404, "NOT_FOUND")


async def test_links_of_a_disabled_user_and_to_deleted_files_stop(
    patient_service: Service, anybody: httpx.AsyncClient
) -> None:
    async with await patient_service.user("ivan") as ivan:
        created = await ivan.post("/api/generate/voice", json={"text": "Good bye."})
        path = f"/api/jobs/{created.json()['jobId']}"
        job = await until(ivan, path, "completed")
    assert (await anybody.get(job["resultUrl"])).status_code == 200

    async with patient_service.sessions.begin() as session:
        user = await find_user(session, "ivan")
        assert user is not None
        await disable_user(session, user.id)
    problem(await anybody.get(job["resultUrl"]), 401, "UNAUTHENTICATED")
    async with patient_service.sessions.begin() as session:
        await enable_user(session, user.id)
    assert (await anybody.get(job["resultUrl"])).status_code == 200
    async with patient_service.sessions.begin() as session:
        await session.execute(text("delete from video_files where job_id = :id"), {"id": UUID(job["id"])})
    problem(await anybody.get(job["resultUrl"]), 404, "NOT_FOUND")


async def test_links_end_with_the_key_that_they_were_shown_to(
    patient_service: Service, anybody: httpx.AsyncClient
) -> None:
    async with await patient_service.user("vera") as vera, await patient_service.user("vera") as with_another_key:
        created = await vera.post("/api/generate/voice", json={"text": "Good bye."})
        path = f"/api/jobs/{created.json()['jobId']}"
        links = [(await until(client, path, "completed"))["resultUrl"] for client in (vera, with_another_key)]
        for link in links:
            assert (await anybody.get(link)).status_code == 200

        async with patient_service.sessions.begin() as session:
            assert await revoke_key(session, vera.headers["authorization"].removeprefix("Bearer "))
        problem(await anybody.get(links[0]), 401, "UNAUTHENTICATED")
        assert (await anybody.get(links[1])).status_code == 200


async def test_links_end_with_the_sign_out(patient_service: Service, anybody: httpx.AsyncClient) -> None:
    async with await patient_service.user("wanda") as wanda, await patient_service.user("wanda") as elsewhere:
        created = await wanda.post("/api/generate/voice", json={"text": "Good bye."})
        path = f"/api/jobs/{created.json()['jobId']}"
        hers, kept = [(await until(client, path, "completed"))["resultUrl"] for client in (wanda, elsewhere)]

        assert (await wanda.post("/api/sign-out")).headers["clear-site-data"] == '"cache"'
        problem(await anybody.get(hers), 401, "UNAUTHENTICATED")
        again = (await wanda.get(path)).json()["resultUrl"]
        for link in (kept, again):
            assert (await anybody.get(link)).status_code == 200
