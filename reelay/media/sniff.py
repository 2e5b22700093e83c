"""What a file is, by its first bytes. What the provider declares is not asked.

Raw PCM has no first bytes to know it by: it is no media, like anything else that is not listed here.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from reelay.media.errors import BadMedia

HEAD_BYTES = 512
"""As much of a file as `sniff` wants to see."""
ID3_HEAD_BYTES = 10


class MediaKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    FILE = "file"
    """Anything that is not played or shown: an archive, a 3D model, weights, a document."""


@dataclass(frozen=True, kw_only=True)
class SniffedType:
    content_type: str
    extension: str
    """Without the dot."""
    kind: MediaKind

    def without_picture(self) -> "SniffedType":
        """What to call a file of this type that turns out to hold sound alone."""
        if self.kind is not MediaKind.VIDEO:
            return self
        content_type = self.content_type.replace("video/", "audio/")
        return replace(
            self,
            content_type=content_type,
            extension=SOUND_ONLY.get(self.extension, self.extension),
            kind=MediaKind.AUDIO,
        )


def _video(content_type: str, extension: str) -> SniffedType:
    return SniffedType(content_type=content_type, extension=extension, kind=MediaKind.VIDEO)


def _audio(content_type: str, extension: str) -> SniffedType:
    return SniffedType(content_type=content_type, extension=extension, kind=MediaKind.AUDIO)


def _image(content_type: str, extension: str) -> SniffedType:
    return SniffedType(content_type=content_type, extension=extension, kind=MediaKind.IMAGE)


MP4 = _video("video/mp4", "mp4")
WEBM = _video("video/webm", "webm")
MATROSKA = _video("video/x-matroska", "mkv")
MP3 = _audio("audio/mpeg", "mp3")
AAC = _audio("audio/aac", "aac")
AIFF = _audio("audio/aiff", "aiff")
MPEG_TS = _video("video/mp2t", "ts")
TS_PACKET, TS_SYNC = 188, 0x47

SVG = _image("application/octet-stream", "svg")
"""Its own type would let a browser run what is in it."""
DRAWING = re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg([\s>]|$)", re.DOTALL)

SOUND_ONLY = {"mp4": "m4a", "webm": "weba", "mkv": "mka"}

BY_FIRST_BYTES = {
    b"\x89PNG\r\n\x1a\n": _image("image/png", "png"),
    b"\xff\xd8\xff": _image("image/jpeg", "jpg"),
    b"GIF87a": _image("image/gif", "gif"),
    b"GIF89a": _image("image/gif", "gif"),
    b"ID3": MP3,
    b"OggS": _audio("audio/ogg", "ogg"),
    b"fLaC": _audio("audio/flac", "flac"),
}
BY_RIFF_FORM = {
    b"WAVE": _audio("audio/wav", "wav"),
    b"WEBP": _image("image/webp", "webp"),
    b"AVI ": _video("video/x-msvideo", "avi"),
}
BY_FTYP_BRAND = {
    b"qt  ": _video("video/quicktime", "mov"),
    b"M4A ": _audio("audio/mp4", "m4a"),
    b"avif": _image("image/avif", "avif"),
}


OTHER_FILES = {
    b"PK\x03\x04": ("application/zip", "zip"),
    b"glTF": ("model/gltf-binary", "glb"),
    b"%PDF-": ("application/pdf", "pdf"),
    b"\x1f\x8b": ("application/gzip", "gz"),
    b"{": ("application/json", "json"),
    b"[": ("application/json", "json"),
}
"""Content types that a browser runs nothing in; whatever else is served as bytes."""
ENDING = re.compile(r"\.([a-z0-9]{1,11})$")
PAGE = re.compile(rb"<(!doctype html|html|head|body|error|\?xml[^>]*>\s*<error)", re.IGNORECASE)


def sniff(head: bytes) -> SniffedType:
    """The type of a media file that starts with `head` (its first `HEAD_BYTES`). Raises: BadMedia."""
    found = _by_signature(head) or _by_audio_frame(head)
    if found is None:
        raise BadMedia(f"{_describe(head)}, not media")
    return found


def sniff_file(head: bytes, *, name: str) -> SniffedType:
    """The type of any file; of one that is no media, with the ending of its `name`. Raises: BadMedia, for a page that a
    server sent in a file's place, and for an empty file."""
    if found := _by_signature(head) or _by_audio_frame(head):
        return found
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if DRAWING.match(text):
        return SVG
    if not text or PAGE.match(text):
        raise BadMedia(f"{_describe(head)}, not a file")
    content_type, extension = next(
        (known for signature, known in OTHER_FILES.items() if text.startswith(signature)),
        ("application/octet-stream", "bin"),
    )
    ending = ENDING.search(name.lower())
    return SniffedType(content_type=content_type, extension=ending[1] if ending else extension, kind=MediaKind.FILE)


def head_of(path: Path) -> bytes:
    """As much of the file as `sniff` wants to see; of sound behind a tag, of the sound."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if head[:3] != b"ID3" or len(head) < ID3_HEAD_BYTES:
            return head
        file.seek(_end_of_id3(head))
        behind = file.read(HEAD_BYTES)
    with suppress(BadMedia):
        return behind if sniff(behind).kind is MediaKind.AUDIO else head
    return head


def _end_of_id3(head: bytes) -> int:
    """Its size has seven bits a byte, and does not count its head, nor the foot that a flag tells of."""
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return ID3_HEAD_BYTES * (2 if head[5] & 0x10 else 1) + size


def _by_signature(head: bytes) -> SniffedType | None:
    if head[4:8] == b"ftyp":
        return BY_FTYP_BRAND.get(head[8:12], MP4)
    if head[:4] in (b"RIFF", b"RF64"):
        return BY_RIFF_FORM.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if len(head) > 2 * TS_PACKET and all(head[place] == TS_SYNC for place in (0, TS_PACKET, 2 * TS_PACKET)):
        return MPEG_TS
    if head[:4] == b"\x1aE\xdf\xa3":  # EBML; its document type follows within the first header
        return WEBM if b"webm" in head[:64] else MATROSKA
    return next((found for signature, found in BY_FIRST_BYTES.items() if head.startswith(signature)), None)


def _by_audio_frame(head: bytes) -> SniffedType | None:
    """MPEG audio without a tag: eleven set bits, then layer III with a possible bit rate and sample rate; or ADTS."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return AAC
    is_layer_three = head[1] & 0xE6 == 0xE2
    return MP3 if is_layer_three and head[2] >> 4 != 0xF and head[2] >> 2 & 3 != 3 else None


def _describe(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return "an empty file"
    if text[:1] == b"<":
        return "a page (HTML, XML or SVG)"
    return "JSON" if text[:1] in (b"{", b"[") else "an unknown format"
