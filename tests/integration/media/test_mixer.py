"""The process that makes a film: it ends with whoever waits for it, and takes no more than it may."""

import asyncio
from pathlib import Path

import pytest

from reelay.media.errors import BadMedia, TooCostly
from reelay.media.mix import Ending, Mix, Track
from reelay.media.mixer import make_film
from tests.eventually import eventually
from tests.integration.mixers import mixers
from tests.unit.media.samples import make_tone, make_video

LARGE = 2**30


@pytest.fixture
def long_film(tmp_path: Path) -> Mix:
    """Ten minutes of pictures to encode."""
    video = make_video(tmp_path / "video.mp4", width=1280)
    sound = make_tone(tmp_path / "sound.wav", seconds=600, hertz=300, rate=8000)
    tracks = (Track(path=str(sound)),)
    return Mix(videos=(str(video),), tracks=tracks, ending=Ending.LOOP, to=str(tmp_path / "film.mp4"))


async def test_a_film_is_made_in_a_process_that_ends_with_it(tmp_path: Path) -> None:
    video = make_video(tmp_path / "video.mp4")
    film = await make_film(Mix(videos=(str(video),), to=str(tmp_path / "film.mp4")), at_most_bytes=LARGE)

    assert (film.duration_seconds, film.pictures_copied) == (2, True)
    assert (tmp_path / "film.mp4").stat().st_size > 0
    assert mixers() == []


async def test_a_cancellation_ends_the_process_at_once(long_film: Mix) -> None:
    told: list[float] = []
    making = asyncio.create_task(make_film(long_film, at_most_bytes=LARGE, on_progress=told.append))

    async def is_under_way() -> bool:
        return bool(told)

    await eventually(is_under_way)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert mixers() == []


async def test_a_film_of_too_many_bytes_is_given_up(long_film: Mix) -> None:
    with pytest.raises((TooCostly, BadMedia)):
        await make_film(long_film, at_most_bytes=100_000)


async def test_a_file_that_is_no_media_is_bad_media(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"<html>")
    plan = Mix(videos=(str(tmp_path / "video.mp4"),), to=str(tmp_path / "film.mp4"))
    with pytest.raises(BadMedia):
        await make_film(plan, at_most_bytes=LARGE)
