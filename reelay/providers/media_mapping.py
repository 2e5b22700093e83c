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
"""

from collections.abc import Iterator
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from reelay.domain.generation import RemoteMedia

# In the order in which their files are reported. The order of keys means nothing: jsonb does not keep it.
OUTPUTS = (
    "video", "videos", "audio", "image", "images", "file", "files",
    "output", "outputs", "result", "results", "payload", "data",
)  # fmt: skip
RANK = {name: place for place, name in enumerate(OUTPUTS)}
ADDRESSES = ("url", "video_url", "videoUrl", "file_url", "signed_url", "download_url")
INPUTS = frozenset({"prompt", "negative_prompt", "arguments", "parameters", "params", "request", "loras"})
TEXTS = frozenset(
    {"text", "chunks", "segments", "words", "transcript", "transcription", "diarization_segments", "description"}
)
NOTICES = frozenset({"detail", "error", "errors", "payload_error", "logs", "metrics", "timings", "urls"})
NEVER_ENTERED = INPUTS | TEXTS | NOTICES
ECHO_PREFIXES = ("input", "reference")

MAX_DEPTH = 10
MAX_FILES = 64
MAX_URL_LENGTH = 8192
MAX_LABEL_LENGTH = 255


def media_of(answer: Any, *, output_alone: bool = False) -> tuple[RemoteMedia, ...]:
    """The http(s) files of an answer, each URL once, videos first, at most 64. Never raises.

    `output_alone`: the answer is known to hold what the model made and nothing else, so that a bare string counts under
    any name that is not of a text.
    """
    seen: dict[str, RemoteMedia] = {}
    for media in _found(answer, MAX_DEPTH, is_output=True, any_name=output_alone):
        seen.setdefault(media.url, media)
        if len(seen) == MAX_FILES:
            break
    return tuple(seen.values())


def _found(value: Any, levels: int, *, is_output: bool, any_name: bool) -> Iterator[RemoteMedia]:
    if levels == 0:
        return
    if is_output and is_web_url(value):
        yield RemoteMedia(url=value)
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
        if is_web_url(url := item.get(name)):
            return RemoteMedia(
                url=url, content_type=_label(item.get("content_type")), file_name=_label(item.get("file_name"))
            )
    return None


def _entered(item: dict[Any, Any]) -> list[str]:
    names = (name for name in item if isinstance(name, str) and name not in NEVER_ENTERED)
    outputs = (name for name in names if not name.startswith(ECHO_PREFIXES))
    return sorted(outputs, key=lambda name: (RANK.get(name, len(RANK)), name))


def is_web_url(text: object) -> TypeGuard[str]:
    if not isinstance(text, str) or len(text) > MAX_URL_LENGTH or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _label(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_LABEL_LENGTH else None
