"""Downloads in a process of their own, ours or plain: `python -m lab.bench.studies.archiving MODE FOLDER URL...`.

Prints one line of JSON: seconds, growth of the peak memory in bytes, and the event loop's longest pause in seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from os import getpid
from pathlib import Path
from uuid import uuid4

import httpx

from lab.bench.memory import peak_memory
from reelay.domain.generation import RemoteMedia
from reelay.media.archive import archive_media
from reelay.media.decoder_pool import DecoderPool
from reelay.media.download import open_download_client
from reelay.media.guard import DownloadPolicy
from reelay.media.sniff import MediaKind
from reelay.media.storage import open_storage

TICK_SECONDS = 0.001
AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Archiving:
    seconds: float
    grown_bytes: int
    longest_pause_seconds: float


async def plain(folder: Path, urls: list[str]) -> None:
    """Streamed to disk, the way httpx's documentation shows it."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

        async def save(url: str) -> None:
            async with client.stream("GET", url) as answer:
                with (folder / f"{uuid4()}.mp4").open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)

        await some_at_once(save, urls)


async def ours(decoders: DecoderPool, folder: Path, urls: list[str]) -> None:
    """Guarded, hashed, sniffed, probed, given a poster, synced to disk and published whole."""
    policy = DownloadPolicy(max_bytes=2 * 1024**3, allow_http=True, allow_loopback=True)
    storage = open_storage(folder.as_uri(), scratch=folder / "scratch")
    async with open_download_client(policy) as client:

        async def archive(url: str) -> None:
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

        await some_at_once(archive, urls)


async def some_at_once(work: Callable[[str], Awaitable[None]], urls: list[str]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> None:
        async with slots:
            await work(url)

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


async def measured(work: Callable[[Path, list[str]], Awaitable[None]], folder: Path, urls: list[str]) -> Archiving:
    await work(folder, urls[:1])  # imports, pools and codecs are not what is asked for
    done = asyncio.Event()
    pause = asyncio.create_task(longest_pause(done))
    memory, begun = _peak(), time.perf_counter()
    await work(folder, urls[1:])
    seconds = time.perf_counter() - begun
    done.set()
    return Archiving(seconds=seconds, grown_bytes=_peak() - memory, longest_pause_seconds=await pause)


async def archiving(mode: str, folder: Path, urls: list[str]) -> Archiving:
    async with DecoderPool() as decoders:
        return await measured(partial(ours, decoders) if mode == "ours" else plain, folder, urls)


def _peak() -> int:
    return peak_memory({"here": getpid()})["here"]


def main(mode: str, folder: Path, urls: list[str]) -> None:
    """The first URL warms up; the others are measured."""
    found = asyncio.run(archiving(mode, folder, urls))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
