"""What large files cost in memory: an upload to the API, and a result that the worker archives."""

from collections.abc import AsyncIterator, Callable

import httpx

from lab.bench.contenders.reelay import CREATING, api_headers
from lab.bench.ground import Ground
from lab.bench.memory import peak_memory
from lab.bench.over_http import clients
from lab.bench.rows import Row

MIB = 1024 * 1024
SMALL = 5 * MIB
PROCESSES = ("api", "worker")
WAIT_SECONDS = 300
BOUNDARY = "of-a-large-file"


async def large_file_rows(ground: Ground, *, file_bytes: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """By an upload of so many bytes, and by a result of half of them. Small ones come first: what both processes import
    and open for any file is not what is asked for."""
    headers = await api_headers(ground)
    async with clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider):
        await _upload(api, provider, SMALL)
        await _archive(api, provider, SMALL)
        for label, work, size in (("upload", _upload, file_bytes), ("result", _archive, file_bytes // 2)):
            before = _peaks(ground)
            await work(api, provider, size)
            grown = {name: (peak - before[name]) / MIB for name, peak in _peaks(ground).items()}
            for name, mebibytes in grown.items():
                section = f"large files: growth of memory, MiB, by the {label} of {size // MIB} MiB"
                yield Row(section=section, label=name, values={"Reelay": mebibytes})
            say(f"{label} of {size // MIB} MiB: " + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in grown.items()))


async def _upload(api: httpx.AsyncClient, provider: httpx.AsyncClient, size: int) -> None:
    """The provider's file, passed on as a form; deleted afterwards."""
    start = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="large.mp4"\r\n\r\n'.encode()
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    async def form(file: httpx.Response) -> AsyncIterator[bytes]:
        yield start
        async for piece in file.aiter_bytes():
            yield piece
        yield end

    headers = {
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "content-length": str(len(start) + size + len(end)),
    }
    async with provider.stream("GET", f"/blobs/{size}/large.mp4") as file:
        answer = await api.post("/api/uploads", content=form(file), headers=headers, timeout=WAIT_SECONDS)
    asset = answer.raise_for_status().json()
    if asset["sizeBytes"] != size:
        raise RuntimeError(f"of {size} bytes {asset['sizeBytes']} have arrived")
    (await api.delete(f"/api/assets/{asset['assetId']}")).raise_for_status()


async def _archive(api: httpx.AsyncClient, provider: httpx.AsyncClient, size: int) -> None:
    video = {"path": f"/blobs/{size}/large.mp4", "bytes": size}
    (await provider.post("/bench/video", json=video)).raise_for_status()
    try:
        wait = {"prefer": f"wait={WAIT_SECONDS}"}
        answer = await api.post(CREATING.path, json=dict(CREATING.body), headers=wait, timeout=WAIT_SECONDS + 60)
        job = answer.raise_for_status().json()
    finally:
        (await provider.post("/bench/video", json={})).raise_for_status()
    if job["status"] != "completed" or job["files"][0]["fileSize"] != size:
        raise RuntimeError(f"a result of {size} bytes was not archived: {job['status']}")
    (await api.delete(f"/api/jobs/{job['id']}")).raise_for_status()


def _peaks(ground: Ground) -> dict[str, int]:
    return peak_memory({name: ground.stack.parts[name].pid for name in PROCESSES})
