from pathlib import Path

import av
import pytest

from reelay.media.errors import BadMedia
from reelay.media.probe import POSTER_MAX_WIDTH, ends_early, poster, probe
from tests.unit.media.samples import make_bomb, make_song_with_cover, make_video


@pytest.mark.parametrize("extension", ["mp4", "mov", "webm", "mkv", "avi"])
def test_a_video_has_a_length_and_a_size(extension: str, samples: dict[str, Path]) -> None:
    probed = probe(samples[extension])
    assert probed.duration_seconds == pytest.approx(2, abs=0.1)
    assert (probed.width, probed.height) == (320, 180)


@pytest.mark.parametrize("extension", ["wav", "mp3", "flac", "m4a", "aac", "ogg"])
def test_sound_has_a_length(extension: str, samples: dict[str, Path]) -> None:
    probed = probe(samples[extension])
    assert probed.duration_seconds == pytest.approx(1, abs=0.1)
    assert (probed.width, probed.height) == (None, None)


def test_the_cover_of_a_song_is_not_its_picture(samples: dict[str, Path], tmp_path: Path) -> None:
    song = make_song_with_cover(tmp_path / "song.mp3", samples["jpg"])
    assert probe(song).width is None
    assert poster(song, tmp_path / "poster.jpg") is None


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_a_picture_has_a_size(extension: str, samples: dict[str, Path]) -> None:
    probed = probe(samples[extension])
    assert (probed.width, probed.height) == (300, 200)


def test_a_tag_in_another_encoding_does_not_matter(tmp_path: Path) -> None:
    video = make_video(tmp_path / "video.mp4")
    assert video.read_bytes().count(b"Lavf") == 1
    video.write_bytes(video.read_bytes().replace(b"Lavf", "Düne".encode("latin-1")))
    assert probe(video).width == 320


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_picture_bomb_is_not_decoded(side: int, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        probe(make_bomb(tmp_path / "bomb.png", side))


def test_a_file_that_cannot_be_read_is_bad_media(samples: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    whole = samples["mp4"].read_bytes()
    for content in (b"", b"<html>", whole[:32], whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(BadMedia):
            probe(broken)


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
        probe(tmp_path / name)


def test_a_poster_is_a_jpeg_of_bounded_width(tmp_path: Path) -> None:
    video = make_video(tmp_path / "wide.mp4", seconds=1, width=1920)
    assert poster(video, tmp_path / "poster.jpg") == tmp_path / "poster.jpg"
    probed = probe(tmp_path / "poster.jpg")
    assert (probed.width, probed.height) == (POSTER_MAX_WIDTH, 120)


def test_the_poster_is_not_the_first_frame(samples: dict[str, Path], tmp_path: Path) -> None:
    """A tenth of two seconds is five frames in: luma 16 + 20, which is 23 of the 255 that a JPEG has."""
    poster(samples["mp4"], tmp_path / "poster.jpg")
    with av.open(str(tmp_path / "poster.jpg"), "r") as container:
        brightness = bytes(next(container.decode(video=0)).reformat(format="gray").planes[0])[1000]
    assert brightness == pytest.approx(23, abs=8)


def test_sound_and_undecodable_video_have_no_poster(samples: dict[str, Path], tmp_path: Path) -> None:
    assert poster(samples["wav"], tmp_path / "poster.jpg") is None
    video = make_video(tmp_path / "video.mp4", faststart=True).read_bytes()
    frames = video.index(b"mdat") + 4
    (tmp_path / "video.mp4").write_bytes(video[:frames] + bytes(len(video) - frames))
    assert poster(tmp_path / "video.mp4", tmp_path / "poster.jpg") is None


def test_a_file_that_ends_early_is_noticed(samples: dict[str, Path], tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", faststart=True)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-500])
    assert ends_early(cut)
    assert not any(ends_early(path) for path in (whole, *samples.values()))
