"""Real media, made here, a few KB each."""

import math
import struct
import zlib
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream


def make_video(
    path: Path, *, codec: str = "libx264", seconds: int = 2, width: int = 320, faststart: bool = False
) -> Path:
    """At 25 frames a second, from black (luma 16) brighter by 4 with every frame."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, 180, "yuv420p"
        for index in range(seconds * 25):
            frame = av.VideoFrame(width, 180, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([16 + 4 * index]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_sound(path: Path, *, codec: str) -> Path:
    """One second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24_000)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame(format=stream.format.name, layout="mono", samples=960)
        frame.sample_rate = 24_000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for index in range(25):
            frame.pts = index * 960
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_tone(
    path: Path, *, seconds: float, hertz: float, level: float = 0.2, codec: str = "pcm_s16le", rate: int = 24_000
) -> Path:
    """A sine in mono, as `wav`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        count = round(seconds * rate)
        wave = [round(32767 * level * math.sin(2 * math.pi * hertz * index / rate)) for index in range(count)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        frame.sample_rate = rate
        frame.planes[0].update(struct.pack(f"<{count}h", *wave).ljust(frame.planes[0].buffer_size, b"\0"))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_song_with_cover(path: Path, cover: Path) -> Path:
    with av.open(str(cover), "r") as picture, av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=24_000)
        image = container.add_stream_from_template(picture.streams.video[0])
        image.disposition = Disposition.attached_pic
        frame = av.AudioFrame(format="s16p", layout="mono", samples=1152)
        frame.sample_rate = 24_000
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        packet = next(picture.demux(video=0))
        packet.stream = image
        container.mux(packet)
    return path


def make_picture(path: Path) -> Path:
    frame = av.VideoFrame(300, 200, "rgb24")
    frame.planes[0].update(
        bytes(range(256)) * (frame.planes[0].buffer_size // 256) + bytes(frame.planes[0].buffer_size % 256)
    )
    frame.save(path)
    return path


def make_bomb(path: Path, side: int) -> Path:
    """A PNG of a few KB whose header promises `side` times `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * side) * 20)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def make_giant_frames(path: Path, *, side: int = 8192) -> Path:
    """120 PNG frames of `side` times `side` pixels within a tenth of a second: seconds of work each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=1000)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = side, side, "rgb24"
        (packet,) = [*stream.encode(av.VideoFrame(side, side, "rgb24")), *stream.encode(None)]
        content = bytes(packet)
        for index in range(120):
            repeated = av.Packet(content)
            repeated.stream, repeated.time_base = stream, packet.time_base
            repeated.pts = repeated.dts = index
            container.mux(repeated)
    return path


def make_promise_of_samples(path: Path, count: int, *, size: int = 1) -> Path:
    """An MP4 of a few hundred bytes whose one chunk holds `count` samples of `size` bytes, or so it says."""

    def box(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I4s", 8 + len(body), name) + body

    def full(name: bytes, *parts: bytes) -> bytes:
        return box(name, bytes(4), *parts)

    entry = box(
        b"avc1",
        struct.pack(">6xH16xHHII4xH32xHh", 1, 320, 180, 0x480000, 0x480000, 1, 24, -1),
    )
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), entry),
        full(b"stts", struct.pack(">III", 1, count, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        full(b"stsz", struct.pack(">II", size, count)),
        full(b"stco", struct.pack(">II", 1, 28)),
    )
    reference = box(b"dinf", full(b"dref", struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
    media = box(
        b"mdia",
        full(b"mdhd", struct.pack(">IIIII", 0, 0, 1000, count, 0)),
        full(b"hdlr", bytes(4), b"vide", bytes(13)),
        box(b"minf", full(b"vmhd", bytes(8)), reference, table),
    )
    track = box(b"trak", full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, count), bytes(60)), media)
    header = full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, count), bytes(80))
    start = box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", header, track)
    path.write_bytes(start)
    return path


def turned(video: Path, path: Path, degrees: int) -> Path:
    """The same video with a display matrix, as phones write it."""
    with av.open(str(video)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(degrees)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def with_orientation(picture: Path, path: Path, orientation: int) -> Path:
    """The same JPEG with an EXIF orientation, as cameras write it."""
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    content = picture.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    return path


def make_animated_webp(path: Path, width: int, height: int) -> Path:
    """As far as its canvas is told."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks)
    return path


def make_live_webm(path: Path) -> Path:
    """Two seconds, of which the container does not tell: it was written while they were recorded."""
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(50):
            container.mux(stream.encode(av.VideoFrame(320, 180, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def with_id3(sound: Path, path: Path, size: int = 3000) -> Path:
    """Behind a tag of that many bytes."""
    seven_bits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x04\0\0" + seven_bits + bytes(size) + sound.read_bytes())
    return path


def make_animated_png(path: Path) -> Path:
    with av.open(str(path), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for shade in range(3):
            frame = av.VideoFrame(64, 48, "rgb24")
            frame.planes[0].update(bytes([80 * shade]) * frame.planes[0].buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
