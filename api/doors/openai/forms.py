"""Bodies as OpenAI's clients send them: JSON, or a form (RFC 7578), which they prefer whatever is in it.

In a form all values are texts, and an object's members are fields of their own: `input_reference[image_url]`.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any

from fastapi import Request

from api.assets.schemas import asset_uri
from api.assets.uploads import FILE, file_problems, keep_new
from api.context import RequestContext
from api.http.problems import InvalidParams, PayloadTooLarge
from reelay.domain.messages import Sentence
from reelay.media.archive import plain_name
from reelay.media.saving import save
from reelay.providers.strict_json import parse_json

LARGEST_BODY = 50 * 1024 * 1024
"""Bytes: it is held in memory. OpenAI takes pictures of 50 MB and recordings of 25 MB."""
MEMBER = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")
LINE_END = b"\r\n"


@dataclass(frozen=True)
class SentFile:
    name: str | None
    content_type: str
    content: bytes


async def body_of(request: Request) -> dict[str, Any]:
    """Its fields; a file is a `SentFile`. Raises: InvalidParams, PayloadTooLarge."""
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > LARGEST_BODY:
            raise PayloadTooLarge(Sentence("body_too_large", most=LARGEST_BODY))
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        return fields_in(content_type, bytes(received))
    try:
        body = parse_json(bytes(received))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InvalidParams(Sentence("body_not_json"))
    return body


def fields_in(content_type: str, body: bytes) -> dict[str, Any]:
    """Raises: InvalidParams."""
    boundary = str(_header("content-type", content_type).get_param("boundary", ""))
    if not boundary or not boundary.isascii():
        raise InvalidParams(Sentence("form_invalid", field=FILE))
    fields: dict[str, Any] = {}
    for part in (LINE_END + body).split(LINE_END + b"--" + boundary.encode())[1:-1]:
        head, _, content = part.removeprefix(LINE_END).partition(LINE_END * 2)
        lines = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode(errors="replace").splitlines())
        }
        disposition = _header("content-disposition", lines.get("content-disposition", ""))
        name = str(disposition.get_param("name", "", header="content-disposition"))
        file_name = disposition.get_filename()
        if file_name is None:
            _set(fields, name, content.decode(errors="replace"))
        else:
            kind = lines.get("content-type", "application/octet-stream")
            fields[name] = SentFile(plain_name(file_name), kind, content)
    return fields


def _set(fields: dict[str, Any], name: str, value: str) -> None:
    if member := MEMBER.fullmatch(name):
        inner = fields.setdefault(member[1], {})
        if isinstance(inner, dict):
            inner[member[2]] = value
    else:
        fields[name] = value


def scalar(value: Any) -> Any:
    """A form's text as the number or the flag that it spells."""
    if isinstance(value, str):
        with suppress(ValueError):
            spelled = json.loads(value)
            if isinstance(spelled, bool | int | float):
                return spelled
    return value


async def as_asset(context: RequestContext, sent: SentFile) -> str:
    """The file as one of the caller's, and what an input takes for it. Raises: InvalidParams, Conflict, RateLimited."""
    services = context.services

    async def pieces() -> Any:
        yield sent.content

    with file_problems(services), services.storage.scratch() as folder:
        saved = await save(pieces(), folder / FILE, max_bytes=LARGEST_BODY)
        kept = await keep_new(context, saved, file_name=sent.name, content_type=sent.content_type[:100])
    return asset_uri(kept.id)


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    return message
