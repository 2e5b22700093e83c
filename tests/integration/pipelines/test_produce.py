"""`POST /api/clips/{id}/produce`: a finished clip by one call, with what its campaign says by default."""

from typing import Any

from tests.integration.api.shared import new_clip, wrong_fields
from tests.integration.pipelines.shared import posts, statuses, until
from tests.running import Service

BODY: dict[str, Any] = {
    "firstFrame": {"prompt": "a harbour at dawn"},
    "video": {"prompt": "boats leave"},
    "voice": {"text": "Every morning the harbour wakes."},
    "ambient": {"prompt": "gulls and waves"},
    "captions": True,
}


async def test_a_clip_is_produced_with_its_campaigns_defaults(patient_service: Service) -> None:
    service = patient_service
    defaults = {"video": {"model": "veo3.1-fast", "aspectRatio": "9:16"}, "voice": {"model": "chatterbox"}}
    campaign = await service.client.post("/api/campaigns", json={"name": "Sea", "metadata": {"defaults": defaults}})
    clips = f"/api/campaigns/{campaign.json()['id']}/clips"
    clip = (await service.client.post(clips, json={"title": "Dawn"})).json()
    path = f"/api/clips/{clip['id']}/produce"

    plan = await service.client.post(path, params={"dryRun": "true"}, json=BODY)
    assert (plan.status_code, set(plan.json()["steps"])) == (200, {"firstFrame", "video", "voice", "ambient", "film"})
    created = await service.client.post(path, json=BODY)
    assert (created.status_code, created.json()["estimatedCostCents"]) == (202, plan.json()["estimatedCostCents"])
    pipeline = await until(service, created.json()["pipelineId"], "completed")

    assert (pipeline["name"], pipeline["clipId"]) == ("Dawn", clip["id"])
    video = pipeline["steps"]["video"]
    assert (video["model"], video["input"]["aspectRatio"]) == ("veo3.1-fast", "9:16")
    assert video["input"]["firstFrameUrl"] == "step:firstFrame"
    assert await posts(service, pipeline) == 4
    film = (await service.client.get(f"/api/clips/{clip['id']}")).json()
    assert (film["status"], bool(film["final"]["url"])) == ("ready", True)


async def test_a_video_alone_is_a_film_with_its_own_sound(patient_service: Service) -> None:
    clip = await new_clip(patient_service)
    path = f"/api/clips/{clip['id']}/produce"
    created = await patient_service.client.post(path, json={"video": {"prompt": "boats", "model": "veo3.1-fast"}})
    pipeline = await until(patient_service, created.json()["pipelineId"], "completed")
    assert list(statuses(pipeline)) == ["video", "film"]


async def test_what_is_wrong_with_a_part_is_named_and_a_strangers_clip_is_not_there(service: Service) -> None:
    clip = await new_clip(service)
    path = f"/api/clips/{clip['id']}/produce"
    refused = await service.client.post(path, json=BODY | {"video": {"prompt": "boats", "duration": 99}})
    assert wrong_fields(refused) == ["steps.video.input.duration"]
    assert wrong_fields(await service.client.post(path, json={"voice": {"text": "x"}})) == ["video"]
    assert wrong_fields(await service.client.post(path, json={"video": {"prompt": "x", "model": ""}})) == ["model"]
    async with await service.user("a stranger to clips") as other:
        assert (await other.post(path, json=BODY)).status_code == 404
