"""A sheet of a video's moments: sixteen pictures of it in one JPEG, from its beginning to its end.

Blocks, and parses what strangers made: in a decoder's process alone, as `probe.py`.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av.error
import av.filter
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelay.media.errors import BadMedia
from reelay.media.probe import MAX_PIXELS, MICROSECONDS, first_picture, opened, upright

SIDE = 4
MOMENTS = SIDE * SIDE
TILE_WIDTH = 320
WHOLE_SECONDS = 30.0
"""Of a longer video only frames that need no other are decoded."""
MAX_FRAMES = 4_000
TIME_BASE = Fraction(1, 1000)


def write_sheet(path: Path, to: Path) -> None:
    """Raises: BadMedia, MemoryError."""
    with opened(path) as container:
        picture = first_picture(container)
        if picture is None or not 0 < picture.width * picture.height <= MAX_PIXELS:
            raise BadMedia("no readable picture")
        try:
            _tiled(_moments(container, picture)).save(to)
        except av.error.FFmpegError as error:
            raise BadMedia(f"its pictures cannot be read: {error.strerror}") from error


def _moments(container: InputContainer, picture: VideoStream) -> Iterator[VideoFrame]:
    seconds = (container.duration or 0) / MICROSECONDS
    picture.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    picture.codec_context.skip_frame = "NONREF" if seconds <= WHOLE_SECONDS else "NONKEY"
    picture.codec_context.thread_count = 1
    taken = 0
    for frame in islice(container.decode(picture), MAX_FRAMES):
        if frame.time is None or frame.time >= seconds * taken / MOMENTS:
            taken += 1
            yield frame
        if taken == MOMENTS:
            return


def _tiled(frames: Iterator[VideoFrame]) -> VideoFrame:
    """What is missing is left black."""
    graph, count = av.filter.Graph(), 0
    for frame in map(upright, frames):
        if not count:
            last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE)
            for name, arguments in (("scale", f"{TILE_WIDTH}:-2"), ("tile", f"{SIDE}x{SIDE}"), ("buffersink", "")):
                following = graph.add(name, arguments)
                last.link_to(following)
                last = following
            graph.configure()
        frame.pts, count = count, count + 1
        graph.vpush(frame)
    if not count:
        raise BadMedia("no picture of it can be decoded")
    if count < MOMENTS:
        graph.vpush(None)
    return graph.vpull()
