"""Which files of an answer the provider's safety check has flagged: they may be black or blurred."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from reelay.domain.answers import is_echo
from reelay.domain.generation import RemoteMedia
from reelay.providers.media_mapping import MAX_DEPTH, media_of

FLAGS = frozenset({"has_nsfw_concepts", "has_nsfw_concept", "nsfw_content_detected", "nsfw_detected", "is_nsfw"})


def with_safety_flags(media: Iterable[RemoteMedia], answer: Any) -> tuple[RemoteMedia, ...]:
    """The media, marked as the answer says of each. Never raises.

    A flag is `true`, which holds for all files of the object that it stands in, or a list: item by item for a list of
    files beside it that is as long, else for all of them.
    """
    flagged = set(_flagged(answer, MAX_DEPTH))
    return tuple(replace(each, flagged=True) if each.url in flagged else each for each in media)


def _flagged(value: Any, levels: int) -> Iterator[str]:
    """Addresses."""
    if levels == 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from _flagged(item, levels - 1)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name in FLAGS:
                yield from _flagged_by(part, value)
            elif not is_echo(name):
                yield from _flagged(part, levels - 1)


def _flagged_by(flag: Any, beside: dict[str, Any]) -> Iterator[str]:
    verdicts = [item is True for item in flag] if isinstance(flag, list) else [flag is True]
    if not any(verdicts):
        return
    same_length = [part for part in beside.values() if isinstance(part, list) and len(part) == len(verdicts)]
    listed = [files for files in same_length if media_of(files)] if isinstance(flag, list) else []
    named = [item for files in listed for item, verdict in zip(files, verdicts, strict=True) if verdict]
    for media in media_of(named or beside):
        yield media.url
