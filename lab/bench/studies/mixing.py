"""A long film in 1080p, mixed by the worker: what its process takes, and how soon it ends when it is canceled."""

import asyncio
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil

from lab.bench.load import until
from lab.bench.processes import peak_memory
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service

WIDTH, HEIGHT, FRAMES_PER_SECOND = 1920, 1080, 25
PICTURE_SECONDS = 2
"""Of the video, which is looped for as long as the sound lasts: all of a longer film is encoded."""
SOUND_RATE = 24_000
A_PART = 10
"""A film that is so many times shorter is made beside it."""
POLL_EVERY_SECONDS = 0.05


async def mixing_rows(service: Service, seconds: int) -> AsyncIterator[Row]:
    section = f"a film of {seconds} s in {HEIGHT}p"
    mixing = Mixing(service=service)
    folder = service.ground.data_dir.path / "mixing-study"
    folder.mkdir()
    video = await mixing.upload(await asyncio.to_thread(make_video, folder / "video.mp4"))
    peaks: dict[str, float] = {}
    for name, length in ((f"a {A_PART}th of it", seconds // A_PART), ("Reelay", seconds)):
        sound = await mixing.upload(await asyncio.to_thread(make_sound, folder / f"{length}.wav", length))
        peaks = {name: await mixing.peak_of(await mixing.create(video, sound)), **peaks}
        service.say(f"a film of {length} s took {peaks[name]:.0f} MiB")
    yield Row(section, "peak memory of its process, MiB", peaks)
    film = await mixing.create(video, sound)
    await until(lambda: mixing.has_progress(film), every=POLL_EVERY_SECONDS)
    begun = time.monotonic()
    (await service.api.post(f"/api/pipelines/{film}/cancel")).raise_for_status()
    await until(mixing.has_no_process, every=POLL_EVERY_SECONDS)
    yield of_reelay(section, "cancel until its process is gone, s", time.monotonic() - begun)
    await until(lambda: mixing.has_status(film, "canceled"), every=POLL_EVERY_SECONDS)
    yield of_reelay(section, "cancel until the pipeline's end, s", time.monotonic() - begun)


@dataclass(frozen=True, kw_only=True)
class Mixing:
    service: Service

    async def upload(self, path: Path) -> str:
        files = {"file": (path.name, await asyncio.to_thread(path.read_bytes))}
        answer = await self.service.api.post("/api/uploads", files=files, timeout=300)
        return str(answer.raise_for_status().json()["uri"])

    async def create(self, video: str, sound: str) -> str:
        film = {"kind": "mix", "video": video, "tracks": [{"source": sound}], "ending": "loop"}
        answer = await self.service.api.post("/api/pipelines", json={"steps": {"film": film}, "reuse": False})
        return str(answer.raise_for_status().json()["pipelineId"])

    async def peak_of(self, pipeline: str) -> float:
        """The most MiB that the process held which made its film."""
        peak = 0.0
        while (status := (await self._read(pipeline))["status"]) == "running":
            peak = max(peak, *(peak_of_living(pid) for pid in self._mixers()), 0.0)
            await asyncio.sleep(POLL_EVERY_SECONDS)
        if status != "completed":
            raise RuntimeError(f"the pipeline of a film has {status}")
        return peak

    async def has_progress(self, pipeline: str) -> bool:
        return bool(self._mixers()) and (await self._read(pipeline))["steps"]["film"]["progress"] > 0

    async def has_no_process(self) -> bool:
        return not self._mixers()

    async def has_status(self, pipeline: str, status: str) -> bool:
        return bool((await self._read(pipeline))["status"] == status)

    async def _read(self, pipeline: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.service.api.get(f"/api/pipelines/{pipeline}")).raise_for_status().json()
        return shown

    def _mixers(self) -> list[int]:
        worker = psutil.Process(self.service.pids("worker")["worker"])
        return [each.pid for each in worker.children(recursive=True) if is_mixer(each)]


def is_mixer(process: psutil.Process) -> bool:
    try:
        return any("mixer_process" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def peak_of_living(pid: int) -> float:
    """0 of one that has just ended."""
    try:
        return peak_memory(pid)
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        return 0.0


def make_video(path: Path) -> Path:
    """Stripes that move."""
    line = bytes(16 + column // 8 % 220 for column in range(WIDTH))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(PICTURE_SECONDS * FRAMES_PER_SECOND):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
            shift = number * 8 % WIDTH
            frame.planes[0].update((line[shift:] + line[:shift]) * HEIGHT)
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_sound(path: Path, seconds: int) -> Path:
    """A buzz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        for _ in range(seconds):
            file.writeframes((b"\x00\x10" * 60 + b"\x00\xf0" * 60) * (SOUND_RATE // 120))
    return path
