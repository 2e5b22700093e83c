"""Probing a media file: duration, size, and a picture of it.

FFmpeg reads the file through PyAV and is told to open no other file, no network and no playlist. All of it blocks: run
it with `asyncio.to_thread`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelay.media.errors import BadMedia

MAX_PIXELS = 8192 * 8192
"""Of one picture. One decoded frame of this size takes 100-270 MB."""
DEMUXERS = "mov,matroska,avi,wav,mp3,ogg,flac,aac,gif,png_pipe,jpeg_pipe,webp_pipe,image2"
POSTER_MAX_WIDTH = 1280
POSTER_MAX_FRAMES = 120
"""Decoded in search of the poster's frame: two seconds at 60 frames per second."""
MICROSECONDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Probe:
    """None where the file has no such thing: sound has no width, a picture no duration."""

    duration_seconds: float | None
    width: int | None
    height: int | None


def probe(path: Path) -> Probe:
    """Raises: BadMedia, also for pictures of more than `MAX_PIXELS`, which are not decoded."""
    with _opened(path) as container:
        duration = container.duration / MICROSECONDS if container.duration else None
        picture = _picture(container)
        if picture is not None:
            _check_size(picture)
            return Probe(duration_seconds=duration, width=picture.width, height=picture.height)
        if not container.streams.audio:
            raise BadMedia("the file holds neither pictures nor sound")
        return Probe(duration_seconds=duration, width=None, height=None)


def poster(path: Path, to: Path) -> Path | None:
    """Write a JPEG, at most `POSTER_MAX_WIDTH` wide, of the moment a tenth into the clip, at most a second in.

    None when no frame there can be decoded or there is no room to write it. Raises: BadMedia.
    """
    with _opened(path) as container:
        picture = _picture(container)
        if picture is None:
            return None
        _check_size(picture)
        try:
            frame = _frame_at(container, picture, min((container.duration or 0) / MICROSECONDS / 10, 1.0))
            if frame is None:
                return None
            _shrunk(frame).save(to)
        except av.error.FFmpegError:
            return None
    return to


def ends_early(path: Path) -> bool:
    """Whether the container promises more than the file holds. Reads it all, decodes nothing. Raises: BadMedia."""
    with _opened(path) as container:
        end = 0.0
        for packet in container.demux():
            if packet.is_corrupt:
                return True
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return end + 1.0 < (container.duration or 0) / MICROSECONDS


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        with av.open(str(path), "r", options=options, metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as error:
        raise BadMedia(f"the file cannot be read as media: {error.strerror}") from error


def _picture(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not the cover of a song."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _check_size(picture: VideoStream) -> None:
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        # FFmpeg leaves 0 x 0 when `max_pixels` forbade it to decode a header's promise, or nothing could be decoded.
        raise BadMedia(f"no readable picture of at most {MAX_PIXELS} pixels")


def _frame_at(container: InputContainer, picture: VideoStream, seconds: float) -> VideoFrame | None:
    picture.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # Frames that no other frame needs are not decoded on the way: 7 ms instead of 10.5 for 720p.
    picture.codec_context.skip_frame = "NONREF"
    # For a handful of frames, threads cost more than they bring: 1 ms, and one is started for each core.
    picture.codec_context.thread_count = 1
    if seconds > 0:
        container.seek(int(seconds * MICROSECONDS))
    found = None
    for _, frame in zip(range(POSTER_MAX_FRAMES), container.decode(picture), strict=False):
        found = frame
        if frame.time is None or frame.time >= seconds:
            break
    return found


def _shrunk(frame: VideoFrame) -> VideoFrame:
    if frame.width <= POSTER_MAX_WIDTH:
        return frame
    height = max(2, round(frame.height * POSTER_MAX_WIDTH / frame.width / 2) * 2)
    return frame.reformat(width=POSTER_MAX_WIDTH, height=height)
