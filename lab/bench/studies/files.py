"""What large files cost in memory: an upload to the API, and a result that the worker archives."""

from collections.abc import AsyncIterator

from lab.bench.contenders.reelay import CREATING
from lab.bench.processes import MIB, peak_memory
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service
from reelay.providers.file_form import file_form

SMALL = 5
WAIT_SECONDS = 300


async def file_rows(service: Service, mebibytes: int) -> AsyncIterator[Row]:
    """By an upload of so many MiB, and by a result of half of them. Small ones come first: what both processes import
    and open for any file is not what is asked for."""
    await upload(service, SMALL)
    await archive(service, SMALL)
    for label, work, size in (("upload", upload, mebibytes), ("result", archive, mebibytes // 2)):
        pids = service.pids("api", "worker")
        before = {name: peak_memory(pid) for name, pid in pids.items()}
        await work(service, size)
        service.say(f"{label} of {size} MiB")
        for name, pid in pids.items():
            section = f"large files: growth of memory, MiB, by the {label} of {size} MiB"
            yield of_reelay(section, name, peak_memory(pid) - before[name])


async def upload(service: Service, mebibytes: int) -> None:
    """The provider's file, passed on as a form; deleted afterwards."""
    size = mebibytes * MIB
    async with service.provider.stream("GET", f"/blobs/{size}/large.mp4") as file:
        headers, form = file_form(
            "file", file.aiter_bytes(), name="large.mp4", content_type="video/mp4", size_bytes=size
        )
        answer = await service.api.post("/api/uploads", content=form, headers=headers, timeout=WAIT_SECONDS)
    asset = answer.raise_for_status().json()
    if asset["sizeBytes"] != size:
        raise RuntimeError(f"of {size} bytes {asset['sizeBytes']} have arrived")
    (await service.api.delete(f"/api/assets/{asset['assetId']}")).raise_for_status()


async def archive(service: Service, mebibytes: int) -> None:
    async with service.results_of(mebibytes):
        wait = {"prefer": f"wait={WAIT_SECONDS}"}
        body, limit = dict(CREATING.body), WAIT_SECONDS + 60
        answer = await service.api.post(CREATING.path, json=body, headers=wait, timeout=limit)
    job = answer.raise_for_status().json()
    if job["status"] != "completed" or job["files"][0]["fileSize"] != mebibytes * MIB:
        raise RuntimeError(f"a result of {mebibytes} MiB was not archived: {job['status']}")
    (await service.api.delete(f"/api/jobs/{job['id']}")).raise_for_status()
