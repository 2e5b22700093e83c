"""A film whose job is deleted while it is mixed leaves nothing in the archive."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.inputs import Mixing
from activities.mixing import MixActivities
from reelay import operators
from reelay.db.audit_log import Actor
from reelay.db.generations import find_anybodys_generation, generation_of
from reelay.domain.failure import FailureCode
from reelay.domain.pipeline import PipelineStatus
from reelay.media.archive import media_prefix
from reelay.media.decoder_pool import DecoderPool
from reelay.media.storage import Storage, open_storage
from tests.eventually import eventually
from tests.integration.mixers import mixers
from tests.integration.pipelines.shared import create, read
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_video
from workflows.ids import pipeline_workflow_id
from workflows.runs import prune_now

Delete = Callable[[Service, str], Awaitable[None]]

OPERATOR = Actor(None, "test")


@pytest.fixture
async def unworked(servers: Servers) -> AsyncIterator[Service]:
    """Without a worker."""
    async with running_service(servers, worker=False) as service:
        yield service


async def upload(service: Service, tmp_path: Path) -> str:
    content = make_video(tmp_path / "plain.mp4").read_bytes()
    return str((await service.client.post("/api/uploads", files={"file": content})).json()["uri"])


async def create_film(service: Service, video: str) -> tuple[str, str]:
    """The ids of the pipeline and of its job."""
    pipeline_id = await create(service, {"film": {"kind": "mix", "video": video}})
    return pipeline_id, (await read(service, pipeline_id))["steps"]["film"]["jobId"]


def stored(service: Service, job_id: str) -> list[str]:
    return [path.name for path in (service.settings.data_dir / "archive").glob(f"*/{job_id}/*")]


def storage_of(service: Service) -> Storage:
    settings = service.settings
    return open_storage(settings.archive_location, scratch=settings.data_dir / "scratch")


@asynccontextmanager
async def held_mixer() -> AsyncIterator[None]:
    """While the block runs, the film that is being made stays unfinished."""
    (process,) = await eventually(_mixers, every=0.01)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def _mixers() -> list[psutil.Process]:
    return mixers()


async def delete_job(service: Service, job_id: str) -> None:
    assert (await service.client.post(f"/api/jobs/{job_id}/cancel")).json()["status"] == "canceled"
    assert (await service.client.delete(f"/api/jobs/{job_id}")).status_code == 204


async def delete_user(service: Service, job_id: str) -> None:
    async with service.sessions.begin() as session:
        await operators.delete(session, OPERATOR, service.user_name)

    async def is_gone() -> bool:
        return (await prune_now(service.temporal, service.settings.task_queue)).users == 1

    await eventually(is_gone)


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    ("delete", "end"),
    [(delete_job, PipelineStatus.FAILED), (delete_user, PipelineStatus.CANCELED), (None, PipelineStatus.COMPLETED)],
)
async def test_a_film_that_is_deleted_while_it_is_mixed_is_not_kept(
    unworked: Service, tmp_path: Path, delete: Delete | None, end: PipelineStatus
) -> None:
    async with unworked.worker():
        pipeline_id, job_id = await create_film(unworked, await upload(unworked, tmp_path))
        async with held_mixer():
            if delete:
                await delete(unworked, job_id)
                assert stored(unworked, job_id) == []
        handle = unworked.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id)))
        assert await handle.result() == end
        assert bool(stored(unworked, job_id)) is (delete is None)


@pytest.mark.fault("F8")
async def test_what_an_attempt_has_stored_of_a_deleted_film_is_deleted_by_the_next_one(
    unworked: Service, tmp_path: Path
) -> None:
    """Its worker was killed before it could, and what the film was to be made of is gone as well."""
    service, storage = unworked, storage_of(unworked)
    asset = await upload(service, tmp_path)
    _, job_id = await create_film(service, asset)
    async with service.sessions() as session:
        job = await find_anybodys_generation(session, UUID(job_id))
        assert job is not None
        film = generation_of(job)
    await delete_job(service, job_id)
    assert (await service.client.delete(f"/api/assets/{asset.removeprefix('asset:')}")).status_code == 204
    with storage.scratch() as folder:
        key = f"{media_prefix(film.user_id, film.id)}/film.mp4"
        await storage.put_file(make_video(folder / "film.mp4"), key, "video/mp4")
    assert stored(service, job_id) == ["film.mp4"]

    async with DecoderPool() as decoders:
        mixing = MixActivities(service.sessions, storage, decoders.inspect, at_most_bytes=2**30)
        with pytest.raises(ApplicationError) as failed:
            await ActivityEnvironment().run(mixing.mix, Mixing(generation=film))
    assert failed.value.type == FailureCode.INPUT_UNAVAILABLE
    assert stored(service, job_id) == []
