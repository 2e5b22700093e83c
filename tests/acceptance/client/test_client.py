"""The Python client: it sees a job through, whatever happens on the way."""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from inspect import isfunction, signature
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.responses import PlainTextResponse, Response

from lab.devstack.ports import free_ports
from reelay_client import (
    AsyncReelay,
    ConfirmationRequired,
    DamagedDownload,
    GenerationFailed,
    InsufficientCredits,
    InvalidInput,
    Job,
    NoMedia,
    NotAuthorized,
    NotFound,
    NotReachable,
    RateLimited,
    Reelay,
    Refused,
    WaitTimeout,
)
from reelay_client.errors import refusal
from tests.acceptance.client.proxy import Spoil, proxy
from tests.node import CLIENT, run_node
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_picture


def key_of(service: Service) -> str:
    return str(service.client.headers["authorization"]).removeprefix("Bearer ")


@pytest.fixture
async def reelay(patient_service: Service) -> AsyncIterator[AsyncReelay]:
    async with AsyncReelay(patient_service.origin, key_of(patient_service)) as client:
        yield client


async def submitted(reelay: AsyncReelay, kind_or_model: str, **options: Any) -> UUID:
    return (await reelay.create(kind_or_model, **options)).job_id


async def through(service: Service, spoil: Spoil, job_id: UUID) -> list[Job]:
    """What a client sees of a job behind such a proxy."""
    async with proxy(service.origin, spoil) as address, AsyncReelay(address, key_of(service)) as client:
        return [job async for job in client.watch(job_id)]


async def test_a_file_is_uploaded_and_becomes_a_first_frame(
    reelay: AsyncReelay, patient_service: Service, tmp_path: Path
) -> None:
    picture = make_picture(tmp_path / "me.png")
    asset = await reelay.upload(picture)
    with picture.open("rb") as content:
        again = await reelay.upload(content, name="again.png")
    digest = sha256(picture.read_bytes()).hexdigest()
    assert [(each.file_name, each.sha256, each.width) for each in (asset, again)] == [
        ("me.png", digest, 300),
        ("again.png", digest, 300),
    ]
    assert [each.asset_id async for each in reelay.assets()] == [again.asset_id, asset.asset_id]
    frame = await reelay.create("nano-banana-2-edit", prompt="at night", imageUrls=[asset.uri])
    assert (await reelay.wait(frame.job_id)).status == "completed"
    video = await reelay.create("video", prompt="it moves", firstFrameUrl=f"job:{frame.job_id}", quality="fast")
    assert (await reelay.wait(video.job_id)).status == "completed"

    def in_sync() -> str:
        with Reelay(patient_service.origin, key_of(patient_service)) as client:
            return client.upload(picture).sha256

    assert await asyncio.to_thread(in_sync) == digest


async def test_submits_watches_and_downloads(reelay: AsyncReelay, tmp_path: Path) -> None:
    job_id = await submitted(reelay, "video", prompt="a lighthouse", quality="fast")
    seen = [job async for job in reelay.watch(job_id)]
    told: list[tuple[int, int]] = []
    file = await reelay.download(seen[-1], tmp_path / "video.mp4", on_bytes=lambda *so_far: told.append(so_far))

    assert [job.status for job in seen][-1] == "completed"
    assert seen[-1] == await reelay.job(job_id) == await reelay.wait(job_id)
    assert sha256((tmp_path / "video.mp4").read_bytes()).hexdigest() == file.sha256
    assert told[-1] == (file.file_size, file.file_size)


DELETING = """
const { configureReelay, deleteGeneration, request } = await import(process.argv[1]);
configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const status = await request(`/api/jobs/${process.env.JOB}`).then((job) => job.status);
await deleteGeneration(process.env.JOB);
await deleteGeneration(process.env.JOB);
const after = await request(`/api/jobs/${process.env.JOB}`).catch((error) => error.status);
console.log(status, after);
"""


async def test_a_job_is_deleted_by_every_client(reelay: AsyncReelay, patient_service: Service) -> None:
    running = await submitted(reelay, "video", prompt="a while [sim: latency=10m]")
    with pytest.raises(Refused, match="Only a job that has ended"):
        await reelay.delete(running)
    await reelay.cancel(running)
    with pytest.raises(GenerationFailed):
        await reelay.wait(running)
    done, other = [await submitted(reelay, "video", prompt="a lighthouse") for _ in range(2)]
    await asyncio.gather(reelay.wait(done), reelay.wait(other))

    await reelay.delete(running)
    with Reelay(patient_service.origin, key_of(patient_service)) as blocking:
        for _ in range(2):
            await asyncio.to_thread(blocking.delete, done)
    with pytest.raises(NotFound):
        await reelay.job(done)
    variables = {"ORIGIN": patient_service.origin, "KEY": key_of(patient_service), "JOB": str(other)}
    command = ("node", "--input-type=module", "--eval", DELETING, str(CLIENT / "reelay.js"))
    said = await asyncio.to_thread(run_node, *command, variables=variables)
    assert said.split() == ["completed", "404"]


