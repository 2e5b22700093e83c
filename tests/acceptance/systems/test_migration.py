"""From callers that wait for the answer to callers that don't: the switch, the preference, and the retry."""

import asyncio

import httpx

from tests.eventually import eventually
from tests.running import Job, Service, running_service, until
from tests.servers import Servers

VIDEO = {"prompt": "a lighthouse", "quality": "fast"}


async def test_with_the_switch_off_every_post_waits_for_its_video(servers: Servers) -> None:
    async with running_service(servers, use_async_generation=False) as service:
        answer = await service.client.post("/api/generate/video", json=VIDEO)

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.headers["preference-applied"]) == ("completed", "wait=300")
    assert answer.json()["files"]


async def test_one_caller_prefers_to_wait_and_another_does_not(caller: httpx.AsyncClient) -> None:
    waited = await caller.post("/api/generate/video", json=VIDEO, headers={"prefer": "wait=90"})
    at_once = await caller.post("/api/generate/video", json=VIDEO)

    assert (waited.status_code, waited.json()["status"]) == (200, "completed")
    assert (at_once.status_code, at_once.json()["status"]) == (202, "submitted")


async def test_dropped_connection_loses_nothing(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """The caller goes away while its POST waits; the same POST again brings the video of the first."""

    async def post() -> httpx.Response:
        headers = {"idempotency-key": "k", "prefer": "wait=90"}
        return await caller.post("/api/generate/video", json=VIDEO | {"prompt": "[sim: latency=2s]"}, headers=headers)

    waiting = asyncio.create_task(post())

    async def listed() -> list[Job]:
        return list((await caller.get("/api/jobs")).json()["data"])

    jobs = await eventually(listed)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    again = await post()
    assert (again.status_code, again.json()["status"]) == (200, "completed")
    assert [again.json()["id"]] == [job["id"] for job in jobs]
    assert (await patient_service.simulated(again.json()["id"]))["accepted"] == 1


async def test_failed_job_is_tried_again_as_a_new_one(caller: httpx.AsyncClient) -> None:
    words = VIDEO | {"prompt": "bad [sim: fail=500]", "aspectRatio": "9:16", "metadata": {"nodeId": "n"}}
    created = (await caller.post("/api/generate/video", json=words)).json()
    failed = await until(caller, created["statusUrl"], "failed")
    assert failed["errorCode"] == "provider_error"

    again = await caller.post(f"{created['statusUrl']}/retry")
    job = (await caller.get(again.json()["statusUrl"])).json()
    assert again.status_code == 202
    assert job["id"] != failed["id"]
    assert [job[name] for name in ("model", "prompt", "aspectRatio", "metadata")] == [
        failed[name] for name in ("model", "prompt", "aspectRatio", "metadata")
    ]
    assert (await caller.post(f"{again.json()['statusUrl']}/retry")).json()["code"] == "CONFLICT"
