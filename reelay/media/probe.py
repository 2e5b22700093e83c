"""Probing a media file: duration, size, and a picture of it.

FFmpeg reads the file through PyAV and is told to open no other file, no network and no playlist. It is C that parses
what strangers made, and it blocks: the product calls it in a process of its own alone (`decoder_pool.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import av.error
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
DEMUXERS = "mov,matroska,avi,wav,mp3,ogg,flac,aac,gif,png_pipe,jpeg_pipe,webp_pipe,image2"
POSTER_MAX_WIDTH = 1280
POSTER_MAX_FRAMES = 120
"""Decoded in search of the poster's frame: two seconds at 60 frames per second."""
POSTER_MAX_PIXELS = 2 * MAX_PIXELS
"""Decoded in search of it, all frames together: 64 frames of 1080p, 16 of 4K, two of the largest."""
MICROSECONDS = 1_000_000


def inspect(path: Path, *, poster: Path | None = None, check_end: bool = False) -> Inspection:
    """What the file holds. Pictures of more than `MAX_PIXELS` are refused before they are decoded.

    `poster`: where to write a JPEG of the moment a tenth into the clip, at most a second in, at most `POSTER_MAX_WIDTH`
    wide; none is written when no frame there can be decoded or there is no room. `check_end`: also read the file to its
    end, for one whose length nobody announced. Raises: BadMedia, MemoryError.
    """
    with _opened(path) as container:
        picture = _picture(container)
        if picture is None and not container.streams.audio:
            raise BadMedia("the file holds neither pictures nor sound")
        duration = max(_seconds(container), 0) or None
        if picture is None:
            found = Inspection(has_picture=False, duration_seconds=duration)
        elif picture.codec_context is None:
            found = Inspection(has_picture=True, duration_seconds=duration)
        else:
            _check_size(picture)
            found = Inspection(
                has_picture=True,
                duration_seconds=duration,
                width=picture.width,
                height=picture.height,
                has_poster=poster is not None and _make_poster(container, picture, poster),
            )
    if check_end and _ends_early(path):
        raise BadMedia("the file ends before its container says so")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
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


def _picture(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not the cover of a song."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _check_size(picture: VideoStream) -> None:
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        # FFmpeg leaves 0 x 0 when `max_pixels` forbade it to decode a header's promise, or nothing could be decoded.
        raise BadMedia(f"no readable picture of at most {MAX_PIXELS} pixels")


def _make_poster(container: InputContainer, picture: VideoStream, to: Path) -> bool:
    try:
        frame = _frame_at(container, picture, min(_seconds(container) / 10, 1.0))
        if frame is None:
            return False
        _shrunk(frame).save(to)
    except (av.error.FFmpegError, MemoryError):
        return False
    return True


def _frame_at(container: InputContainer, picture: VideoStream, seconds: float) -> VideoFrame | None:
    picture.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # Frames that no other frame needs are not decoded on the way: 7 ms instead of 10.5 for 720p.
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
    with _opened(path) as container:
        end = 0.0
        for count, packet in enumerate(container.demux()):
            if packet.is_corrupt:
                return True
            if count >= MAX_PACKETS:
                raise BadMedia(f"the file holds more than {MAX_PACKETS} packets")
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return end + 1.0 < _seconds(container)
