"""Replicate's files: `POST /v1/files`, a multipart form with the part `content`, answers `{urls: {get}, expires_at}`.

They are readable with the account's token, which the models there have, and deleted after a day.
Source: https://replicate.com/docs/reference/http#files.create
"""

from datetime import timedelta

import httpx

from reelay.providers.errors import NotUploaded, Unavailable
from reelay.providers.exchange import exchange
from reelay.providers.fal_storage import checked
from reelay.providers.file_form import file_form
from reelay.providers.keyed_api import KeyedApi
from reelay.providers.provider import OutgoingFile
from reelay.providers.reading import object_of

LARGEST_FILE = 100 * 1024 * 1024
KEPT_FOR = timedelta(days=1)
TRANSFER_TIMEOUT = timedelta(minutes=15)
MAX_ANSWER_BYTES = 64 * 1024


async def upload(api: KeyedApi, client: httpx.AsyncClient, url: str, file: OutgoingFile) -> str:
    """The address of the file at Replicate. Raises: NotUploaded, Unavailable."""
    if file.size_bytes > LARGEST_FILE or file.lifetime > KEPT_FOR:
        raise NotUploaded("Replicate keeps files of at most 100 MiB, for a day")
    headers, form = file_form(
        "content", file.read(), name=file.name, content_type=file.content_type, size_bytes=file.size_bytes
    )
    try:
        request = httpx.Request("POST", url, content=form, headers={**api.authorization(url), **headers})
        answer = checked(await exchange(client, request, within=TRANSFER_TIMEOUT, at_most=MAX_ANSWER_BYTES))
    except httpx.TransportError as error:
        raise Unavailable(f"Replicate's files did not answer ({type(error).__name__})") from error
    urls = object_of(answer).get("urls")
    address = urls.get("get") if isinstance(urls, dict) else None
    if not isinstance(address, str):
        raise NotUploaded("Replicate named no address of the file")
    return address
