"""Jobs known by the caller's own id: found by it, made once by it, and pushed to by it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.api.shared import problem, wrong_fields
from tests.integration.api.studio import PATH, Studio, playing
from tests.running import Service, until


@pytest.fixture(scope="module")
async def studio(shared_patient_service: Service) -> AsyncIterator[Studio]:
    async with shared_patient_service.for_user("whom the studio works for") as service:
        yield await playing(service)


def a_name() -> str:
    """As Prisma makes them."""
    return f"cm{uuid4().hex[:23]}"


async def announced(client: httpx.AsyncClient, name: str, **words: Any) -> httpx.Response:
    return await client.post("/api/jobs", json={"model": "studio-push", "externalId": name, "input": {}, **words})


async def test_job_is_found_told_and_ended_by_the_callers_id(studio: Studio) -> None:
    service, name = studio.service, a_name()
    job_id = (await announced(service.client, name)).json()["jobId"]
    await service.until(name, "submitted")

    by_name, by_id = [await service.job(each) | {"secondsLeft": None} for each in (name, job_id)]
    assert by_name == by_id
    assert (await service.job(name))["externalId"] == name
    assert await service.trail(name) == await service.trail(job_id) != []
    assert (await service.client.post(f"/api/jobs/{name}/poll")).json()["id"] == job_id
    assert (await service.client.post(f"/api/jobs/{name}/cancel")).json()["id"] == job_id
    await service.until(name, "canceled")
    async with service.client.stream("GET", f"/api/jobs/{name}/events") as events:
        assert job_id in "".join([chunk async for chunk in events.aiter_text()])
    again = await service.client.post(f"/api/jobs/{name}/retry")
    assert again.json()["jobId"] != job_id
    assert (await service.job(again.json()["jobId"]))["externalId"] is None


async def test_callers_id_may_have_the_form_of_ours(studio: Studio) -> None:
    name = str(uuid4())
    job_id = (await announced(studio.service.client, name)).json()["jobId"]
    assert job_id != name
    assert (await studio.service.job(name))["id"] == job_id


@pytest.mark.parametrize("unknown", ["cm-of-nobody", str(UUID(int=9)), "x" * 300])
async def test_what_is_nobodys_id_is_not_found(studio: Studio, unknown: str) -> None:
    for path in ("", "/history", "/events"):
        problem(await studio.service.client.get(f"/api/jobs/{unknown}{path}"), 404, "NOT_FOUND")
    for path in ("/cancel", "/poll", "/retry"):
        problem(await studio.service.client.post(f"/api/jobs/{unknown}{path}"), 404, "NOT_FOUND")


async def test_same_request_under_the_same_id_is_the_same_job(studio: Studio) -> None:
    client, name = studio.service.client, a_name()
    first = await announced(client, name, metadata={"take": 1})
    again = await announced(client, name, metadata={"take": 1})
    assert (again.json()["jobId"], again.headers["idempotency-replayed"]) == (first.json()["jobId"], "true")

    refused = problem(await announced(client, name, metadata={"take": 2}), 409, "CONFLICT")
    assert refused["jobId"] == first.json()["jobId"]


async def test_idempotency_key_and_callers_id_go_together(studio: Studio) -> None:
    client, name, key = studio.service.client, a_name(), {"idempotency-key": a_name()}
    body = {"model": "studio-push", "input": {}}
    first = await client.post("/api/jobs", json=body | {"externalId": name}, headers=key)
    for headers in (key, {}, {"idempotency-key": a_name()}):
        again = await client.post("/api/jobs", json=body | {"externalId": name}, headers=headers)
        assert again.json()["jobId"] == first.json()["jobId"]
    other = await client.post("/api/jobs", json=body | {"externalId": a_name()}, headers=key)
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")


async def test_refused_job_leaves_its_id_free(studio: Studio) -> None:
    name = a_name()
    async with await studio.service.user("a user without credits", credits=0) as poor:
        body = {"prompt": "a reef", "externalId": name}
        problem(await poor.post("/api/generate/video", json=body), 402, "INSUFFICIENT_CREDITS")
        assert (await announced(poor, name)).status_code == 202


@pytest.mark.parametrize("odd", ["", "x" * 201, "a\x00b", 7])
async def test_odd_ids_are_refused(studio: Studio, odd: Any) -> None:
    refused = await studio.service.client.post(
        "/api/jobs", json={"model": "studio-push", "input": {}, "externalId": odd}
    )
    assert wrong_fields(refused) == ["externalId"]


async def test_pushes_find_the_job_by_the_backends_own_id(studio: Studio) -> None:
    name = a_name()
    await announced(studio.service.client, name)
    await studio.service.until(name, "submitted")
    assert (await studio.says(name, "generating"))["progress"] == 50
    said = (await studio.complete(name)).json()
    assert (said["job_id"], said["num_videos"]) == (name, 3)
    assert said["message"] == "Video generation webhook processed successfully"
    assert (await studio.service.until(name, "completed"))["externalId"] == name


async def test_id_that_two_users_gave_needs_the_key_of_the_one_that_is_meant(studio: Studio) -> None:
    service, name = studio.service, a_name()
    async with await service.user("bob") as bob:
        mine = (await announced(service.client, name)).json()["jobId"]
        bobs = (await announced(bob, name)).json()["jobId"]
        await service.until(mine, "submitted")
        body = {"job_id": name, "content_type": "video", "status": "generating"}

        refused = problem(await studio.push(name, "generating"), 409, "CONFLICT")
        assert refused["job_id"] == name
        assert "Authorization: Bearer" in refused["error"]

        key = {"x-webhook-secret": studio.secret, "authorization": service.client.headers["authorization"]}
        assert (await service.client.post(PATH, json=body, headers=key)).status_code == 200
        assert (await service.job(mine))["progress"] == 50
        assert (await bob.get(f"/api/jobs/{bobs}")).json()["progress"] == 0


async def test_key_opens_its_own_users_jobs_alone_and_replaces_no_secret(studio: Studio) -> None:
    service, name = studio.service, a_name()
    await announced(service.client, name)
    await service.until(name, "submitted")
    body = {"job_id": name, "content_type": "video", "status": "generating"}
    async with await service.user("bob") as bob:
        bobs_key = {"x-webhook-secret": studio.secret, "authorization": bob.headers["authorization"]}
        problem(await service.client.post(PATH, json=body, headers=bobs_key), 404, "NOT_FOUND")
    problem(await service.client.post(PATH, json=body), 401, "UNAUTHENTICATED")
    unknown = {"x-webhook-secret": studio.secret, "authorization": f"Bearer rk_{'x' * 43}"}
    problem(await service.client.post(PATH, json=body, headers=unknown), 401, "UNAUTHENTICATED")
    assert (await service.job(name))["progress"] == 0


async def test_push_that_comes_before_its_job_is_fed_in_again_to_the_user_whose_key_it_brought(
    studio: Studio,
) -> None:
    service, name = studio.service, a_name()
    async with await service.user("bob") as bob:
        body = {"job_id": name, "content_type": "video", "status": "generating"}
        key = {"x-webhook-secret": studio.secret, "authorization": bob.headers["authorization"]}
        problem(await service.client.post(PATH, json=body, headers=key), 404, "NOT_FOUND")
        mine = (await announced(service.client, name)).json()["jobId"]
        await announced(bob, name)
        assert (await until(bob, f"/api/jobs/{name}", "in_progress"))["progress"] == 50
        assert (await service.job(mine))["progress"] == 0
