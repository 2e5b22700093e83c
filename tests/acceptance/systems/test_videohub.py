"""The videohub, as its document tells it: every model by one call, its steps, its log, and a late result."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from reelay.domain.generation import AT_THE_PROVIDER
from tests.eventually import eventually
from tests.running import Service, running_service, until
from tests.servers import Servers

PICTURE = "https://example.com/first.png"
FORM = {"prompt": "a reef", "inputImageUrl": PICTURE}
"""What the form sends beside the model's name."""


@pytest.fixture(scope="module")
async def unhurried_service(servers: Servers) -> AsyncIterator[Service]:
    """It polls once a minute: what it learns sooner, it was told to look for."""
    async with running_service(servers, webhook_patience=60, poll_interval=60) as running:
        yield running


async def test_a_video_from_its_post_to_the_gallery(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """Created with its assets, running, its log shown on demand, completed, its steps kept, its files listed."""
    body = {
        "model": "kling-2.5-turbo-pro",
        "input": {"prompt": "a reef [sim: latency=10m]", "firstFrameUrl": PICTURE, "duration": 5},
        "metadata": {"projectId": "p-7"},
    }
    created = await caller.post("/api/jobs", json=body)
    assert created.status_code == 202
    address = created.json()["statusUrl"]

    running = await until(caller, address, "in_progress")
    assert running["assets"] == {"firstFrameUrl": PICTURE}
    assert running["metadata"] == {"projectId": "p-7"}
    assert running["logs"] is None

    async def logs() -> list[str]:
        await caller.post(f"{address}/poll")
        return list((await caller.get(address, params={"logs": 1})).json()["logs"])

    assert (await eventually(logs))[0] == "Loading the model"

    await patient_service.servers.end_at_provider(running["id"])
    done = await until(caller, address, "completed")
    assert done["aspectRatio"] == done["files"][0]["aspectRatio"] == "16:9"
    history = (await caller.get(f"{address}/history")).json()["data"]
    steps = [event["detail"].split(",")[0] for event in history if "lines" not in event["data"]]
    assert steps == [
        "Waiting to be processed",
        "Being submitted to fal",
        "Generating at fal",
        "Saving the result",
        "Completed",
    ]
    assert next(event["data"]["lines"] for event in history if "lines" in event["data"])[0] == "Loading the model"

    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    assert video["jobId"] == done["id"]
    assert video["files"] == done["files"]


@pytest.mark.parametrize(
    ("form", "endpoint", "sent"),
    [
        (
            FORM | {"modelId": "veo3-fast", "durationSeconds": 6},
            "fal-ai/veo3/fast/image-to-video",
            {"image_url": PICTURE, "duration": "6s"},
        ),
        (
            FORM | {"model": "cogvideox-5b", "fps": 24, "cfg": 6, "metadata": {"preset": "reef"}},
            "fal-ai/cogvideox-5b/image-to-video",
            {"image_url": PICTURE, "export_fps": 24, "guidance_scale": 6},
        ),
        (
            {"model": "veo3-fast-text", "prompt": "a reef", "duration": 4},
            "fal-ai/veo3/fast",
            {"duration": "4s"},
        ),
        (
            FORM | {"model": "seedance-2.0", "durationSeconds": 10, "resolution": "1080p", "confirm": True},
            "bytedance/seedance-2.0/image-to-video",
            {"image_url": PICTURE, "duration": "10", "resolution": "1080p"},
        ),
        (
            {"model": "fal-ai/kling-video/v2.5-turbo/pro/text-to-video", "input": {"prompt": "a reef"}, "cfg": 0.7},
            "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
            {"cfg_scale": 0.7},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_forms_own_words_make_the_video_and_are_kept(
    patient_service: Service, form: dict[str, Any], endpoint: str, sent: dict[str, Any]
) -> None:
    created = await patient_service.client.post("/api/jobs", json=form)
    assert created.status_code == 202, created.text
    job = await patient_service.until(created.json()["jobId"], "completed")
    asked = await patient_service.servers.simulated_request(job["falRequestId"])

    ours = {"model", "modelId", "input", "confirm", "metadata"}
    assert job["input"] == {word: form[word] for word in form if word not in ours} | form.get("input", {})
    assert job["metadata"] == form.get("metadata", {})
    assert asked["endpoint"] == endpoint
    assert sent.items() <= asked["input"].items()


@pytest.mark.parametrize("model", ["veo3-fast", "cogvideox-5b"])
@pytest.mark.parametrize("picture", [{}, {"inputImageUrl": None}, {"images": []}])
async def test_a_picture_that_the_model_demands_is_missed_before_anything_is_bought(
    caller: httpx.AsyncClient, model: str, picture: dict[str, Any]
) -> None:
    refused = await caller.post("/api/jobs", json={"model": model, "prompt": "a reef", **picture})
    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_PARAMS")
    (error,) = refused.json()["errors"]
    assert error["field"] == "firstFrameUrl"
    assert f"{model}-text" in error["message"]
    assert (await caller.get("/api/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            {"model": "veo3.1", "prompt": "x", "durationSecond": 6},
            {"durationSecond": 'did you mean "durationSeconds"?'},
        ),
        ({"model": "veo3.1", "prompt": "x", "confrim": True}, {"confrim": 'did you mean "confirm"?'}),
        ({"model": "veo3.1", "input": {"prompt": "x"}, "hue": 1}, {"hue": "is not an input of fal-ai/veo3.1"}),
        ({"model": "veo3.1", "prompt": "x", "fps": 24}, {"fps": "is not an input of fal-ai/veo3.1"}),
        (
            {"model": "veo3.1", "prompt": "x", "duration": 6, "durationSeconds": 8},
            {"duration": "is given twice, as duration, durationSeconds, with different values"},
        ),
        (
            {"model": "veo3.1", "input": {"prompt": "x"}, "prompt": "y"},
            {"prompt": "is given twice, in input with another value"},
        ),
        ({"model": "veo3.1", "modelId": "veo3-fast", "prompt": "x"}, {"modelId": "is another one than model"}),
        ({"prompt": "x"}, {"model": "is required"}),
        (
            {"modelId": "veo3.1", "durationSeconds": 7, "clipId": "7", "prompt": "x"},
            {"clipId": "must be a UUID", "durationSeconds": "must be one of 4, 6, 8 seconds"},
        ),
    ],
)
async def test_words_that_do_not_fit_are_refused_by_name(
    caller: httpx.AsyncClient, body: dict[str, Any], errors: dict[str, str]
) -> None:
    refused = await caller.post("/api/jobs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_PARAMS")
    messages = {error["field"]: error["message"] for error in refused.json()["errors"]}
    assert messages.keys() == errors.keys()
    assert all(errors[field] in messages[field] for field in errors)


async def test_the_interactive_budget_asks_before_it_is_exceeded(patient_service: Service) -> None:
    form = FORM | {"model": "seedance-2.0", "durationSeconds": 10, "resolution": "1080p"}
    asked = await patient_service.client.post("/api/jobs", json=form)
    estimate = await patient_service.client.post("/api/estimate", json=form)

    assert (asked.status_code, asked.json()["code"]) == (409, "CONFIRMATION_REQUIRED")
    assert asked.json()["estimatedCostCents"] == estimate.json()["estimatedCostCents"] == 682


async def test_running_jobs_are_listed_by_either_word(caller: httpx.AsyncClient) -> None:
    form = {"model": "veo3.1-fast", "prompt": "a reef [sim: latency=10m]"}
    created = (await caller.post("/api/jobs", json=form)).json()
    await until(caller, created["statusUrl"], "submitted", "in_progress")
    listed = {
        word: [job["id"] for job in (await caller.get("/api/jobs", params={"status": word})).json()["data"]]
        for word in ("running", "processing", "active", "completed")
    }
    await caller.post(f"{created['statusUrl']}/cancel")
    await until(caller, created["statusUrl"], "canceled")

    assert listed == {word: [created["jobId"]] for word in ("running", "processing", "active")} | {"completed": []}
    assert (await caller.get("/api/jobs", params={"status": "running"})).json()["data"] == []


@pytest.mark.parametrize(("asked", "shown"), [("9:16", "9:16"), (None, "9:16")])
async def test_ratio_is_the_one_that_was_asked_for(caller: httpx.AsyncClient, asked: str | None, shown: str) -> None:
    words = {"prompt": "a reef [sim: latency=10m]"} | ({"aspectRatio": asked} if asked else {})
    created = (await caller.post("/api/generate/video", json=words)).json()

    job = (await caller.get(created["statusUrl"])).json()
    assert (job["aspectRatio"], job["assets"]) == (shown, {})
    await caller.post(f"{created['statusUrl']}/cancel")


async def test_reading_asks_the_provider_nothing_and_writes_nothing(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    created = (await caller.post("/api/generate/video", json={"prompt": "a reef [sim: latency=10m]"})).json()
    await until(caller, created["statusUrl"], *AT_THE_PROVIDER)
    before = (await caller.get(f"{created['statusUrl']}/history")).json()
    for _ in range(3):
        assert (await caller.get(created["statusUrl"], params={"logs": 1})).json()["logs"] == []

    assert (await patient_service.simulated(created["jobId"]))["status_calls"] == 0
    assert (await caller.get(f"{created['statusUrl']}/history")).json() == before
    await caller.post(f"{created['statusUrl']}/cancel")


async def test_log_of_an_ended_job_is_whole_and_kept_once(servers: Servers) -> None:
    """Also where nobody has polled."""
    async with running_service(servers, provider_logs=True, webhook_patience=60) as service:
        job_id = await service.create("a reef")
        await service.until(job_id, "completed")
        logs = (await service.job(job_id))["logs"]
        history = (await service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]

    assert (logs[0], logs[-1]) == ("Loading the model", "Uploading the output")
    assert [event["data"]["lines"] for event in history if "lines" in event["data"]] == [list(logs)]


async def test_logs_by_default_are_shown_and_kept_while_polling(servers: Servers) -> None:
    async with running_service(servers, app_url=None, provider_logs=True) as service:
        job_id = await service.create("[sim: latency=1500ms]")
        job = await service.until(job_id, "completed")
        without = (await service.client.get(f"/api/jobs/{job_id}", params={"logs": 0})).json()
        history = (await service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]

    assert job["logs"][-1] == "Uploading the output"
    assert without["logs"] is None
    kept: list[Any] = [line for event in history for line in event["data"].get("lines", [])]
    assert kept == job["logs"]


async def test_completed_without_media_stays_in_progress_until_somebody_asks(unhurried_service: Service) -> None:
    service = unhurried_service
    job_id = await service.create("empty at first [sim: webhook=no-media:5s]")

    async def has_no_media_yet() -> bool:
        return any("no media yet" in line for line in await service.trail(job_id))

    async def is_completed_when_asked() -> bool:
        assert (await service.client.post(f"/api/jobs/{job_id}/poll")).status_code == 202
        return bool((await service.job(job_id))["status"] == "completed")

    await eventually(has_no_media_yet)
    assert (await service.job(job_id))["status"] == "in_progress"

    await eventually(is_completed_when_asked, every=0.5)
    assert (await service.job(job_id))["files"]
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_stranger_sees_neither_the_job_nor_its_log(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    created = (await caller.post("/api/generate/video", json={"prompt": "mine"})).json()
    for address in (f"{created['statusUrl']}?logs=1", f"{created['statusUrl']}/history"):
        assert (await stranger.get(address)).status_code == 404
    await until(caller, created["statusUrl"], "completed")

    assert (await stranger.get("/api/videos/user")).json()["data"] == []
