"""Pipelines: one plan of jobs and mixes, durable, paid for once, and never half priced."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from reelay.db.statistics import OPEN_ACTIONS
from reelay.db.tables import User
from tests.eventually import eventually
from tests.integration.api.shared import new_clip, problem, wrong_fields
from tests.integration.pipelines.shared import (
    CLIP,
    FRAME,
    VIDEO,
    VOICE,
    WIND,
    Plan,
    create,
    credits_of,
    posts,
    read,
    statuses,
    until,
    until_step,
    with_input,
)
from tests.paths import ROOT
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver
from workflows.ids import pipeline_workflow_id, workflow_id
from workflows.search_attributes import USER

JSON = {"content-type": "application/json"}


async def test_a_clip_becomes_one_film_with_four_posts(patient_service: Service) -> None:
    service = patient_service
    clip = await new_clip(service)
    pipeline = await until(service, await create(service, CLIP, name="Dawn", clipId=clip["id"]), "completed")

    assert set(statuses(pipeline).values()) == {"completed"}
    assert await posts(service, pipeline) == 4
    film, *captions = pipeline["steps"]["film"]["files"]
    assert (film["name"], film["format"], film["width"]) == ("film.mp4", "video/mp4", 1280)
    assert [file["name"] for file in captions] == ["captions.srt", "captions.vtt"]
    subtitles = (await service.client.get(captions[1]["fileUrl"])).text
    assert subtitles.startswith("WEBVTT")
    assert "Every morning the harbour wakes." in subtitles
    assert pipeline["estimatedCostCents"] >= pipeline["costCents"] > 0
    assert (await credits_of(service))["heldCents"] == 0

    shown = (await service.client.get(f"/api/clips/{clip['id']}")).json()
    assert shown["status"] == "ready"
    assert (await service.client.get(shown["final"]["url"])).status_code in (200, 206)
    assert shown["video"]["raw_url"]
    assert shown["firstFrame"]["image_url"]


async def test_an_edited_text_buys_one_voice_and_says_so_before(patient_service: Service) -> None:
    service = patient_service
    first = await until(service, await create(service, CLIP), "completed")
    edit = {"steps": {"voice": {"input": {"text": "The harbour sleeps."}}}}
    path = f"/api/pipelines/{first['id']}/rerun"
    plan = (await service.client.post(path, params={"dryRun": "1"}, json=edit)).json()
    bought = {name for name, step in plan["steps"].items() if step["status"] == "waiting"}
    assert bought == {"voice", "film"}
    assert plan["estimatedCostCents"] == plan["steps"]["voice"]["estimatedCostCents"] > 0
    assert len((await service.client.get("/api/pipelines")).json()["data"]) == 1
    assert (await credits_of(service))["heldCents"] == 0

    created = (await service.client.post(path, json=edit)).json()
    assert created["estimatedCostCents"] == plan["estimatedCostCents"]
    second = await until(service, created["pipelineId"], "completed")
    assert statuses(second) == {
        "frame": "reused", "video": "reused", "voice": "completed", "wind": "reused", "film": "completed"
    }  # fmt: skip
    assert second["rerunOf"] == first["id"]
    assert list(second["steps"]) == list(first["steps"]) == list(CLIP)
    assert second["steps"]["video"]["jobId"] == first["steps"]["video"]["jobId"]
    assert second["costCents"] == second["steps"]["voice"]["costCents"]
    assert await posts(service, second) == 4  # of the first one three, and the voice's own
    captions = second["steps"]["film"]["files"][1]["fileUrl"]
    assert "The harbour sleeps." in (await service.client.get(captions)).text

    third = await until(service, await create(service, CLIP), "completed")
    assert set(statuses(third).values()) == {"reused"}
    fresh = await until(service, await create(service, {"voice": VOICE}, reuse=False), "completed")
    assert statuses(fresh) == {"voice": "completed"}


async def test_a_deleted_result_is_not_reused(patient_service: Service) -> None:
    first = await until(patient_service, await create(patient_service, {"wind": WIND}), "completed")
    assert (await patient_service.client.delete(f"/api/jobs/{first['steps']['wind']['jobId']}")).status_code == 204
    second = await until(patient_service, await create(patient_service, {"wind": WIND}), "completed")
    assert statuses(second) == {"wind": "completed"}


@pytest.mark.parametrize(
    ("steps", "words", "fields"),
    [
        ({"video": VIDEO}, {}, ["steps.video"]),
        ({"a": {**FRAME, "input": {"prompt": "x", "imageUrl": "step:a"}}}, {}, ["steps"]),
        ({"frame": FRAME, "video": with_input(VIDEO, duration=99)}, {}, ["steps.video.input.duration"]),
        ({"frame": VOICE, "video": VIDEO}, {}, ["steps.video.input.firstFrameUrl"]),
        ({"frame": FRAME, "voice": with_input(VOICE, text="step:frame")}, {}, ["steps.voice.input"]),
        ({"frame": FRAME, "film": {"kind": "mix", "video": "step:frame"}}, {}, ["steps.film.video.0"]),
        ({"film": {"kind": "mix", "video": "https://example.com/a.mp4"}}, {}, ["steps.film.video.0"]),
        ({"frame": FRAME}, {"budgetCents": 0}, ["budgetCents"]),
        ({"frame": FRAME}, {"approvals": ["video"]}, ["approvals"]),
        ({"frame": {"kind": "first-frame", "model": "no-such-model"}}, {}, ["steps.frame.model"]),
    ],
)
async def test_what_is_wrong_with_a_plan_is_named_before_anything_is_bought(
    service: Service, steps: dict[str, Plan], words: dict[str, Any], fields: list[str]
) -> None:
    refused = await service.client.post("/api/pipelines", json={"steps": steps, **words})
    assert wrong_fields(refused) == fields
    assert (await service.client.get("/api/jobs")).json()["data"] == []
    assert (await credits_of(service))["heldCents"] == 0


async def test_the_whole_is_held_for_at_once_or_nothing_is_created(service: Service) -> None:
    async with await service.user("poor pipeline", credits=40) as poor:
        refused = await poor.post("/api/pipelines", json={"steps": CLIP})
        problem(refused, 402, "INSUFFICIENT_CREDITS")
        assert (await poor.get("/api/pipelines")).json()["data"] == []
        assert (await poor.get("/api/credits")).json()["availableCents"] == 40
    slow = {**CLIP, "frame": with_input(FRAME, prompt="slow [sim: latency=10m]")}
    pipeline = await read(service, await create(service, slow))
    assert (await credits_of(service))["heldCents"] == pipeline["estimatedCostCents"]
    await service.client.post(f"/api/pipelines/{pipeline['id']}/cancel")


@pytest.mark.fault("F4")
async def test_a_failed_step_leaves_the_others_and_a_retry_goes_on_from_it(patient_service: Service) -> None:
    service = patient_service
    failing = {**CLIP, "video": with_input(VIDEO, prompt="boats [sim: fail=422]")}
    failed = await until(service, await create(service, failing), "failed")
    assert statuses(failed) == {
        "frame": "completed", "video": "failed", "voice": "completed", "wind": "completed", "film": "skipped"
    }  # fmt: skip
    assert failed["steps"]["video"]["errorCode"] == "provider_rejected"
    assert (await credits_of(service))["heldCents"] == 0

    retried = await service.client.post(f"/api/pipelines/{failed['id']}/retry")
    assert retried.status_code == 202, retried.text
    assert (retried.json()["status"], retried.json()["steps"]["film"]["status"]) == ("running", "waiting")
    again = await until(service, failed["id"], "failed")
    assert again["steps"]["frame"]["jobId"] == failed["steps"]["frame"]["jobId"]
    assert again["steps"]["video"]["jobId"] != failed["steps"]["video"]["jobId"]
    edit = {"steps": {"video": {"input": {"prompt": "boats"}}}}
    mended = await service.client.post(f"/api/pipelines/{failed['id']}/rerun", json=edit)
    film = await until(service, mended.json()["pipelineId"], "completed")
    assert statuses(film)["frame"] == "reused"
    problem(await service.client.post(f"/api/pipelines/{film['id']}/retry"), 409, "CONFLICT")
    path = f"/api/pipelines/{film['id']}/rerun"
    for wrong, field in (({"film": {"input": {"video": 7}}}, "steps.film"), ({"none": {"input": {}}}, "steps.none")):
        (named, *_) = wrong_fields(await service.client.post(path, json={"steps": wrong}))
        assert named.startswith(field)


async def test_a_step_waits_for_its_approval_before_the_expensive_one_begins(patient_service: Service) -> None:
    service = patient_service
    steps = {"frame": FRAME, "video": VIDEO}
    pipeline_id = await create(service, steps, approvals=["frame"], reuse=False)
    waiting = await until(service, pipeline_id, "waiting_for_approval")
    assert statuses(waiting) == {"frame": "waiting_for_approval", "video": "waiting"}
    assert waiting["steps"]["frame"]["files"]
    async with service.sessions.begin() as session:  # as if the approval had taken two days
        days = "update generation_jobs set created_at = created_at - interval '2 days' where is_planned"
        await session.execute(text(days))
    async with service.sessions() as session:
        alarms = {row.id for row in await session.execute(OPEN_ACTIONS, {"at_most": 1000})}
    assert UUID(waiting["steps"]["video"]["jobId"]) not in alarms
    path = f"/api/pipelines/{pipeline_id}"
    problem(await service.client.post(f"{path}/approve", json={"step": "video"}), 409, "CONFLICT")
    assert wrong_fields(await service.client.post(f"{path}/approve", json={"step": "film"})) == ["step"]
    assert (await service.client.post(f"{path}/approve", json={"step": "frame", "note": "fine"})).status_code == 202
    done = await until(service, pipeline_id, "completed")
    again = await service.client.post(f"{path}/approve", json={"step": "frame", "note": "very fine"})
    assert (again.status_code, again.json()["steps"]["frame"]["note"]) == (202, "fine")
    problem(await service.client.post(f"{path}/reject", json={"step": "frame"}), 409, "CONFLICT")
    problem(await service.client.post(f"{path}/approve", json={"step": "video"}), 409, "CONFLICT")
    assert done["steps"]["frame"]["note"] == "fine"
    assert await posts(service, done) == 2


@pytest.mark.fault("F4")
async def test_a_rejected_step_skips_what_needs_it_and_is_made_anew_by_a_retry(patient_service: Service) -> None:
    service = patient_service
    pipeline_id = await create(service, {"frame": FRAME, "video": VIDEO}, approvals=["frame"])
    first = await until(service, pipeline_id, "waiting_for_approval")
    await service.client.post(f"/api/pipelines/{pipeline_id}/reject", json={"step": "frame", "note": "too dark"})
    rejected = await until(service, pipeline_id, "failed")
    assert statuses(rejected) == {"frame": "failed", "video": "skipped"}
    assert rejected["steps"]["frame"]["note"] == "too dark"
    path = f"/api/pipelines/{pipeline_id}"
    assert (await service.client.post(f"{path}/reject", json={"step": "frame"})).status_code == 202
    problem(await service.client.post(f"{path}/approve", json={"step": "frame"}), 409, "CONFLICT")
    assert (await credits_of(service))["heldCents"] == 0
    await service.client.post(f"/api/pipelines/{pipeline_id}/retry")
    second = await until(service, pipeline_id, "waiting_for_approval")
    assert second["steps"]["frame"]["jobId"] != first["steps"]["frame"]["jobId"]
    await service.client.post(f"/api/pipelines/{pipeline_id}/cancel")
    assert statuses(await until(service, pipeline_id, "canceled")) == {"frame": "failed", "video": "skipped"}


async def test_a_cancellation_withdraws_what_runs_and_releases_what_was_held(patient_service: Service) -> None:
    service = patient_service
    slow = {**CLIP, "frame": with_input(FRAME, prompt="slow [sim: latency=10m]")}
    pipeline_id = await create(service, slow)
    running = await until_step(service, pipeline_id, "voice", "completed")
    await service.until_accepted(running["steps"]["frame"]["jobId"])
    assert (await service.client.post(f"/api/pipelines/{pipeline_id}/cancel")).status_code == 202
    canceled = await until(service, pipeline_id, "canceled")
    assert statuses(canceled)["video"] == statuses(canceled)["film"] == "skipped"
    assert statuses(canceled)["voice"] == "completed"
    assert (await service.simulated(running["steps"]["frame"]["jobId"]))["cancel_calls"] == 1
    assert (await credits_of(service))["heldCents"] == 0
    assert (await service.client.post(f"/api/pipelines/{pipeline_id}/cancel")).json()["status"] == "canceled"


async def test_a_clip_that_is_deleted_meanwhile_fails_nothing(patient_service: Service) -> None:
    service = patient_service
    clip = await new_clip(service)
    steps = {"frame": FRAME, "video": VIDEO, "film": {"kind": "mix", "video": "step:video"}}
    pipeline_id = await create(service, steps, clipId=clip["id"], approvals=["frame"], reuse=False)
    await until(service, pipeline_id, "waiting_for_approval")
    assert (await service.client.delete(f"/api/clips/{clip['id']}")).status_code == 204
    await service.client.post(f"/api/pipelines/{pipeline_id}/approve", json={"step": "frame"})
    assert (await until(service, pipeline_id, "completed"))["clipId"] is None


async def test_films_of_a_campaign_become_one(patient_service: Service) -> None:
    service = patient_service
    one = await service.until(await service.create("one"), "completed")
    steps: dict[str, Plan] = {
        "two": {"kind": "video", "model": "veo3.1-fast", "input": {"prompt": "two"}},
        "film": {"kind": "mix", "video": [f"job:{one['id']}", "step:two"]},
    }
    film = (await until(service, await create(service, steps), "completed"))["steps"]["film"]["files"][0]
    assert film["durationSeconds"] == pytest.approx(2 * one["files"][0]["durationSeconds"], abs=0.2)


async def test_pipelines_are_their_users_own(service: Service) -> None:
    pipeline_id = await create(service, {"frame": with_input(FRAME, prompt="mine [sim: latency=10m]")})
    async with await service.user("another one of pipelines") as other:
        path = f"/api/pipelines/{pipeline_id}"
        assert (await other.get(path)).status_code == 404
        assert (await other.get(f"{path}/events")).status_code == 404
        for act, body in (("cancel", {}), ("retry", {}), ("rerun", {}), ("approve", {"step": "frame"})):
            assert (await other.post(f"{path}/{act}", json=body)).status_code == 404, act
        assert (await other.get("/api/pipelines")).json()["data"] == []
        clip = await new_clip(service)
        foreign = {"steps": {"frame": FRAME}, "clipId": clip["id"]}
        assert wrong_fields(await other.post("/api/pipelines", json=foreign)) == ["clipId"]
    await service.client.post(f"{path}/cancel")


async def test_a_repeated_request_is_answered_with_the_same_pipeline(service: Service) -> None:
    body = {"steps": {"frame": with_input(FRAME, prompt="once [sim: latency=10m]")}}
    answers = [
        await service.client.post("/api/pipelines", json=body, headers={"idempotency-key": "once"}) for _ in range(2)
    ]
    ids = {answer.json()["pipelineId"] for answer in answers}
    assert len(ids) == 1
    assert answers[1].headers["idempotency-replayed"] == "true"
    other = {"steps": {"frame": FRAME}}
    reused = await service.client.post("/api/pipelines", json=other, headers={"idempotency-key": "once"})
    problem(reused, 422, "IDEMPOTENCY_KEY_REUSED")
    await service.client.post(f"/api/pipelines/{ids.pop()}/cancel")


async def test_a_stream_shows_the_pipeline_until_it_has_ended(patient_service: Service) -> None:
    service = patient_service
    pipeline_id = await create(service, {"frame": FRAME}, reuse=False, approvals=["frame"])
    seen: list[str] = []
    async with service.client.stream("GET", f"/api/pipelines/{pipeline_id}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                status = json.loads(line.removeprefix("data:"))["status"]
                if status == "waiting_for_approval" and status not in seen:
                    await service.client.post(f"/api/pipelines/{pipeline_id}/approve", json={"step": "frame"})
                seen.append(status)
    assert "waiting_for_approval" in seen
    assert seen[-1] == "completed"


async def test_a_users_backend_is_told_of_the_approval_and_of_the_end(
    patient_service: Service, receiver: WebhookReceiver
) -> None:
    service = patient_service
    pipeline_id = await create(service, {"frame": FRAME}, reuse=False, approvals=["frame"], webhookUrl=receiver.url())
    await until(service, pipeline_id, "waiting_for_approval")
    await service.client.post(f"/api/pipelines/{pipeline_id}/approve", json={"step": "frame"})
    await until(service, pipeline_id, "completed")

    async def told() -> list[Plan]:
        bodies: list[Plan] = [json.loads(each.body) for each in receiver.received]
        assert [body["type"] for body in bodies] == ["pipeline.waiting_for_approval", "pipeline.completed"]
        return bodies

    bodies = await eventually(told)
    assert {body["data"]["id"] for body in bodies} == {pipeline_id}
    log = (await service.client.get("/api/event-log")).json()["data"]
    assert [event["type"] for event in log] == ["pipeline.completed"]  # how things ended, and nothing else


async def test_a_step_has_its_own_limit_and_priority(service: Service) -> None:
    frame = with_input(FRAME, prompt="a harbour [sim: latency=10m]")
    dear = await service.client.post("/api/pipelines", json={"steps": {"frame": frame | {"maxCostCents": 0}}})
    assert wrong_fields(dear) == ["steps.frame.maxCostCents"]
    unpriced = {"model": "fal-ai/any-llm", "input": {"prompt": "a poem [sim: latency=10m]"}}
    unlimited = await service.client.post("/api/pipelines", json={"steps": {"poem": unpriced}})
    problem(unlimited, 409, "PRICE_UNKNOWN")

    steps = {"frame": frame | {"priority": "low"}, "poem": unpriced | {"maxCostCents": 7}}
    pipeline = await read(service, await create(service, steps))
    assert (await service.job(pipeline["steps"]["frame"]["jobId"]))["priority"] == "low"
    assert pipeline["steps"]["poem"]["estimatedCostCents"] == 7
    await service.client.post(f"/api/pipelines/{pipeline['id']}/cancel")


async def test_engineers_find_a_pipelines_run_by_its_user_and_its_page_by_its_run(service: Service) -> None:
    pipeline_id = await create(service, {"frame": with_input(FRAME, prompt="x [sim: latency=10m]")}, name="Dawn")
    described = await service.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id))).describe()
    assert described.typed_search_attributes[USER] == await service_user(service)
    assert await described.static_summary() == "Dawn: frame"
    assert f"/#/pipelines/{pipeline_id}" in (await described.static_details() or "")

    async def children() -> list[str]:
        of_pipeline = f'ParentWorkflowId="{pipeline_workflow_id(UUID(pipeline_id))}"'
        return [each.id async for each in service.temporal.list_workflows(of_pipeline)]

    frame = (await read(service, pipeline_id))["steps"]["frame"]["jobId"]
    assert await eventually(children) == [workflow_id(UUID(frame))]
    await service.client.post(f"/api/pipelines/{pipeline_id}/cancel")


async def service_user(service: Service) -> str:
    async with service.sessions() as session:
        return str(await session.scalar(select(col(User.id)).where(col(User.name) == service.user_name)))


async def test_the_plan_of_the_documentation_is_one(service: Service) -> None:
    page = (ROOT / "docs" / "pipelines.md").read_text()
    (plan,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    answer = await service.client.post("/api/pipelines", params={"dryRun": "1"}, content=plan, headers=JSON)
    assert (answer.status_code, set(answer.json()["steps"])) == (200, set(json.loads(plan)["steps"]))


async def test_the_examples_of_the_documentation_become_films(patient_service: Service) -> None:
    """As a reader sends them."""
    service = patient_service
    page = (ROOT / "docs" / "pipeline-examples.md").read_text()
    plans = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    created = [await service.client.post("/api/pipelines", content=plan, headers=JSON) for plan in plans]
    assert [answer.status_code for answer in created] == [202] * 4
    ids = [answer.json()["pipelineId"] for answer in created]
    await until(service, ids[0], "waiting_for_approval")
    await service.client.post(f"/api/pipelines/{ids[0]}/approve", json={"step": "frame"})
    ended = [await until(service, pipeline_id, "completed") for pipeline_id in ids]
    assert [len(pipeline["steps"].get("film", {}).get("files", [])) for pipeline in ended] == [0, 1, 3, 1]