async def test_any_model_by_name_and_one_key_for_one_job(reelay: AsyncReelay) -> None:
    words = {"text": "hello", "metadata": {"for": "a test"}}
    key = uuid4().hex
    job_ids = {await submitted(reelay, "chatterbox", idempotency_key=key, **words) for _ in range(2)}

    assert len(job_ids) == 1
    job = await reelay.wait(job_ids.pop())
    assert (job.model, job.status, job.metadata) == ("chatterbox", "completed", {"for": "a test"})


async def test_polls_where_events_do_not_come_through(patient_service: Service, reelay: AsyncReelay) -> None:
    def no_events(path: str, _: httpx.Response) -> Response | None:
        return PlainTextResponse("<html>") if path.endswith("/events") else None

    job_id = await submitted(reelay, "video", prompt="behind a proxy", quality="fast")
    assert (await through(patient_service, no_events, job_id))[-1].status == "completed"


async def test_damaged_download_leaves_nothing(patient_service: Service, reelay: AsyncReelay, tmp_path: Path) -> None:
    def damaged(path: str, answer: httpx.Response) -> Response | None:
        return Response(answer.content[:-1] + b"?") if "/api/media/" in path else None

    def cut(path: str, answer: httpx.Response) -> Response | None:
        return Response(answer.content[:1000]) if "/api/media/" in path else None

    job = await reelay.wait(await submitted(reelay, "ambient", prompt="rain", duration=2))
    for spoil, said in ((damaged, "checksum"), (cut, "1000 bytes")):
        async with (
            proxy(patient_service.origin, spoil) as address,
            AsyncReelay(address, key_of(patient_service)) as client,
        ):
            with pytest.raises(DamagedDownload, match=said):
                await client.download(job, tmp_path / "rain.mp3")
    assert os.listdir(tmp_path) == []
    await reelay.download(job, tmp_path / "rain.mp3")
    assert os.listdir(tmp_path) == ["rain.mp3"]


async def test_a_watch_outlasts_a_restart_of_the_api(servers: Servers) -> None:
    database = await servers.postgres.copy()
    (port,) = free_ports(1)
    async with running_service(servers, database=database, webhook_patience=0.5) as working:
        job_id = UUID(await working.create("watched over a restart [sim: latency=10m]"))
        queue = working.settings.task_queue
        api = partial(running_service, servers, database=database, worker=False, port=port, task_queue=queue)
        async with AsyncReelay(f"http://127.0.0.1:{port}", key_of(working)) as client:
            watching = client.watch(job_id)
            async with api():
                assert not (await anext(watching)).has_ended
            await servers.end_at_provider(str(job_id))
            async with api():
                assert [job.status async for job in watching][-1] == "completed"


async def test_refusals_have_types(reelay: AsyncReelay, patient_service: Service, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="duration: must be one of 4, 6, 8") as invalid:
        await submitted(reelay, "video", prompt="a lighthouse", duration=99)
    assert (invalid.value.code, [error["field"] for error in invalid.value.errors]) == ("INVALID_PARAMS", ["duration"])
    with pytest.raises(NotFound):
        await reelay.wait(uuid4())
    async with AsyncReelay(patient_service.origin, "rk_unknown") as stranger:
        with pytest.raises(NotAuthorized):
            await stranger.get("/api/jobs")
    job = await reelay.cancel(await submitted(reelay, "video", prompt="no media [sim: latency=10m]", quality="fast"))
    with pytest.raises(NoMedia):
        await reelay.download(job, tmp_path / "nothing.mp4")


async def test_wait_raises_what_the_job_failed_with(reelay: AsyncReelay) -> None:
    job_id = await submitted(reelay, "video", prompt="no [sim: fail=422]", quality="fast")
    with pytest.raises(GenerationFailed) as failed:
        await reelay.wait(job_id)
    assert (failed.value.job.id, failed.value.code) == (job_id, failed.value.job.error_code)

    changed = await reelay.retry(job_id, input={"prompt": "yes", "seed": None}, idempotency_key="yes")
    job = await reelay.wait(changed.job_id)
    assert (job.document["input"], job.document["status"]) == ({"prompt": "yes", "quality": "fast"}, "completed")
    again = await reelay.retry(job_id)
    assert again.job_id not in (job_id, changed.job_id)
    canceled = await reelay.cancel(again.job_id)
    assert canceled.id == again.job_id


