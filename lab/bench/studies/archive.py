"""Archiving beside a plain download: one file of 512 MiB, and a hundred of 5 MiB."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lab.bench.ground import plain_environment
from lab.bench.rows import Row
from lab.bench.studies.archiving import Archiving

MIB = 1024 * 1024
SMALL, LARGE = 5 * MIB, 512 * MIB
MODES = {"ours": "Reelay", "plain": "plain download"}


@dataclass(frozen=True, kw_only=True)
class Load:
    label: str
    files: int
    file_bytes: int

    def urls(self, provider_url: str) -> list[str]:
        """The first one, small, is not measured."""
        return [_url(provider_url, SMALL, 0), *(_url(provider_url, self.file_bytes, n) for n in range(self.files))]


LOADS = (
    Load(label="one file of 512 MiB", files=1, file_bytes=LARGE),
    Load(label="100 files of 5 MiB", files=100, file_bytes=SMALL),
)

FIGURES: dict[str, Callable[[Archiving, Load], float]] = {
    "MiB per second": lambda each, load: load.files * load.file_bytes / MIB / each.seconds,
    "growth of memory, MiB": lambda each, load: each.grown_bytes / MIB,
    "longest pause of the event loop, ms": lambda each, load: 1000 * each.longest_pause_seconds,
}


async def archive_rows(
    provider_url: str, folder: Path, *, rounds: int, say: Callable[[str], None]
) -> AsyncIterator[Row]:
    for load in LOADS:
        async for row in _rows_of(load, provider_url, folder, rounds, say):
            yield row


async def _rows_of(
    load: Load, provider_url: str, folder: Path, rounds: int, say: Callable[[str], None]
) -> AsyncIterator[Row]:
    """Both in turn, `rounds` times."""
    found: dict[str, list[Archiving]] = {mode: [] for mode in MODES}
    for _ in range(rounds):
        for mode in MODES:
            found[mode].append(await _run(mode, folder / mode, load.urls(provider_url)))
    say(f"archive: {load.label}")
    for label, figure in FIGURES.items():
        values = {MODES[mode]: median(figure(each, load) for each in runs) for mode, runs in found.items()}
        yield Row(section=f"archive: {load.label}", label=label, values=values)


async def _run(mode: str, folder: Path, urls: list[str]) -> Archiving:
    await asyncio.to_thread(folder.mkdir, parents=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "lab.bench.studies.archiving", mode, str(folder), *urls),
        stdout=asyncio.subprocess.PIPE,
        env=plain_environment(),
    )
    try:
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"archiving ({mode}) ended with exit code {process.returncode}")
        return Archiving(**json.loads(output))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(folder)


def _url(provider_url: str, size: int, number: int) -> str:
    return f"{provider_url}/blobs/{size}/{number}.mp4"
