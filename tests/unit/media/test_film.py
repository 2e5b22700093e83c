"""Films of videos, sounds and captions: what of them is seen and heard in the file."""

import math
from array import array
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from reelay.media.captions import Cue
from reelay.media.errors import BadMedia
from reelay.media.film import mix
from reelay.media.mix import Ending, Mix, Track
from tests.unit.media.samples import make_picture, make_tone, make_video, turned

RATE = 48_000
VOICE, WIND = 1000.0, 300.0
"""Their tones, in Hz."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two seconds without sound."""
    return str(make_video(tmp_path_factory.mktemp("film") / "video.mp4"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Half a second."""
    return str(make_tone(tmp_path_factory.mktemp("film") / "voice.wav", seconds=0.5, hertz=VOICE))


@pytest.fixture(scope="module")
def wind(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four seconds, longer than the video."""
    return str(make_tone(tmp_path_factory.mktemp("film") / "wind.wav", seconds=4, hertz=WIND))


@pytest.fixture
def to(tmp_path: Path) -> str:
    return str(tmp_path / "film.mp4")


def pictures(path: str) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def brightness(path: str) -> list[int]:
    """Of each picture's middle."""
    with av.open(path) as container:
        frames = [frame.reformat(format="gray") for frame in container.decode(video=0)]
    middle = frames[0].height // 2 * frames[0].planes[0].line_size + frames[0].width // 2
    return [bytes(frame.planes[0])[middle] for frame in frames]


def sound(path: str) -> Sequence[float]:
    """The left channel."""
    samples = array("f")
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            assert frame.sample_rate == RATE
            samples.frombytes(bytes(frame.planes[0])[: frame.samples * 4])
    return samples


def level(samples: Sequence[float], hertz: float, start: float, end: float) -> float:
    """How loud that tone is between those seconds."""
    part = samples[round(start * RATE) : round(end * RATE)]
    turn = 2 * math.pi * hertz / RATE
    real = sum(sample * math.cos(turn * index) for index, sample in enumerate(part))
    imaginary = sum(sample * math.sin(turn * index) for index, sample in enumerate(part))
    return 2 * math.hypot(real, imaginary) / len(part)


def seconds_of(path: str) -> float:
    with av.open(path) as container:
        return (container.duration or 0) / 1_000_000


def test_pictures_that_stay_as_they_are_are_copied(video: str, voice: str, to: str) -> None:
    film = mix(Mix(videos=(video,), tracks=(Track(path=voice),), to=to))

    assert film.pictures_copied
    assert pictures(to) == pictures(video)


def test_sound_that_is_longer_than_the_pictures_is_cut(video: str, wind: str, to: str) -> None:
    film = mix(Mix(videos=(video,), tracks=(Track(path=wind),), to=to))

    assert film.duration_seconds == pytest.approx(2)
    assert seconds_of(to) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("ending", [Ending.HOLD, Ending.LOOP])
def test_pictures_last_as_long_as_the_sound_when_asked_to(video: str, wind: str, to: str, ending: Ending) -> None:
    film = mix(Mix(videos=(video,), tracks=(Track(path=wind),), ending=ending, to=to))
    seen = brightness(to)

    assert (film.pictures_copied, len(seen)) == (False, 100)
    assert seen[25] == pytest.approx(116, abs=16)
    again = seen[75]  # a second into what comes after the video
    assert again == pytest.approx(seen[49] if ending is Ending.HOLD else seen[25], abs=8)


def test_a_track_starts_where_it_is_placed_and_pictures_need_no_sound(video: str, voice: str, to: str) -> None:
    mix(Mix(videos=(video,), tracks=(Track(path=voice, start_seconds=1),), to=to))
    heard = sound(to)

    assert level(heard, VOICE, 0.1, 0.8) < 0.01
    assert level(heard, VOICE, 1.1, 1.4) > 0.1
    assert level(heard, VOICE, 1.7, 1.9) < 0.01


def test_a_ducked_track_is_lower_while_another_one_sounds(video: str, voice: str, wind: str, to: str) -> None:
    tracks = (Track(path=voice, start_seconds=1), Track(path=wind, duck=True))
    mix(Mix(videos=(video,), tracks=tracks, to=to))
    heard = sound(to)

    assert level(heard, WIND, 1.15, 1.45) < level(heard, WIND, 0.4, 0.9) / 2


def test_gain_and_fades_change_how_loud_a_track_is(video: str, voice: str, wind: str, to: str) -> None:
    tracks = (Track(path=wind, gain_db=-20, fade_out_seconds=1), Track(path=voice))
    mix(Mix(videos=(video,), tracks=tracks, to=to))
    heard = sound(to)

    assert level(heard, WIND, 0.1, 0.4) < level(heard, VOICE, 0.1, 0.4) / 5
    assert level(heard, WIND, 1.9, 2) < level(heard, WIND, 0.6, 0.9) / 3


def test_films_are_equally_loud_whatever_their_sounds_were(video: str, tmp_path: Path) -> None:
    peaks = []
    for level_ in (0.02, 0.5):
        tone = make_tone(tmp_path / f"{level_}.wav", seconds=2, hertz=WIND, level=level_)
        film = str(tmp_path / f"{level_}.mp4")
        mix(Mix(videos=(video,), tracks=(Track(path=str(tone)),), to=film))
        peaks.append(level(sound(film), WIND, 0.5, 1.5))

    assert peaks[0] == pytest.approx(peaks[1], rel=0.2)


def test_captions_are_a_track_of_the_film_and_end_with_it(video: str, to: str) -> None:
    cues = (Cue(0.5, 1, "Dawn."), Cue(1.5, 9, "Boats & gulls"), Cue(3, 4, "too late"))
    mix(Mix(videos=(video,), cues=cues, to=to))

    with av.open(to) as container:
        shown = [(packet.pts, packet.duration, bytes(packet)[2:]) for packet in container.demux(subtitles=0)]
    assert [each for each in shown if each[2]] == [(500, 500, b"Dawn."), (1500, 500, b"Boats & gulls")]


def test_several_videos_follow_each_other_in_the_size_and_rate_of_the_first(
    video: str, tmp_path: Path, to: str
) -> None:
    wide = str(make_video(tmp_path / "wide.mp4", seconds=1, width=640))
    film = mix(Mix(videos=(video, wide), to=to))

    assert film.duration_seconds == pytest.approx(3)
    seen = brightness(to)
    assert len(seen) == 75
    assert seen[51] < seen[49] - 100  # dark again: the second has begun
    with av.open(to) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 180)


def test_a_turned_video_is_seen_upright(video: str, tmp_path: Path, to: str) -> None:
    film = mix(Mix(videos=(str(turned(Path(video), tmp_path / "turned.mp4", 90)),), to=to))

    assert not film.pictures_copied
    with av.open(to) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (180, 320)


def test_the_same_inputs_give_the_same_bytes(video: str, voice: str, wind: str, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        to = tmp_path / f"{name}.mp4"
        tracks = (Track(path=voice), Track(path=wind, duck=True))
        mix(Mix(videos=(video,), tracks=tracks, cues=(Cue(0, 1, "Dawn."),), ending=Ending.HOLD, to=str(to)))
        made.append(to.read_bytes())

    assert made[0] == made[1]


def test_it_is_told_how_much_of_the_film_is_written(video: str, to: str) -> None:
    told: list[float] = []
    mix(Mix(videos=(video,), to=to), told.append)

    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == 1


def test_what_is_no_video_or_no_sound_is_bad_media(video: str, voice: str, tmp_path: Path, to: str) -> None:
    picture = str(make_picture(tmp_path / "picture.png"))
    for plan in (Mix(videos=(voice,), to=to), Mix(videos=(video,), tracks=(Track(path=picture),), to=to)):
        with pytest.raises(BadMedia):
            mix(plan)
