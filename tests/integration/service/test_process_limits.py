"""A worker to which the machine gives too little: it waits and tries again, and nothing wrong comes of it."""

import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.integration.service.killed_worker import worker_process
from tests.running import Service, running_service
from tests.servers import Servers

SMALL_FILE = 64 * 1024
"""The sample video has four times that."""


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, worker=False, webhook_patience=60) as running:
        yield running


@pytest.fixture(scope="module")
async def worker(service: Service) -> AsyncIterator[int]:
    """Its process id."""
    async with worker_process(service.settings) as process:
        await completes(service, await service.create("control"))
        yield process.pid


@contextmanager
def held_to(pid: int, kind: int, limit: int) -> Iterator[None]:
    """A running process is held to the limit, as `ulimit` would have from its start."""
    soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, (soft, hard))


async def failing_step(service: Service, job_id: str) -> str:
    """The message with which a step of the job was last given back to be tried again."""

    async def message() -> str | None:
        run = await service.run(job_id).describe()
        steps = run.raw_description.pending_activities
        return next((step.last_failure.message for step in steps if step.HasField("last_failure")), None)

    return str(await eventually(message))


async def completes(service: Service, job_id: str) -> None:
    job = await service.until(job_id, "completed")
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (1, 1)
    (file,) = job["files"]
    content = (await service.client.get(file["fileUrl"])).content
    assert sha256(content).hexdigest() == file["sha256"]


def stored(service: Service, job_id: str) -> list[Path]:
    return [path for path in (service.settings.data_dir / "archive").rglob("*") if job_id in str(path)]


@pytest.mark.fault("D16")
async def test_worker_that_cannot_write_a_file_waits_for_room(service: Service, worker: int) -> None:
    with held_to(worker, resource.RLIMIT_FSIZE, SMALL_FILE):
        job_id = await service.create("no room")
        assert "File too large" in await failing_step(service, job_id)
        assert stored(service, job_id) == []
        assert list((service.settings.data_dir / "archive" / ".scratch").glob("*/*")) == []
    await completes(service, job_id)
    await completes(service, await service.create("a fresh one"))


@pytest.mark.fault("O10")
async def test_worker_without_file_descriptors_waits_for_some(service: Service, worker: int) -> None:
    job_id = await service.create("nothing can be opened [sim: latency=10m]")
    await service.until_accepted(job_id)
    with held_to(worker, resource.RLIMIT_NOFILE, 3):
        await service.servers.end_at_provider(job_id)
        assert await failing_step(service, job_id)
        assert stored(service, job_id) == []
        assert (await service.job(job_id))["status"] != "failed"
    await completes(service, job_id)
    await completes(service, await service.create("a fresh one"))
