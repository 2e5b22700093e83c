"""The background generator by Replicate, as its document tells it: a command, a prediction, a stored video."""

from uuid import UUID

import httpx

from reelay.db.tables import GenerationJob
from tests.running import Service, until

ZEROSCOPE = "zeroscope-v2-xl"


async def test_a_background_video_from_its_prompt_to_the_gallery(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    """Posted, answered at once, pending in the list, told by the prediction's id, archived, shown in the chat."""
    prompt = "a clown fish swims in a coral reef"
    body = {"model": ZEROSCOPE, "input": {"prompt": f"{prompt} [sim: latency=10m]"}}
    created = await caller.post("/api/jobs", json=body)
    assert (created.status_code, created.json()["status"]) == (202, "submitted")
    task_id = created.json()["jobId"]
    pending = (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"]
    assert [job["id"] for job in pending] == [task_id]

    running = await until(caller, created.json()["statusUrl"], "in_progress")
    prediction = await patient_service.servers.simulated_request(running["falRequestId"])
    assert prediction["input"]["prompt"] == body["input"]["prompt"]  # type: ignore[index]

    await patient_service.servers.end_at_provider(task_id)
    done = await until(caller, created.json()["statusUrl"], "completed")
    (delivery,) = await patient_service.deliveries(task_id, count=1)
    assert (done["provider"], done["progress"], delivery["status_code"]) == ("replicate", 100, 200)
    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    ((shown,), (file,)) = (video["files"], done["files"])
    assert (video["jobId"], shown | file) == (task_id, shown)
    assert (await caller.get(done["resultUrl"], follow_redirects=True)).headers["content-type"] == "video/mp4"
    told = (await caller.post("/api/chat", json={"message": f"/status {task_id}"})).json()
    assert (told["type"], told["content"]["url"]) == ("video", done["resultUrl"])
    assert (await caller.get("/api/jobs", params={"status": "active"})).json()["data"] == []


async def test_failed_prediction_is_told_with_its_reason(caller: httpx.AsyncClient) -> None:
    body = {"model": ZEROSCOPE, "input": {"prompt": "a reef [sim: fail=500]"}}
    created = (await caller.post("/api/jobs", json=body)).json()
    job = await until(caller, created["statusUrl"], "failed")

    assert (job["progress"], job["errorCode"]) == (0, "provider_error")
    assert job["errorMessage"]
    assert (await caller.get("/api/videos/user")).json()["data"] == []


async def test_job_of_a_version_that_is_no_more_is_retried_with_the_one_that_the_catalogue_has(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    body = {"model": ZEROSCOPE, "input": {"prompt": "a reef [sim: fail=422]"}}
    failed = await until(caller, (await caller.post("/api/jobs", json=body)).json()["statusUrl"], "failed")
    async with patient_service.sessions.begin() as session:
        row = await session.get(GenerationJob, UUID(failed["id"]))
        assert row is not None
        row.endpoint = f"anotherjesse/zeroscope-v2-xl:{'0' * 64}"

    again = await caller.post(f"/api/jobs/{failed['id']}/retry")
    assert again.status_code == 202, again.text
    retried = await until(caller, again.json()["statusUrl"], "submitted", "in_progress", "failed")
    assert (retried["model"], retried["input"]) == (ZEROSCOPE, failed["input"])
