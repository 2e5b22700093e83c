from pathlib import Path

import pytest

from reelay.media.errors import BadMedia
from reelay.media.sniff import HEAD_BYTES, MediaKind, sniff, sniff_file

CONTENT_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "png": "image/png",
    "jpg": "image/jpeg",
}


@pytest.mark.parametrize(("extension", "content_type"), CONTENT_TYPES.items())
def test_real_files_are_known_by_their_first_bytes(extension: str, content_type: str, samples: dict[str, Path]) -> None:
    found = sniff(samples[extension].read_bytes()[:HEAD_BYTES])
    assert (found.content_type, found.extension) == (content_type, extension)
    assert found.kind == content_type.partition("/")[0]


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"GIF89a\x01\x00", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
    ],
)
def test_formats_by_their_signature(head: bytes, content_type: str) -> None:
    assert sniff(head).content_type == content_type


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b" \r\n",
        b"<!DOCTYPE html><title>Sign in</title>",
        b"\xef\xbb\xbf  <html>",
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        b'{"detail": "not found"}',
        b"[]",
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\x00\x00\x00\x00CDXA",
        b"\xff\xfe<\x00h\x00",
        b"PK\x03\x04",
        b"\x7fELF",
        bytes(100),
    ],
)
def test_what_is_not_media_is_refused(head: bytes) -> None:
    with pytest.raises(BadMedia):
        sniff(head)


def test_a_container_without_pictures_is_sound(samples: dict[str, Path]) -> None:
    sound = sniff(samples["webm"].read_bytes()[:HEAD_BYTES]).without_picture()
    assert (sound.content_type, sound.extension, sound.kind) == ("audio/webm", "weba", MediaKind.AUDIO)


@pytest.mark.parametrize(
    ("head", "name", "content_type", "extension"),
    [
        (b"PK\3\4....", "mesh.zip", "application/zip", "zip"),
        (b"PK\3\4....", "shape.usdz", "application/zip", "usdz"),
        (b"glTF\2\0\0\0", "", "model/gltf-binary", "glb"),
        (b"\x80\0\0\0\0\0\0\0{", "lora.SAFETENSORS", "application/octet-stream", "safetensors"),
        (b'{"a": 1}', "", "application/json", "json"),
        (b"ply\nformat ascii", "points", "application/octet-stream", "bin"),
        (b"v 0 0 0", "../../evil.sh;rm", "application/octet-stream", "bin"),
    ],
)
def test_what_is_no_media_keeps_its_ending(head: bytes, name: str, content_type: str, extension: str) -> None:
    found = sniff_file(head, name=name)
    assert (found.content_type, found.extension, found.kind) == (content_type, extension, MediaKind.FILE)


@pytest.mark.parametrize(
    "head", [b"", b"<!DOCTYPE html><title>Sign in", b"<html>", b"<?xml version='1.0'?><Error><Code>"]
)
def test_a_page_in_a_files_place_is_no_file(head: bytes) -> None:
    with pytest.raises(BadMedia):
        sniff_file(head, name="mesh.glb")


@pytest.mark.parametrize("head", [b"<svg xmlns='http://www.w3.org'>", b"<?xml version='1.0'?>\n<!-- a -->\n<svg"])
def test_a_drawing_is_an_image_that_no_browser_runs(head: bytes) -> None:
    found = sniff_file(head, name="logo")
    assert (found.content_type, found.extension, found.kind) == ("application/octet-stream", "svg", MediaKind.IMAGE)
