"""Probing a media file: duration, size, and a picture of it.

FFmpeg reads the file through PyAV and is told to open no other file, no network and no playlist. It is C that parses
what strangers made, and it blocks: the product calls it in a process of its own alone (`decoder_pool.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from struct import Struct

import av
import av.error
import av.filter
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelay.media.errors import BadMedia
from reelay.media.inspection import Inspection

MAX_PIXELS = 8192 * 8192
"""Of one picture. One decoded frame of this size takes 100-270 MB."""
MAX_STREAMS = 64
MAX_PACKETS = 1_000_000
"""Read in search of the file's end: more than two hours of 60 frames per second with sound."""
DEMUXERS = "mov,matroska,avi,wav,aiff,mp3,ogg,flac,aac,mpegts,gif,apng,png_pipe,jpeg_pipe,webp_pipe,image2"
POSTER_MAX_WIDTH = 1280
POSTER_MAX_FRAMES = 120
"""Decoded in search of the poster's frame: two seconds at 60 frames per second."""
POSTER_MAX_PIXELS = 2 * MAX_PIXELS
"""Decoded in search of it, all frames together: 64 frames of 1080p, 16 of 4K, two of the largest."""
MICROSECONDS = 1_000_000
JPEG = "mjpeg"
STILL_PICTURES = ("image2", "gif", "apng")
TURNS: dict[int, list[tuple[str, str | None]]] = {
    1: [("transpose", "clock")],
    2: [("hflip", None), ("vflip", None)],
    3: [("transpose", "cclock")],
}
"""Filters, by quarter turns."""
WEBP_HEAD = Struct("<4s4x8s4xB3x3s3s")
WEBP_IS_ANIMATED = 0x02


def inspect(path: Path, *, poster: Path | None = None, check_end: bool = False) -> Inspection:
    """What the file holds. Pictures of more than `MAX_PIXELS` are refused before they are decoded.

    `poster`: where to write a JPEG of the moment a tenth into the clip, at most a second in, at most `POSTER_MAX_WIDTH`
    wide; none is written when no frame there can be decoded or there is no room. `check_end`: also read the file to its
    end, for one whose length nobody announced. Raises: BadMedia, MemoryError.
    """
    if size := _size_of_animated_webp(path):
        return Inspection(has_picture=True, width=size[0], height=size[1])
    with opened(path) as container:
        picture = first_picture(container)
        if picture is None and not container.streams.audio:
            raise BadMedia("the file holds neither pictures nor sound")
        duration = max(_seconds(container) or _measured_seconds(path), 0) or None
        if picture is None:
            found = Inspection(has_picture=False, duration_seconds=duration)
        elif picture.codec_context is None:
            found = Inspection(has_picture=True, duration_seconds=duration)
        else:
            _check_size(picture)
            width, height = picture.width, picture.height
            frame = _decoded(container, picture, wanted=poster is not None)
            if frame and quarter_turns(frame) % 2:
                width, height = height, width
            found = Inspection(
                has_picture=True,
                duration_seconds=duration,
                width=width,
                height=height,
                has_poster=bool(frame and poster and _save_poster(frame, poster)),
            )
    if check_end and _ends_early(path):
        raise BadMedia("the file ends before its container says so")
    return found


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    options = {
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "file",
        "max_pixels": str(MAX_PIXELS),
        "max_streams": str(MAX_STREAMS),
    }
    try:
        with av.open(str(path), "r", options=options, metadata_errors="replace") as container:
            yield container
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise BadMedia(f"the file cannot be read as media: {error.strerror}") from error


def _seconds(container: InputContainer) -> float:
    return (container.duration or 0) / MICROSECONDS


