"""Real media, made once and kept, and one distinct playable file per request out of it."""

import io
import json
import math
import os
import random
import struct
import wave
import zipfile
import zlib
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT = 1280, 720
FRAMES_PER_SECOND = 24
SECONDS = 3
SAMPLE_RATE = 24_000
AAC_FRAME = 1024
BARS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192))
OPAQUE = 255
GRAIN, GRAIN_HEIGHT = 16, 96
VIDEO_CODECS = ("libx264", "mpeg4")


class Medium(Enum):
    """A kind of sample: its file name as fal gives it, and its content type."""

    VIDEO = ("output.mp4", "video/mp4")
    AUDIO = ("output.wav", "audio/wav")
    IMAGE = ("output.png", "image/png")
    SHAPE = ("model.glb", "model/gltf-binary")
    ARCHIVE = ("mesh.zip", "application/zip")
    WEIGHTS = ("lora.safetensors", "application/octet-stream")

    def __init__(self, file_name: str, content_type: str) -> None:
        self.file_name = file_name
        self.content_type = content_type


MADE = (Medium.VIDEO, Medium.AUDIO, Medium.IMAGE)


class Samples:
    """The sample files, in memory."""

    def __init__(self, folder: Path) -> None:
        self._content = {medium: _made_once(medium, folder / medium.file_name) for medium in MADE}

    def file(self, medium: Medium, label: str) -> bytes:
        """A playable file that differs from that of any other label, and is always the same for one label."""
        text = label.encode("ascii")
        match medium:
            case Medium.SHAPE:
                return _shape(label)
            case Medium.ARCHIVE:
                return _archive(label)
            case Medium.WEIGHTS:
                return _weights(label)
        content = self._content[medium]
        match medium:
            case Medium.VIDEO:
                return content + struct.pack(">I4s", 8 + len(text), b"free") + text
            case Medium.AUDIO:
                return _with_riff_chunk(content, text)
            case Medium.IMAGE:
                return _with_png_text(content, text)
        raise AssertionError(medium)


def _shape(label: str) -> bytes:
    """A binary glTF file with nothing in it but its name."""
    text = json.dumps({"asset": {"version": "2.0", "generator": label}}).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text


def _archive(label: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mesh.obj"), f"# {label}\nv 0 0 0\n")
    return buffer.getvalue()


def _weights(label: str) -> bytes:
    """A safetensors file without tensors."""
    header = json.dumps({"__metadata__": {"made_for": label}}).encode()
    return struct.pack("<Q", len(header)) + header


def _made_once(medium: Medium, path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Simulators may start side by side: each writes its own file, and the last rename wins.
        draft = path.with_stem(f"{path.stem}-{os.getpid()}")
        {Medium.VIDEO: make_video, Medium.AUDIO: make_audio, Medium.IMAGE: make_image}[medium](draft)
        draft.replace(path)
    return path.read_bytes()


def make_video(path: Path) -> None:
    """Colour bars that move and a tone: H.264 and AAC where this build of FFmpeg has them."""
    codec = next(name for name in VIDEO_CODECS if name in av.codecs_available)
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(codec, rate=FRAMES_PER_SECOND)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 1_000_000
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        assert isinstance(audio, av.AudioStream)
        for frame in _pictures():
            container.mux(video.encode(frame))
        for sound in _sounds():
            container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())


def make_audio(path: Path) -> None:
    """A tone, 16 bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(b"".join(struct.pack("<h", int(32767 * level)) for level in _tone()))


def make_image(path: Path) -> None:
    """The first picture of the video."""
    next(_pictures()).save(path)


def _pictures() -> Iterator[av.VideoFrame]:
    bar = WIDTH // len(BARS) + 1
    bars = b"".join(bytes((*colour, OPAQUE)) * bar for colour in BARS)[: WIDTH * 4]
    dice = random.Random(0)
    for number in range(SECONDS * FRAMES_PER_SECOND):
        shift = number * 8 % WIDTH * 4
        moved = bars[shift:] + bars[:shift]
        picture = moved * (HEIGHT - GRAIN_HEIGHT) + b"".join(_grain(dice))
        frame = av.VideoFrame.from_bytes(picture, WIDTH, HEIGHT, "rgba")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


def _grain(dice: random.Random) -> Iterator[bytes]:
    """Grey squares that no codec can foresee: they give the file the weight of a real one."""
    for _ in range(GRAIN_HEIGHT // GRAIN):
        line = b"".join(bytes((grey, grey, grey, OPAQUE)) * GRAIN for grey in dice.randbytes(WIDTH // GRAIN))
        yield line * GRAIN


def _sounds() -> Iterator[av.AudioFrame]:
    levels = list(_tone())
    for start in range(0, len(levels) - AAC_FRAME, AAC_FRAME):
        frame = av.AudioFrame("fltp", "mono", AAC_FRAME)
        frame.planes[0].update(struct.pack(f"<{AAC_FRAME}f", *levels[start : start + AAC_FRAME]))
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield frame


def _tone() -> Iterator[float]:
    """440 Hz that swells twice a second, from -0.3 to 0.3."""
    for sample in range(SECONDS * SAMPLE_RATE):
        time = sample / SAMPLE_RATE
        yield 0.3 * math.sin(2 * math.pi * 440 * time) * math.sin(2 * math.pi * time) ** 2


def rotated(video: bytes) -> bytes:
    """The same MP4 to be played turned by a quarter: with another display matrix in the header of its first track."""
    start = video.index(b"tkhd") - 4
    (size,) = struct.unpack_from(">I", video, start)
    end = start + size - 8  # behind the matrix stand width and height
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)
    return video[: end - len(matrix)] + matrix + video[end:]


def _with_riff_chunk(content: bytes, text: bytes) -> bytes:
    body = content[8:] + struct.pack("<4sI", b"JUNK", len(text)) + text + b"\0" * (len(text) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _with_png_text(content: bytes, text: bytes) -> bytes:
    chunk = b"tEXtComment\0" + text
    end = content[-12:]  # IEND: four bytes each of length, type and checksum
    return content[:-12] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end