RETRYING = """
const { configureReelay, retryGeneration } = await import(process.argv[1]);

configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const changed = await retryGeneration(process.env.JOB, { input: { prompt: "yes" }, idempotencyKey: "yes" });
const again = await retryGeneration(process.env.JOB, { input: { prompt: "yes" }, idempotencyKey: "yes" });
const wrong = await retryGeneration(process.env.JOB, { input: { colour: "red" } }).catch((error) => error.errors);
console.log(changed.jobId, again.jobId, wrong[0].field);
"""


async def test_every_client_retries_with_changes(reelay: AsyncReelay, patient_service: Service) -> None:
    job_id = await submitted(reelay, "video", prompt="no [sim: fail=422]", quality="fast")
    with pytest.raises(GenerationFailed):
        await reelay.wait(job_id)
    variables = {"ORIGIN": patient_service.origin, "KEY": key_of(patient_service), "JOB": str(job_id)}
    command = ("node", "--input-type=module", "--eval", RETRYING, str(CLIENT / "reelay.js"))
    by_javascript, again, wrong = (await asyncio.to_thread(run_node, *command, variables=variables)).split()

    def in_sync() -> str:
        with Reelay(patient_service.origin, key_of(patient_service)) as client:
            return str(client.retry(job_id, input={"prompt": "yes"}, idempotency_key="yes").job_id)

    assert await asyncio.to_thread(in_sync) == by_javascript == again
    assert wrong == "colour"


async def test_wait_ends_when_asked_to_and_the_job_goes_on(reelay: AsyncReelay) -> None:
    job_id = await submitted(reelay, "video", prompt="slow [sim: latency=10m]", quality="fast")
    with pytest.raises(WaitTimeout) as late:
        await reelay.wait(job_id, timeout=0.5)
    assert late.value.job is not None
    assert not late.value.job.has_ended
    await reelay.cancel(job_id)


async def test_the_other_calls_have_types(reelay: AsyncReelay) -> None:
    campaign = await reelay.create_campaign("Autumn", metadata={"for": "a test"})
    clip = await reelay.create_clip(campaign.id, title="Boat")
    created = await reelay.create("ambient", prompt="rain", duration=2, clipId=str(clip.id))
    job = await reelay.wait(created.job_id)
    model = next(model for model in await reelay.models() if model.name == job.model)
    estimate = await reelay.estimate(job.model, prompt="rain", duration=2)

    assert job.clip_id == clip.id
    assert (await reelay.clip(clip.id)).audio["ambient_url"]
    assert [shown.id for shown in (await reelay.campaign(campaign.id)).clips] == [clip.id]
    assert [found.id async for found in reelay.jobs(clipId=str(clip.id), limit=1)] == [job.id]
    assert (await reelay.history(job.id))[-1].status == "completed"
    assert (model.kind, model.available) == ("ambient", True)
    assert estimate.estimated_cost_cents == created.estimated_cost_cents == job.estimated_cost_cents
    assert (await reelay.credits()).balance_cents > 0


async def test_without_asyncio_the_calls_are_the_same(patient_service: Service, tmp_path: Path) -> None:
    def see_it_through() -> tuple[Job, list[Job]]:
        with Reelay(patient_service.origin, key_of(patient_service)) as reelay:
            created = reelay.create("ambient", prompt="rain", duration=2)
            seen = list(reelay.watch(created.job_id))
            reelay.download(seen[-1], tmp_path / "rain.mp3")
            return reelay.wait(created.job_id), seen

    job, seen = await asyncio.to_thread(see_it_through)
    assert (job.status, seen[-1]) == ("completed", job)
    assert sha256((tmp_path / "rain.mp3").read_bytes()).hexdigest() == job.files[0].sha256


