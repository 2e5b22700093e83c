"""Archiving beside a plain download: one file of 512 MiB, and a hundred of 5 MiB.

Each in a process of its own, `python -m lab.bench.studies.archive MODE FOLDER URL...`, which prints what it has found.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

from lab.bench.ground import plain_environment
from lab.bench.http_clients import open_client
from lab.bench.processes import MIB, peak_memory
from lab.bench.results import Row
from lab.bench.studies.service import Service
from reelay.domain.generation import RemoteMedia
from reelay.media.archive import archive_media
from reelay.media.decoder_pool import DecoderPool
from reelay.media.download import open_download_client
from reelay.media.guard import DownloadPolicy
from reelay.media.sniff import MediaKind
from reelay.media.storage import open_storage

LOADS = {"one file of 512 MiB": (1, 512), "100 files of 5 MiB": (100, 5)}
"""Files, and the MiB of each."""
AT_ONCE = 4
TICK_SECONDS = 0.001
RATE, GROWTH, PAUSE = "MiB per second", "growth of memory, MiB", "longest pause of the event loop, ms"

Save = Callable[[str], Awaitable[None]]


async def archive_rows(service: Service, rounds: int) -> AsyncIterator[Row]:
    """Both in turn, `rounds` times."""
    folder, provider = service.ground.data_dir.path / "archive-study", service.ground.provider_url
    for load, (files, mebibytes) in LOADS.items():
        urls = [f"{provider}/blobs/{mebibytes * MIB}/{number}.mp4" for number in range(files)]
        warm_up = f"{provider}/blobs/{5 * MIB}/warm-up.mp4"
        found: dict[str, list[dict[str, float]]] = {name: [] for name in MODES}
        for _ in range(rounds):
            for name, runs in found.items():
                runs.append(await run_apart(name, folder, [warm_up, *urls]))
        service.say(f"archive: {load}")
        for label in (RATE, GROWTH, PAUSE):
            values = {name: median(run[label] for run in runs) for name, runs in found.items()}
            yield Row(f"archive: {load}", label, values)


async def run_apart(name: str, folder: Path, urls: list[str]) -> dict[str, float]:
    await asyncio.to_thread(folder.mkdir)
    command = (sys.executable, "-P", "-m", "lab.bench.studies.archive", name, str(folder), *urls)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=plain_environment())
    try:
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"archiving ({name}) ended with exit code {process.returncode}")
        found: dict[str, float] = json.loads(output)
        return found
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(folder)


@asynccontextmanager
async def plain(folder: Path) -> AsyncIterator[Save]:
    """Streamed to disk, the way httpx's documentation shows it."""
    async with open_client() as client:

        async def save(url: str) -> None:
            async with client.stream("GET", url) as answer:
                with (folder / f"{uuid4()}.mp4").open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)

        yield save


@asynccontextmanager
async def ours(folder: Path) -> AsyncIterator[Save]:
    """Guarded, hashed, sniffed, probed, given a poster, synced to disk and published whole."""
    policy = DownloadPolicy(max_bytes=2 * 1024**3, allow_http=True, allow_loopback=True)
    storage = open_storage(folder.as_uri(), scratch=folder / "scratch")
    async with DecoderPool() as decoders, open_download_client(policy) as client:

        async def save(url: str) -> None:
            await archive_media(
                RemoteMedia(url=url),
                key_prefix=str(uuid4()),
                stem=str,
                expected_kind=MediaKind.VIDEO,
                client=client,
                storage=storage,
                policy=policy,
                inspect=decoders.inspect,
                on_bytes=lambda received, total: None,
            )

        yield save


MODES = {"Reelay": ours, "plain download": plain}


async def measured(name: str, folder: Path, urls: list[str]) -> dict[str, float]:
    """Of all but the first, which warms up: imports, pools and codecs are not what is asked for."""
    async with MODES[name](folder) as save:
        await save(urls[0])
        done = asyncio.Event()
        pause = asyncio.create_task(longest_pause(done))
        memory, begun = peak_memory(os.getpid()), time.perf_counter()
        await some_at_once(save, urls[1:])
        seconds = time.perf_counter() - begun
        done.set()
        mebibytes = sum(int(url.split("/")[-2]) for url in urls[1:]) / MIB
        grown = peak_memory(os.getpid()) - memory
        return {RATE: mebibytes / seconds, GROWTH: grown, PAUSE: 1000 * await pause}


async def some_at_once(save: Save, urls: list[str]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> None:
        async with slots:
            await save(url)

    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(one(url))


async def longest_pause(done: asyncio.Event) -> float:
    """How long the event loop kept a timer waiting, at most."""
    longest = 0.0
    while not done.is_set():
        before = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        longest = max(longest, time.perf_counter() - before - TICK_SECONDS)
    return longest


if __name__ == "__main__":
    mode, place, *all_urls = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(measured(mode, Path(place), all_urls))) + "\n")
