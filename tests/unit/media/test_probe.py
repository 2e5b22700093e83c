from pathlib import Path

import av
import pytest

from reelay.media.errors import BadMedia
from reelay.media.inspection import Inspection
from reelay.media.probe import POSTER_MAX_WIDTH, inspect
from tests.unit.media.samples import make_bomb, make_song_with_cover, make_video


@pytest.mark.parametrize("extension", ["mp4", "mov", "webm", "mkv", "avi"])
def test_a_video_has_a_length_and_a_size(extension: str, samples: dict[str, Path]) -> None:
    found = inspect(samples[extension])
    assert found.duration_seconds == pytest.approx(2, abs=0.1)
    assert (found.width, found.height) == (320, 180)


@pytest.mark.parametrize("extension", ["wav", "mp3", "flac", "m4a", "aac", "ogg"])
def test_sound_has_a_length(extension: str, samples: dict[str, Path]) -> None:
    found = inspect(samples[extension])
    assert found.duration_seconds == pytest.approx(1, abs=0.1)
    assert (found.width, found.height) == (None, None)


def test_the_cover_of_a_song_is_not_its_picture(samples: dict[str, Path], tmp_path: Path) -> None:
    song = make_song_with_cover(tmp_path / "song.mp3", samples["jpg"])
    assert not inspect(song, poster=tmp_path / "poster.jpg").has_picture
    assert not (tmp_path / "poster.jpg").exists()


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_a_picture_has_a_size(extension: str, samples: dict[str, Path]) -> None:
    found = inspect(samples[extension])
    assert (found.width, found.height) == (300, 200)


def test_a_tag_in_another_encoding_does_not_matter(tmp_path: Path) -> None:
    video = make_video(tmp_path / "video.mp4")
    assert video.read_bytes().count(b"Lavf") == 1
    video.write_bytes(video.read_bytes().replace(b"Lavf", "Düne".encode("latin-1")))
    assert inspect(video).width == 320


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_picture_bomb_is_not_decoded(side: int, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        inspect(make_bomb(tmp_path / "bomb.png", side))


def test_a_file_that_cannot_be_read_is_bad_media(samples: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    whole = samples["mp4"].read_bytes()
    for content in (b"", b"<html>", whole[:32], whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(BadMedia):
            inspect(broken)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile other.mp4\n"),
    ],
)
def test_a_playlist_opens_no_other_file(name: str, content: str, samples: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "other.mp4").write_bytes(samples["mp4"].read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(BadMedia):
        inspect(tmp_path / name)


def test_a_poster_is_a_jpeg_of_bounded_width(tmp_path: Path) -> None:
    video = make_video(tmp_path / "wide.mp4", seconds=1, width=1920)
    assert inspect(video, poster=tmp_path / "poster.jpg").has_poster
    found = inspect(tmp_path / "poster.jpg")
    assert (found.width, found.height) == (POSTER_MAX_WIDTH, 120)


def test_the_poster_is_not_the_first_frame(samples: dict[str, Path], tmp_path: Path) -> None:
    """A tenth of two seconds is five frames in: luma 16 + 20, which is 23 of the 255 that a JPEG has."""
    inspect(samples["mp4"], poster=tmp_path / "poster.jpg")
    assert brightness(tmp_path / "poster.jpg") == pytest.approx(23, abs=8)


def brightness(picture: Path) -> int:
    with av.open(str(picture), "r") as container:
        return bytes(next(container.decode(video=0)).reformat(format="gray").planes[0])[1000]


def test_sound_and_undecodable_video_have_no_poster(samples: dict[str, Path], tmp_path: Path) -> None:
    poster = tmp_path / "poster.jpg"
    assert not inspect(samples["wav"], poster=poster).has_poster
    video = make_video(tmp_path / "video.mp4", faststart=True).read_bytes()
    frames = video.index(b"mdat") + 4
    (tmp_path / "video.mp4").write_bytes(video[:frames] + bytes(len(video) - frames))
    assert not inspect(tmp_path / "video.mp4", poster=poster).has_poster
    assert not poster.exists()


def test_a_file_that_ends_early_is_noticed(samples: dict[str, Path], tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", faststart=True)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(BadMedia, match="ends before"):
        inspect(cut, check_end=True)
    for path in (whole, *samples.values()):
        inspect(path, check_end=True)


@pytest.mark.fault("D24")
@pytest.mark.parametrize("tag", [b"zzzz", b"encv", b"lhv1"])
def test_streams_that_ffmpeg_cannot_decode_are_still_what_they_are(tag: bytes, tmp_path: Path) -> None:
    video = make_video(tmp_path / "video.mp4")
    video.write_bytes(video.read_bytes().replace(b"avc1", tag))
    found = inspect(video, poster=tmp_path / "poster.jpg", check_end=True)
    assert found == Inspection(has_picture=True, duration_seconds=2.0)


@pytest.mark.fault("D26")
def test_the_search_for_a_poster_decodes_only_so_many_pixels(
    samples: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pixels for one frame, the first one is the poster: it is black."""
    monkeypatch.setattr("reelay.media.probe.POSTER_MAX_PIXELS", 320 * 180)
    inspect(samples["mp4"], poster=tmp_path / "poster.jpg")
    assert brightness(tmp_path / "poster.jpg") == pytest.approx(0, abs=2)
