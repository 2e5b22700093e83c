"""Where the media is in a provider's answer: the one mapping that webhooks and polls share.

An address counts only where an output is known to stand:

- an object with an address of its own (`url`, `video_url`, `videoUrl`, `file_url`, `signed_url`, `download_url`; the
  first of them, they name the same file), wherever it stands: `video.url`, `images[].url`, `file.url`,
  `data.output[0].video_url`;
- a bare string, alone or in lists, as the whole answer or under a name of `OUTPUTS`: `"https://..."`,
  `{"images": ["https://..."]}`, `{"output": "https://..."}`.

What a model echoes is never entered: its inputs (`INPUTS`, and names that start with `input` or `reference`), its
texts and its errors (a validation error has a `url` of its own). `image_url` and `audio_url` name inputs in fal's
catalogue and no output; they are no addresses here. So a transcript that quotes a link has no media.

What the schema of an endpoint says of its answer is looked up by `media_at`. A file may stand in the answer itself, as
a data URI.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from reelay.domain.answers import ADDRESSES, OUTPUTS, is_echo
from reelay.domain.generation import RemoteMedia

RANK = {name: place for place, name in enumerate(OUTPUTS)}
STEP = re.compile(r"\[\]|\*|[^.\[\]*?]+")
HEX = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
"""Bytes enough for the smallest file; a shorter text is an id, perhaps."""
DATA_URI = re.compile(r"data:[a-zA-Z0-9.+/-]*(;[a-zA-Z0-9.=+-]+)*;base64,")
LONGEST_KEPT, KEPT = 2000, 40
SHORTENED = re.compile(r"[0-9a-fA-F]{40}… \(\d+ characters, sha256 [0-9a-f]{64}\)")
"""What is kept of a file in hexadecimal."""
MAX_DEPTH = 10
MAX_FILES = 64
MAX_URL_LENGTH = 8192
MAX_LABEL_LENGTH = 255


def media_of(answer: Any, *, output_alone: bool = False) -> tuple[RemoteMedia, ...]:
    """The http(s) files of an answer, each URL once, videos first, at most 64. Never raises.

    `output_alone`: the answer is known to hold what the model made and nothing else, so that a bare string counts under
    any name that is not of a text.
    """
    return _distinct(_found(answer, MAX_DEPTH, is_output=True, any_name=output_alone))


def media_at(answer: Any, paths: Sequence[str]) -> tuple[RemoteMedia, ...]:
    """The files at those places of an answer, see `reelay.catalog.outputs`; at most 64. Never raises."""
    return _distinct(media for path in paths for value in _at(answer, path) if (media := _file_in(value)) is not None)


def without_files(value: Any) -> Any:
    """The answer with the files that stand in it shortened to what they are: they are kept as files."""
    match value:
        case dict():
            return {name: without_files(part) for name, part in value.items()}
        case list():
            return [without_files(part) for part in value]
        case str(text) if len(text) > LONGEST_KEPT and (DATA_URI.match(text) or HEX.fullmatch(text)):
            # By the hash, files that begin alike are told apart.
            return f"{text[:KEPT]}… ({len(text)} characters, sha256 {sha256(text.encode()).hexdigest()})"
    return value


def _distinct(found: Iterable[RemoteMedia]) -> tuple[RemoteMedia, ...]:
    seen: dict[str, RemoteMedia] = {}
    for media in found:
        seen.setdefault(media.url, media)
        if len(seen) == MAX_FILES:
            break
    return tuple(seen.values())


def _at(answer: Any, path: str) -> list[Any]:
    values = [answer]
    for step in STEP.findall(path):
        match step:
            case "[]":
                values = [item for value in values if isinstance(value, list) for item in value]
            case "*":
                values = [member for value in values if isinstance(value, dict) for member in value.values()]
            case _:
                values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values


def _file_in(value: Any) -> RemoteMedia | None:
    if isinstance(value, dict):
        return _own_file(value)
    url = file_address(value) if isinstance(value, str) else None
    return RemoteMedia(url=url) if url else None


def file_address(text: str) -> str | None:
    """By which a file is told that stands in an answer, or in what was kept of it; None for any other text."""
    if SHORTENED.fullmatch(text):
        return text
    return address_in(text) or (data_uri(text) if HEX.fullmatch(text) else None)


def data_uri(text: str) -> str | None:
    """The bytes that a text spells in hexadecimal; what they are is told by themselves."""
    try:
        return f"data:;base64,{b64encode(bytes.fromhex(text)).decode()}"
    except ValueError:
        return None


def _found(value: Any, levels: int, *, is_output: bool, any_name: bool) -> Iterator[RemoteMedia]:
    if levels == 0:
        return
    if is_output and (url := address_in(value)):
        yield RemoteMedia(url=url)
    elif isinstance(value, list):
        for item in value:
            yield from _found(item, levels - 1, is_output=is_output, any_name=any_name)
    elif isinstance(value, dict):
        if (file := _own_file(value)) is not None:
            yield file
        for name in _entered(value):
            yield from _found(value[name], levels - 1, is_output=any_name or name in RANK, any_name=any_name)


def _own_file(item: dict[Any, Any]) -> RemoteMedia | None:
    for name in ADDRESSES:
        if url := address_in(item.get(name)):
            return RemoteMedia(
                url=url, content_type=_label(item.get("content_type")), file_name=_label(item.get("file_name"))
            )
    return None


def _entered(item: dict[Any, Any]) -> list[str]:
    outputs = (name for name in item if isinstance(name, str) and not is_echo(name))
    return sorted(outputs, key=lambda name: (RANK.get(name, len(RANK)), name))


def address_in(value: object) -> str | None:
    """A web address, its spaces encoded, or a data URI; None for any other value."""
    if not isinstance(value, str):
        return None
    if value.startswith("data:"):
        return value if DATA_URI.match(value) else None
    return web_url_in(value)


def web_url_in(text: str) -> str | None:
    """A web address, its spaces encoded; None for any other text."""
    url = text.strip(" ").replace(" ", "%20")
    if len(url) > MAX_URL_LENGTH or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        return url if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _label(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_LABEL_LENGTH else None
