"""fal's storage: a file of ours becomes an address that its models read.

`POST <rest>/storage/upload/initiate?storage_type=fal-cdn-v3` answers `{upload_url, file_url}`; the bytes are PUT to the
first without the key. Over `PART_THRESHOLD` the same in parts, as the official client does.
Source: @fal-ai/client, `storage.ts`.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx

from reelay.providers.errors import NotUploaded, Unavailable
from reelay.providers.exchange import Answer, exchange
from reelay.providers.keyed_api import KeyedApi, json_of
from reelay.providers.provider import OutgoingFile
from reelay.providers.reading import object_of

PART_THRESHOLD = 90 * 1024 * 1024
PART_BYTES = 10 * 1024 * 1024
CALL_TIMEOUT = timedelta(seconds=20)
TRANSFER_TIMEOUT = timedelta(minutes=15)
MAX_ANSWER_BYTES = 64 * 1024


class FalStorage:
    def __init__(self, api: KeyedApi, client: httpx.AsyncClient, base: str) -> None:
        self._api = api
        self._client = client
        self._base = base.rstrip("/")

    async def upload(self, file: OutgoingFile) -> str:
        """The address of the file at fal, which deletes it after its lifetime. Raises: NotUploaded, Unavailable."""
        in_parts = file.size_bytes > PART_THRESHOLD
        body = object_of(
            checked(
                await self._api.ask(
                    "POST",
                    f"{self._base}/storage/upload/initiate{'-multipart' * in_parts}",
                    params={"storage_type": "fal-cdn-v3"},
                    content=json_of({"content_type": file.content_type, "file_name": file.name}),
                    headers={
                        "X-Fal-Object-Lifecycle": json.dumps(
                            {"expiration_duration_seconds": int(file.lifetime.total_seconds())}
                        )
                    },
                    within=CALL_TIMEOUT,
                    at_most=MAX_ANSWER_BYTES,
                )
            )
        )
        upload_url, file_url = body.get("upload_url"), body.get("file_url")
        if not (isinstance(upload_url, str) and isinstance(file_url, str) and self._is_safe(upload_url)):
            raise NotUploaded("fal named no address for an upload")
        if in_parts:
            await self._put_parts(httpx.URL(upload_url), file)
        else:
            await self._send("PUT", upload_url, file.read(), file.size_bytes, file.content_type)
        return file_url

    async def _put_parts(self, url: httpx.URL, file: OutgoingFile) -> None:
        parts: list[dict[str, Any]] = []
        async for part in in_parts_of(file.read(), PART_BYTES):
            number = len(parts) + 1
            place = str(url.copy_with(path=f"{url.path}/{number}"))
            answer = object_of(await self._send("PUT", place, part, len(part), "application/octet-stream"))
            parts.append({"partNumber": number, "etag": answer.get("etag")})
        complete = str(url.copy_with(path=f"{url.path}/complete"))
        body = json_of({"parts": parts})
        await self._send("POST", complete, body, len(body), "application/json")

    async def _send(self, method: str, url: str, content: Any, size: int, content_type: str) -> Answer:
        """Without our key: the address has a signature of its own."""
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        try:
            request = httpx.Request(method, url, content=content, headers=headers)
            return checked(await exchange(self._client, request, within=TRANSFER_TIMEOUT, at_most=MAX_ANSWER_BYTES))
        except httpx.TransportError as error:
            raise Unavailable(f"fal's storage did not answer ({type(error).__name__})") from error

    def _is_safe(self, url: str) -> bool:
        return url.startswith("https://") or self._base.startswith("http://")


def checked(answer: Answer) -> Answer:
    """Raises: NotUploaded, Unavailable."""
    if answer.is_success and not answer.is_cut:
        return answer
    if answer.status in (408, 425, 429) or answer.status >= 500 or answer.is_success:
        raise Unavailable(f"the provider's storage answered HTTP {answer.status}", answer.retry_after)
    raise NotUploaded(f"its storage answered HTTP {answer.status}")


async def in_parts_of(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in parts of that size; the last may be shorter."""
    part = bytearray()
    async for piece in pieces:
        part += piece
        while len(part) >= size:
            yield bytes(part[:size])
            del part[:size]
    if part:
        yield bytes(part)