def first_picture(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not the cover of a song."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _check_size(picture: VideoStream) -> None:
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        # FFmpeg leaves 0 x 0 when `max_pixels` forbade it to decode a header's promise, or nothing could be decoded.
        raise BadMedia(f"no readable picture of at most {MAX_PIXELS} pixels")


def _decoded(container: InputContainer, picture: VideoStream, *, wanted: bool) -> VideoFrame | None:
    """The frame for the poster; of a JPEG its only one, which alone knows how it is turned."""
    if not wanted and picture.codec_context.name != JPEG:
        return None
    try:
        return _frame_at(container, picture, min(_seconds(container) / 10, 1.0) if wanted else 0.0)
    except (av.error.FFmpegError, MemoryError):
        return None


def _save_poster(frame: VideoFrame, to: Path) -> bool:
    try:
        _turned(_shrunk(frame), quarter_turns(frame)).save(to)
    except (av.error.FFmpegError, MemoryError):
        return False
    return True


def quarter_turns(frame: VideoFrame) -> int:
    """Clockwise, by which a player turns it: the display matrix of a video, the EXIF orientation of a photograph."""
    return round(-frame.rotation / 90) % 4


def upright(frame: VideoFrame) -> VideoFrame:
    """As a player shows it."""
    return _turned(frame, quarter_turns(frame))


def _turned(frame: VideoFrame, quarter_turns: int) -> VideoFrame:
    if not quarter_turns:
        return frame
    graph = av.filter.Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    for name, arguments in TURNS[quarter_turns]:
        following = graph.add(name, arguments)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()


def _measured_seconds(path: Path) -> float:
    """For a container that does not tell, as a live recording: the end of its last packet. Reads it all."""
    with opened(path) as container:
        name = container.format.name
        return 0.0 if name in STILL_PICTURES or name.endswith("_pipe") else _end_of(container)


def _end_of(container: InputContainer) -> float:
    end = 0.0
    for count, packet in enumerate(container.demux()):
        if count >= MAX_PACKETS:
            raise BadMedia(f"the file holds more than {MAX_PACKETS} packets")
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return end


def _size_of_animated_webp(path: Path) -> tuple[int, int] | None:
    """FFmpeg does not read these: by the container's own header. Raises: BadMedia."""
    with path.open("rb") as file:
        head = file.read(WEBP_HEAD.size)
    if len(head) < WEBP_HEAD.size:
        return None
    riff, webp, flags, width, height = WEBP_HEAD.unpack(head)
    if riff != b"RIFF" or webp != b"WEBPVP8X" or not flags & WEBP_IS_ANIMATED:
        return None
    size = 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
    if size[0] * size[1] > MAX_PIXELS:
        raise BadMedia(f"no readable picture of at most {MAX_PIXELS} pixels")
    return size


def _frame_at(container: InputContainer, picture: VideoStream, seconds: float) -> VideoFrame | None:
    picture.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # Frames that no other frame needs are not decoded on the way: 7 ms instead of 10.5 for 720p.
    if picture.codec_context.name != JPEG:  # of which no frame needs another
        picture.codec_context.skip_frame = "NONREF"
    # For a handful of frames, threads cost more than they bring: 1 ms, and one is started for each core.
    picture.codec_context.thread_count = 1
    if seconds > 0:
        container.seek(int(seconds * MICROSECONDS))
    at_most = min(POSTER_MAX_FRAMES, POSTER_MAX_PIXELS // (picture.width * picture.height))
    found = None
    for frame in islice(container.decode(picture), at_most):
        found = frame
        if frame.time is None or frame.time >= seconds:
            break
    return found


def _shrunk(frame: VideoFrame) -> VideoFrame:
    if frame.width <= POSTER_MAX_WIDTH:
        return frame
    height = max(2, round(frame.height * POSTER_MAX_WIDTH / frame.width / 2) * 2)
    return frame.reformat(width=POSTER_MAX_WIDTH, height=height)


def _ends_early(path: Path) -> bool:
    """Whether the container promises more than the file holds. Reads it all, decodes nothing."""
    with opened(path) as container:
        end = 0.0
        for count, packet in enumerate(container.demux()):
            if packet.is_corrupt:
                return True
            if count >= MAX_PACKETS:
                raise BadMedia(f"the file holds more than {MAX_PACKETS} packets")
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return end + 1.0 < _seconds(container)
