"""The background generator by Replicate, as its document tells it: a command, a prediction, a stored video."""

import httpx

from tests.running import Service
from tests.systems.reading import until

ZEROSCOPE = "zeroscope-v2-xl"


async def test_a_background_video_from_its_prompt_to_the_gallery(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    """Posted, answered at once, pending in the list, told by the prediction's id, archived, shown in the chat."""
    prompt = "a clown fish swims in a coral reef"
    body = {"model": ZEROSCOPE, "input": {"prompt": f"{prompt} [sim: latency=1s]"}}
    created = await caller.post("/api/jobs", json=body)
    assert (created.status_code, created.json()["status"]) == (202, "submitted")
    task_id = created.json()["jobId"]
    pending = (await caller.get("/api/jobs", params={"status": "active", "type": "video"})).json()["data"]
    assert [job["id"] for job in pending] == [task_id]

    running = await until(caller, created.json()["statusUrl"], "submitted", "in_progress")
    prediction = await patient_service.servers.simulated_request(running["falRequestId"])
    assert prediction["input"]["prompt"] == body["input"]["prompt"]  # type: ignore[index]

    done = await until(caller, created.json()["statusUrl"], "completed")
    (delivery,) = await patient_service.deliveries(task_id, count=1)
    assert (done["provider"], done["progress"], delivery["status_code"]) == ("replicate", 100, 200)
    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    assert (video["jobId"], video["files"]) == (task_id, done["files"])
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
