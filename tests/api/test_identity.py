"""Who is let in, and that nobody sees, changes or learns of what belongs to somebody else."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest

from db.keys import revoke_key
from tests.api.shared import new_clip, problem, wrong_fields
from tests.running import Service


@dataclass(frozen=True)
class Belongings:
    """What ann has, or, with other ids, what nobody has."""

    job: str
    request: str
    campaign: str
    clip: str


CALLS = [
    ("GET", "/api/jobs/{0.job}"),
    ("GET", "/api/jobs/{0.job}?wait=5"),
    ("GET", "/api/jobs/{0.job}/history"),
    ("GET", "/api/jobs/{0.job}/events"),
    ("POST", "/api/jobs/{0.job}/poll"),
    ("POST", "/api/jobs/{0.job}/cancel"),
    ("POST", "/api/jobs/{0.job}/retry"),
    ("GET", "/api/fal-jobs/{0.request}"),
    ("GET", "/api/media/{0.job}/video.mp4"),
    ("GET", "/api/media/{0.job}/video-poster.jpg"),
    ("GET", "/api/campaigns/{0.campaign}"),
    ("POST", "/api/campaigns/{0.campaign}/clips"),
    ("GET", "/api/clips/{0.clip}"),
]
NOBODYS = Belongings(job=str(uuid4()), request=str(uuid4()), campaign=str(uuid4()), clip=str(uuid4()))


@pytest.fixture(scope="module")
async def anns(patient_service: Service) -> Belongings:
    clip = await new_clip(patient_service)
    job_id = await patient_service.create(clipId=clip["id"], campaignId=clip["campaignId"])
    job = await patient_service.until(job_id, "completed")
    return Belongings(job=job_id, request=job["falRequestId"], campaign=clip["campaignId"], clip=clip["id"])


async def call(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    return await client.request(method, path, json={} if method == "POST" else None)


async def newest_job(client: httpx.AsyncClient) -> str | None:
    """Its id, to see that no other was made."""
    page = (await client.get("/api/jobs", params={"limit": 1})).json()["data"]
    return page[0]["id"] if page else None


def without_its_own_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")}


@pytest.mark.fault("T1")
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_what_is_somebody_elses_looks_like_nothing(
    patient_service: Service, bob: httpx.AsyncClient, anns: Belongings, method: str, path: str
) -> None:
    assert (await call(patient_service.client, method, path.format(anns))).status_code != 404
    hers = await call(bob, method, path.format(anns))
    unknown = await call(bob, method, path.format(NOBODYS))

    problem(hers, 404, "NOT_FOUND")
    assert hers.content == unknown.content
    assert without_its_own_headers(hers) == without_its_own_headers(unknown)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic cms6cms=", "Bearer rk_unknown", "Bearer a b", "Bearer \xe9", f"Bearer {'x' * 5000}"],
)
async def test_without_a_valid_key_nothing_is_answered(patient_service: Service, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    async with httpx.AsyncClient(base_url=patient_service.origin, headers=headers) as client:
        for method, path in [*CALLS, ("GET", "/api/jobs"), ("POST", "/api/generate/video"), ("POST", "/api/jobs")]:
            response = await call(client, method, path.format(NOBODYS))
            problem(response, 401, "UNAUTHENTICATED")
            assert response.headers["www-authenticate"] == "Bearer"


async def test_key_in_the_query_is_no_key(patient_service: Service) -> None:
    key = patient_service.client.headers["authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(base_url=patient_service.origin) as client:
        problem(await client.get("/api/jobs", params={"key": key, "access_token": key}), 401, "UNAUTHENTICATED")


async def test_revoked_key_is_refused_within_seconds(patient_service: Service) -> None:
    async with await patient_service.user("carol") as carol, await patient_service.user("carol") as her_other_key:
        assert (await carol.get("/api/jobs")).status_code == 200
        async with patient_service.sessions.begin() as session:
            assert await revoke_key(session, carol.headers["authorization"].removeprefix("Bearer "))
        async with asyncio.timeout(5):
            while (refused := await carol.get("/api/jobs")).status_code == 200:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)

        problem(refused, 401, "UNAUTHENTICATED")
        assert (await her_other_key.get("/api/jobs")).status_code == 200


@pytest.mark.fault("T2")
async def test_somebody_elses_cancel_reaches_neither_the_job_nor_the_provider(
    patient_service: Service, bob: httpx.AsyncClient
) -> None:
    job_id = await patient_service.create("long [sim: latency=60s]")
    await patient_service.until(job_id, "submitted")
    for verb in ("cancel", "poll", "retry"):
        problem(await bob.post(f"/api/jobs/{job_id}/{verb}"), 404, "NOT_FOUND")

    assert (await patient_service.job(job_id))["status"] == "submitted"
    counted = await patient_service.simulated(job_id)
    assert (counted["cancel_calls"], counted["status_calls"]) == (0, 0)
    assert (await patient_service.client.post(f"/api/jobs/{job_id}/cancel")).status_code == 202
    await patient_service.until(job_id, "canceled")


@pytest.mark.fault("T4")
async def test_lists_show_the_callers_own_rows_alone(patient_service: Service, anns: Belongings) -> None:
    async with await patient_service.user("dora") as dora:
        accepted = await dora.post("/api/generate/voice", json={"text": "mine"})
        hers = accepted.json()["jobId"]
        await patient_service.client.post("/api/generate/voice", json={"text": "one more of ann's"})
        anns_cursor = (await patient_service.client.get("/api/jobs", params={"limit": 1})).json()["nextCursor"]
        seen = [
            {job["id"] for job in (await dora.get("/api/jobs", params=params)).json()["data"]}
            for params in ({}, {"status": "completed"}, {"clipId": anns.clip}, {"type": "video"})
        ]
        after = await dora.get("/api/jobs", params={"after": anns_cursor})

        assert seen[0] == {hers}
        assert set().union(*seen) <= {hers}
        assert {job["id"] for job in after.json()["data"]} <= {hers}


async def test_somebody_elses_clip_cannot_be_given_media(bob: httpx.AsyncClient, anns: Belongings) -> None:
    def asked_for(those: Belongings) -> dict[str, str]:
        return {"prompt": "x", "clipId": those.clip, "campaignId": those.campaign}

    before = await newest_job(bob)
    refused = await bob.post("/api/generate/video", json=asked_for(anns))
    unknown = await bob.post("/api/generate/video", json=asked_for(NOBODYS))

    assert wrong_fields(refused) == ["campaignId", "clipId"]
    hidden = refused.text.replace(anns.clip, NOBODYS.clip).replace(anns.campaign, NOBODYS.campaign)
    assert hidden == unknown.text
    assert await newest_job(bob) == before


@pytest.mark.fault("T8")
@pytest.mark.parametrize(
    "field",
    [
        {"user_id": str(uuid4())},
        {"userId": str(uuid4())},
        {"id": str(uuid4())},
        {"status": "completed"},
        {"credits_deducted": -100},
        {"creditsDeducted": -100},
        {"result_url": "https://example.com/v.mp4"},
        {"falRequestId": "r"},
        {"webhook_url": "https://example.com"},
        {"estimatedCostCents": 0},
    ],
    ids=lambda field: next(iter(field)),
)
async def test_callers_cannot_set_what_is_ours_to_set(patient_service: Service, field: dict[str, object]) -> None:
    client = patient_service.client
    before = await newest_job(client)
    campaign = (await client.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
    for path, body in (
        ("/api/generate/video", {"prompt": "x"}),
        ("/api/jobs", {"model": "veo3.1-fast", "input": {"prompt": "x"}}),
        ("/api/campaigns", {"name": "x"}),
        (f"/api/campaigns/{campaign}/clips", {"title": "x"}),
    ):
        assert wrong_fields(await client.post(path, json=body | field)) == list(field)
    inside = {"model": "veo3.1-fast", "input": {"prompt": "x"} | field}
    assert wrong_fields(await client.post("/api/jobs", json=inside)) == list(field)

    assert await newest_job(client) == before
    assert (await client.get(f"/api/campaigns/{campaign}")).json()["clips"] == []
