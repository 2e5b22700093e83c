"""Files as phones, cameras, recorders and other people's encoders make them."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from reelay.media.probe import inspect
from reelay.media.sniff import head_of, sniff
from tests.unit.media.samples import (
    make_animated_png,
    make_animated_webp,
    make_live_webm,
    make_sound,
    make_video,
    turned,
    with_id3,
    with_orientation,
)


def size_of(picture: Path) -> tuple[int, int]:
    with av.open(str(picture)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


@pytest.mark.parametrize(("degrees", "size"), [(90, (180, 320)), (-90, (180, 320)), (180, (320, 180)), (0, (320, 180))])
def test_a_turned_video_has_the_size_in_which_it_is_played(
    degrees: int, size: tuple[int, int], samples: dict[str, Path], tmp_path: Path
) -> None:
    poster = tmp_path / "poster.jpg"
    found = inspect(turned(samples["mp4"], tmp_path / "turned.mp4", degrees), poster=poster)
    assert (found.width, found.height) == size
    assert size_of(poster) == size


@pytest.mark.parametrize(("orientation", "size"), [(1, (300, 200)), (3, (300, 200)), (6, (200, 300)), (8, (200, 300))])
def test_a_turned_photograph_has_the_size_in_which_it_is_seen(
    orientation: int, size: tuple[int, int], samples: dict[str, Path], tmp_path: Path
) -> None:
    found = inspect(with_orientation(samples["jpg"], tmp_path / "turned.jpg", orientation))
    assert (found.width, found.height) == size


def rf64(path: Path) -> Path:
    with av.open(str(make_sound(path.with_suffix(".wav"), codec="pcm_s16le"))) as source:
        options = {"rf64": "always"}
        with av.open(str(path), "w", format="wav", options=options) as container:
            stream = container.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("make", "content_type", "seconds"),
    [
        (lambda path: make_animated_webp(path, 640, 360), "image/webp", None),
        (make_animated_png, "image/png", None),
        (make_live_webm, "video/webm", 2.0),
        (rf64, "audio/wav", 1.0),
        (lambda path: make_sound(path.with_suffix(".aiff"), codec="pcm_s16be"), "audio/aiff", 1.0),
        (lambda path: make_video(path.with_suffix(".ts")), "video/mp2t", 2.0),
        (lambda path: with_id3(make_sound(path.with_suffix(".flac"), codec="flac"), path), "audio/flac", 1.0),
        (lambda path: with_id3(make_sound(path.with_suffix(".aac"), codec="aac"), path), "audio/aac", 1.0),
        (lambda path: with_id3(make_sound(path.with_suffix(".mp3"), codec="libmp3lame"), path), "audio/mpeg", 1.0),
    ],
    ids=["animated webp", "apng", "live webm", "rf64", "aiff", "mpeg-ts", "tagged flac", "tagged aac", "tagged mp3"],
)
def test_a_file_is_known_by_its_content(
    make: Callable[[Path], Path], content_type: str, seconds: float | None, tmp_path: Path
) -> None:
    path = make(tmp_path / "file")
    found = inspect(path)
    assert sniff(head_of(path)).content_type == content_type
    if content_type.startswith("image/"):
        assert found.width
    else:
        assert found.duration_seconds == pytest.approx(seconds, abs=0.15)


def test_an_animated_picture_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no readable picture"):
        inspect(make_animated_webp(tmp_path / "bomb.webp", 16_384, 16_384))
