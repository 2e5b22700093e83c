"""Videohub: its `GenerateForm` posts flat, normalized words, follows the job, and finds the archived video."""

from typing import Any

import httpx

from tests.eventually import PATIENCE
from tests.running import Service, until

PICTURE = "https://example.com/first.png"


async def submit(client: httpx.AsyncClient, **form: Any) -> httpx.Response:
    return await client.post("/api/jobs", json=form)


async def test_the_form_from_its_validation_to_the_archive(patient_service: Service, caller: httpx.AsyncClient) -> None:
    form = {"model": "veo3-fast", "prompt": "a reef [sim: latency=10m]", "durationSeconds": 6}
    incomplete = await submit(caller, **form)
    assert (incomplete.status_code, incomplete.json()["code"]) == (422, "INVALID_PARAMS")

    created = await submit(caller, **form, inputImageUrl=PICTURE)
    assert created.status_code == 202
    job_id, address = created.json()["jobId"], created.json()["statusUrl"]
    await until(caller, address, "in_progress")
    (running,) = (await caller.get("/api/jobs", params={"status": "running"})).json()["data"]
    assert running["id"] == job_id

    await patient_service.servers.end_at_provider(job_id)
    job = await until(caller, address, "completed")
    (delivery,) = await patient_service.deliveries(job_id, count=1)
    asked = await patient_service.servers.simulated_request(job["falRequestId"])
    assert (delivery["status_code"], job["progress"]) == (200, 100)
    assert asked["endpoint"] == "fal-ai/veo3/fast/image-to-video"
    assert (asked["input"]["image_url"], asked["input"]["duration"]) == (PICTURE, "6s")
    async with httpx.AsyncClient(follow_redirects=True, timeout=PATIENCE) as browser:
        archived = await browser.get(job["resultUrl"])
    assert (archived.status_code, archived.headers["content-type"]) == (200, "video/mp4")
    assert (await caller.get(f"{address}/history")).json()["data"]


async def test_what_costs_more_than_the_interactive_budget_is_confirmed(caller: httpx.AsyncClient) -> None:
    form = {
        "model": "seedance-2.0",
        "prompt": "a reef",
        "inputImageUrl": PICTURE,
        "durationSeconds": 10,
        "resolution": "1080p",
    }
    asked = await submit(caller, **form)
    assert (asked.status_code, asked.json()["code"]) == (409, "CONFIRMATION_REQUIRED")
    confirmed = await submit(caller, **form, confirm=True)
    assert confirmed.status_code == 202
    await until(caller, confirmed.json()["statusUrl"], "completed")
