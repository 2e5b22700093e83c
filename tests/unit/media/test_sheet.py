from pathlib import Path

import av
import pytest

from reelay.media.errors import BadMedia
from reelay.media.sheet import MOMENTS, SIDE, TILE_WIDTH, write_sheet
from tests.unit.media.samples import make_bomb, make_video, turned


def brightness(sheet: Path) -> list[int]:
    """Of the middle of each moment."""
    with av.open(str(sheet)) as container:
        picture = next(container.decode(video=0)).reformat(format="gray")
    width, height, pixels = picture.width // SIDE, picture.height // SIDE, bytes(picture.planes[0])
    return [
        pixels[(row * height + height // 2) * picture.planes[0].line_size + column * width + width // 2]
        for row in range(SIDE)
        for column in range(SIDE)
    ]


def size(sheet: Path) -> tuple[int, int]:
    with av.open(str(sheet)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def test_its_moments_go_from_the_beginning_to_the_end(tmp_path: Path) -> None:
    write_sheet(make_video(tmp_path / "video.mp4"), tmp_path / "sheet.jpg")
    shown = brightness(tmp_path / "sheet.jpg")
    assert shown == sorted(set(shown))
    assert shown[0] < 16
    assert shown[-1] > 200
    assert size(tmp_path / "sheet.jpg") == (SIDE * TILE_WIDTH, SIDE * 180)


def test_a_turned_video_is_shown_as_a_player_shows_it(tmp_path: Path) -> None:
    video = turned(make_video(tmp_path / "video.mp4"), tmp_path / "turned.mp4", 90)
    write_sheet(video, tmp_path / "sheet.jpg")
    width, height = size(tmp_path / "sheet.jpg")
    assert width == SIDE * TILE_WIDTH
    assert height > width
    assert len(set(brightness(tmp_path / "sheet.jpg"))) == MOMENTS


def test_what_a_video_of_few_pictures_lacks_is_black(tmp_path: Path) -> None:
    white = av.VideoFrame(320, 180, "gray")
    white.planes[0].update(b"\xff" * white.planes[0].buffer_size)
    white.save(tmp_path / "white.png")
    write_sheet(tmp_path / "white.png", tmp_path / "sheet.jpg")
    first, *others = brightness(tmp_path / "sheet.jpg")
    assert first > 250
    assert max(others) < 5


def test_no_sheet_is_made_of_a_bomb(tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        write_sheet(make_bomb(tmp_path / "bomb.png", 50_000), tmp_path / "sheet.jpg")