def test_without_asyncio_there_is_every_call() -> None:
    def calls(client: type) -> dict[str, list[str]]:
        functions = {name: call for name, call in vars(client).items() if isfunction(call) and name[0] != "_"}
        return {name: list(signature(call).parameters) for name, call in functions.items()}

    assert calls(Reelay) == calls(AsyncReelay)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (402, "INSUFFICIENT_CREDITS", InsufficientCredits),
        (409, "CONFIRMATION_REQUIRED", ConfirmationRequired),
        (409, "CONFLICT", Refused),
        (429, "RATE_LIMITED", RateLimited),
        (500, "INTERNAL", Refused),
    ],
)
def test_each_problem_is_an_error_of_its_own(status: int, code: str, kind: type[Refused]) -> None:
    headers = {"content-type": "application/problem+json", "retry-after": "7"}
    problem = {"title": "No", "detail": "not so", "code": code}
    error = refusal(httpx.Response(status, headers=headers, json=problem))

    assert type(error) is kind
    assert (error.status, error.code, error.retry_after, str(error)) == (status, code, 7, "No: not so")


async def test_nobody_there_is_said_with_the_key_to_repeat_it() -> None:
    (port,) = free_ports(1)
    async with AsyncReelay(f"http://127.0.0.1:{port}", "rk_any", patience=0.1) as client:
        with pytest.raises(NotReachable, match="idempotency key"):
            await client.create("video", prompt="a lighthouse")
        with pytest.raises(NotReachable):
            await client.wait(uuid4())


CLIP: dict[str, Any] = {
    "firstFrame": {"prompt": "a harbour at dawn"},
    "video": {"prompt": "boats leave"},
    "voice": {"text": "Every morning the harbour wakes."},
    "captions": True,
}


async def test_a_clip_is_produced_approved_and_made_again(patient_service: Service, reelay: AsyncReelay) -> None:
    clip = await reelay.create_clip((await reelay.create_campaign("Sea")).id, title="Dawn")
    created = await reelay.produce(clip.id, **CLIP, approvals=["firstFrame"])
    async for pipeline in reelay.watch_pipeline(created.pipeline_id):
        if pipeline.status == "waiting_for_approval":
            await reelay.approve_step(pipeline.id, "firstFrame", note="fine")
    assert (pipeline.status, pipeline.steps["firstFrame"].note) == ("completed", "fine")
    assert (await reelay.clip(clip.id)).final["url"]

    plan = await reelay.plan_rerun(pipeline.id, {"voice": {"text": "Every evening."}})
    assert {name for name, step in plan.steps.items() if step.status == "waiting"} == {"voice", "film"}
    again = await reelay.rerun_pipeline(pipeline.id, {"voice": {"text": "Every evening."}})
    second = [state async for state in reelay.watch_pipeline(again.pipeline_id)][-1]
    assert (second.rerun_of, second.steps["video"].status) == (pipeline.id, "reused")
    assert [each.id async for each in reelay.pipelines()] == [second.id, pipeline.id]


async def test_a_campaigns_films_are_priced_and_made_by_one_call(reelay: AsyncReelay) -> None:
    campaign = await reelay.create_campaign("Sea")
    parts = {"parts": {"video": {"prompt": "boats [sim: latency=10m]"}}}
    clips: dict[UUID, dict[str, Any]] = {
        (await reelay.create_clip(campaign.id, title=title, metadata=parts)).id: {} for title in ("a", "b")
    }
    plan = await reelay.plan_campaign(campaign.id, clips)
    assert plan.estimated_cost_cents == sum(each.estimated_cost_cents for each in plan.clips.values())
    first = await reelay.produce_campaign(campaign.id, clips, budgetCents=1000, idempotency_key="films")
    again = await reelay.produce_campaign(campaign.id, clips, budgetCents=1000, idempotency_key="films")
    assert first.pipelines == again.pipelines
    assert set(first.pipelines) == set(clips)
    begun = [pipeline.id async for pipeline in reelay.pipelines(campaign_id=campaign.id)]
    assert sorted(begun) == sorted(first.pipelines.values())
    assert [each async for each in reelay.pipelines(campaign_id=uuid4())] == []
    for pipeline_id in begun:
        await reelay.cancel_pipeline(pipeline_id)


async def test_a_plan_is_priced_canceled_and_retried(reelay: AsyncReelay) -> None:
    steps = {"frame": {"kind": "first-frame", "input": {"prompt": "slow [sim: latency=10m]"}}}
    plan = await reelay.plan_pipeline(steps)
    created = await reelay.create_pipeline(steps, name="slow")
    assert plan.estimated_cost_cents == created.estimated_cost_cents > 0
    await reelay.cancel_pipeline(created.pipeline_id)
    last = [state async for state in reelay.watch_pipeline(created.pipeline_id)][-1]
    assert (last.status, last.name) == ("canceled", "slow")
    assert (await reelay.retry_pipeline(last.id)).status == "running"
    await reelay.cancel_pipeline(last.id)
    with pytest.raises(Refused):
        await reelay.reject_step(last.id, "frame")
