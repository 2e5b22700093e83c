from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from reelay.media.download import open_download_client
from reelay.media.guard import DownloadPolicy
from reelay.media.storage import LocalStorage
from tests.unit.media.samples import make_picture, make_sound, make_video
from tests.unit.media.server import ScriptedServer, serving


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with serving() as scripted:
        yield scripted


@pytest.fixture
def policy() -> DownloadPolicy:
    """What development allows, and one MiB of it."""
    return DownloadPolicy(max_bytes=1024 * 1024, allow_http=True, allow_loopback=True)


@pytest.fixture
async def client(policy: DownloadPolicy) -> AsyncIterator[httpx.AsyncClient]:
    async with open_download_client(policy) as downloads:
        yield downloads


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "archive")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each format, by extension."""
    folder = tmp_path_factory.mktemp("samples")
    videos = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9", "mkv": "libx264", "avi": "mpeg4"}
    sounds = {"wav": "pcm_s16le", "mp3": "libmp3lame", "flac": "flac", "m4a": "aac", "aac": "aac", "ogg": "libopus"}
    made = {name: make_video(folder / f"sample.{name}", codec=codec) for name, codec in videos.items()}
    made |= {name: make_sound(folder / f"sample.{name}", codec=codec) for name, codec in sounds.items()}
    return made | {name: make_picture(folder / f"sample.{name}") for name in ("png", "jpg")}
