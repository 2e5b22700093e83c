"""A long film in 1080p, mixed by the worker: what its process takes, and how soon it ends when it is canceled."""

import asyncio
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import psutil

from lab.bench.contenders.reelay import api_headers
from lab.bench.ground import Ground
from lab.bench.memory import peak_memory
from lab.bench.over_http import clients
from lab.bench.rows import Row

WIDTH, HEIGHT, FRAMES_PER_SECOND = 1920, 1080, 25
PICTURE_SECONDS = 2
"""Of the video, which is looped for as long as the sound lasts: all of a longer film is encoded."""
SOUND_RATE = 24_000
A_PART = 10
"""A film that is so many times shorter is made beside it."""
MIB = 1024 * 1024
LOOK_EVERY_SECONDS = 0.05


async def mixing_rows(ground: Ground, *, seconds: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    section = f"a film of {seconds} s in {HEIGHT}p"
    headers = await api_headers(ground)
    async with clients(ground.stack.api_url, headers=headers) as (api,):
        mixing = Mixing(api=api, worker_pid=ground.stack.parts["worker"].pid)
        folder = ground.data_dir.path / "mixing-study"
        folder.mkdir()
        video = await mixing.upload(await asyncio.to_thread(make_video, folder / "video.mp4"))
        memory, speed = dict[str, float](), dict[str, float]()
        for name, length in ((f"a {A_PART}th of it", seconds // A_PART), ("Reelay", seconds)):
            sound = await mixing.upload(await asyncio.to_thread(make_sound, folder / f"{length}.wav", length))
            begun = time.monotonic()
            memory[name] = await mixing.peak_of(await mixing.create(video, sound)) / MIB
            speed[name] = length / (time.monotonic() - begun)
            say(f"a film of {length} s took {time.monotonic() - begun:.0f} s and {memory[name]:.0f} MiB")
        yield Row(section=section, label="peak memory of its process, MiB", values=_in_order(memory))
        yield Row(section=section, label="seconds of film per second", values=_in_order(speed))
        canceled = await mixing.cancel(await mixing.create(video, sound))
    yield Row(section=section, label="cancel until its process is gone, s", values={"Reelay": canceled.gone})
    yield Row(section=section, label="cancel until the pipeline's end, s", values={"Reelay": canceled.ended})


def _in_order(figures: dict[str, float]) -> dict[str, float]:
    """Reelay's first."""
    return dict(reversed(figures.items()))


@dataclass(frozen=True, kw_only=True)
class Canceled:
    """Seconds from the call."""

    gone: float
    ended: float


@dataclass(frozen=True, kw_only=True)
class Mixing:
    api: httpx.AsyncClient
    worker_pid: int

    async def upload(self, path: Path) -> str:
        files = {"file": (path.name, await asyncio.to_thread(path.read_bytes))}
        answer = await self.api.post("/api/uploads", files=files, timeout=300)
        return str(answer.raise_for_status().json()["uri"])

    async def create(self, video: str, sound: str) -> str:
        film = {"kind": "mix", "video": video, "tracks": [{"source": sound}], "ending": "loop"}
        answer = await self.api.post("/api/pipelines", json={"steps": {"film": film}, "reuse": False})
        return str(answer.raise_for_status().json()["pipelineId"])

    async def peak_of(self, pipeline: str) -> int:
        """The most memory that the process held which made its film."""
        peak = 0
        while (status := (await self._read(pipeline))["status"]) == "running":
            if mixer := self._mixer():
                peak = max(peak, _peak_of(mixer))
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        if status != "completed":
            raise RuntimeError(f"the pipeline of a film has {status}")
        return peak

    async def cancel(self, pipeline: str) -> Canceled:
        """Once some of its film is written."""
        await _until(lambda: self._has_progress(pipeline))
        begun = time.monotonic()
        (await self.api.post(f"/api/pipelines/{pipeline}/cancel")).raise_for_status()
        await _until(self._is_gone)
        gone = time.monotonic() - begun
        await _until(lambda: self._has_ended(pipeline))
        return Canceled(gone=gone, ended=time.monotonic() - begun)

    async def _has_progress(self, pipeline: str) -> bool:
        return self._mixer() is not None and (await self._read(pipeline))["steps"]["film"]["progress"] > 0

    async def _has_ended(self, pipeline: str) -> bool:
        return str((await self._read(pipeline))["status"]) == "canceled"

    async def _is_gone(self) -> bool:
        return self._mixer() is None

    async def _read(self, pipeline: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.api.get(f"/api/pipelines/{pipeline}")).raise_for_status().json()
        return shown

    def _mixer(self) -> int | None:
        for child in psutil.Process(self.worker_pid).children(recursive=True):
            try:
                if any("mixer_process" in word for word in child.cmdline()):
                    return child.pid
            except psutil.NoSuchProcess:
                continue
        return None


def _peak_of(pid: int) -> int:
    """0 of one that has just ended."""
    try:
        return peak_memory({"mixer": pid})["mixer"]
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        return 0


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await is_so():
            return
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def make_video(path: Path) -> Path:
    """Stripes that move."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in _pictures():
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _pictures() -> Iterator[av.VideoFrame]:
    line = bytes(16 + column // 8 % 220 for column in range(WIDTH))
    for number in range(PICTURE_SECONDS * FRAMES_PER_SECOND):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        shift = number * 8 % WIDTH
        frame.planes[0].update((line[shift:] + line[:shift]) * HEIGHT)
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


def make_sound(path: Path, seconds: int) -> Path:
    """A buzz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        second = (b"\x00\x10" * 60 + b"\x00\xf0" * 60) * (SOUND_RATE // 120)
        for _ in range(seconds):
            file.writeframes(second)
    return path
