"""`POST /api/campaigns/{id}/produce`: the films of several clips by one call, all of them or none."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from tests.integration.api.shared import problem, wrong_fields
from tests.integration.pipelines.shared import credits_of, statuses, until
from tests.running import Service

Body = dict[str, Any]
SILENT: Body = {"video": {"prompt": "boats leave", "model": "veo3.1-fast"}}
SPOKEN: Body = {"parts": {"video": {"prompt": "waves"}, "voice": {"text": "The harbour sleeps."}}}


async def campaign_of(service: Service, *clips: Body) -> tuple[str, list[str]]:
    """Its path, and its clips' ids."""
    defaults = {"defaults": {"video": {"model": "veo3.1-fast", "aspectRatio": "9:16"}}}
    created = await service.client.post("/api/campaigns", json={"name": "Sea", "metadata": defaults})
    path = f"/api/campaigns/{created.json()['id']}"
    made = [
        await service.client.post(f"{path}/clips", json={"title": f"Clip {number}", "metadata": metadata})
        for number, metadata in enumerate(clips)
    ]
    return path, [each.json()["id"] for each in made]


async def pipelines_of(service: Service, path: str) -> list[Body]:
    listed = await service.client.get("/api/pipelines", params={"campaignId": path.rpartition("/")[2]})
    found: list[Body] = listed.json()["data"]
    return found


async def test_all_clips_of_a_campaign_become_films_by_one_call(patient_service: Service) -> None:
    service = patient_service
    path, (spoken, silent) = await campaign_of(service, SPOKEN, {})
    body = {"clips": {silent: SILENT, spoken: {}}, "approvals": ["voice"], "metadata": {"shoot": 7}}
    plan = (await service.client.post(f"{path}/produce", params={"dryRun": "1"}, json=body)).json()
    assert set(plan["clips"][spoken]["steps"]) == {"video", "voice", "film"}
    assert plan["estimatedCostCents"] == sum(clip["estimatedCostCents"] for clip in plan["clips"].values()) > 0
    assert (await pipelines_of(service, path), (await credits_of(service))["heldCents"]) == ([], 0)

    key = {"idempotency-key": uuid4().hex}
    created = await service.client.post(f"{path}/produce", json=body, headers=key)
    assert (created.status_code, created.json()["estimatedCostCents"]) == (202, plan["estimatedCostCents"])
    begun = created.json()["pipelines"]
    assert begun.keys() == {spoken, silent}
    again = await service.client.post(f"{path}/produce", json=body, headers=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (created.json(), "true")
    other = {"clips": {silent: SILENT}}
    problem(await service.client.post(f"{path}/produce", json=other, headers=key), 422, "IDEMPOTENCY_KEY_REUSED")
    assert len(await pipelines_of(service, path)) == 2

    film = await until(service, begun[silent], "completed")
    assert (list(statuses(film)), film["clipId"], film["metadata"]) == (["video", "film"], silent, {"shoot": 7})
    waiting = await until(service, begun[spoken], "waiting_for_approval")
    assert (waiting["name"], waiting["steps"]["video"]["input"]["aspectRatio"]) == ("Clip 0", "9:16")
    await service.client.post(f"/api/pipelines/{waiting['id']}/cancel")


async def test_when_one_clip_is_wrong_none_is_made(service: Service) -> None:
    path, (first, second) = await campaign_of(service, {}, {"parts": {"voice": {"text": "No pictures"}}})
    _, (elsewhere,) = await campaign_of(service, {})
    long = {"video": SILENT["video"] | {"duration": 99}}
    for clips, fields in (
        ({first: SILENT, second: long}, [f"clips.{second}.steps.video.input.duration"]),
        ({first: SILENT, second: {}}, [f"clips.{second}.video"]),
        ({first: SILENT, elsewhere: SILENT}, [f"clips.{elsewhere}"]),
        ({}, ["clips"]),
    ):
        assert wrong_fields(await service.client.post(f"{path}/produce", json={"clips": clips})) == fields
    dear = {
        "clips": {
            first: {"video": {"prompt": "x", "model": "veo3.1"}},
            second: {"video": {"prompt": "y", "model": "veo3.1"}},
        }
    }
    plan = await service.client.post(f"{path}/produce", params={"dryRun": "1"}, json=dear)
    assert plan.json()["estimatedCostCents"] > service.settings.interactive_budget_cents
    problem(await service.client.post(f"{path}/produce", json=dear), 409, "CONFIRMATION_REQUIRED")
    cheap = {"clips": {first: SILENT, second: SILENT}, "budgetCents": 1}
    assert wrong_fields(await service.client.post(f"{path}/produce", json=cheap)) == ["budgetCents"]
    assert await pipelines_of(service, path) == []
    assert (await credits_of(service))["heldCents"] == 0
    async with await service.user("a stranger to campaigns") as stranger:
        problem(await stranger.post(f"{path}/produce", json={"clips": {first: SILENT}}), 404, "NOT_FOUND")


async def test_films_are_held_for_together(service: Service) -> None:
    path, clips = await campaign_of(service, {}, {})
    body = {"clips": dict.fromkeys(clips, SILENT)}
    plan = (await service.client.post(f"{path}/produce", params={"dryRun": "1"}, json=body)).json()
    async with await service.user(f"poor {uuid4()}", credits=plan["estimatedCostCents"] - 1) as poor:
        mine = replace(service, client=poor)
        path, clips = await campaign_of(mine, {}, {})
        refused = await poor.post(f"{path}/produce", json={"clips": dict.fromkeys(clips, SILENT)})
        problem(refused, 402, "INSUFFICIENT_CREDITS")
        assert (await pipelines_of(mine, path), (await credits_of(mine))["heldCents"]) == ([], 0)
