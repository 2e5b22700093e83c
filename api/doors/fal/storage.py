"""fal's storage, as its clients upload to it: the file becomes an asset of the caller's.

Its address is told before its bytes have come. It is signed for as long as a link to media, and an input that names it
names the asset, for as long as that is there.
"""

import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel

from api.assets.schemas import asset_uri
from api.assets.uploads import FILE, announce, file_problems, keep, pieces_of
from api.context import Context, RequestContext
from api.doors.fal.errors import FalRoute
from api.doors.fal.ignored import ignored
from api.generations.references import own_origins
from api.http.links import Links
from api.http.problems import NotFound, Unauthenticated
from api.http.wire import Text
from api.services import OriginDep, Services, ServicesDep
from reelay.db.assets import find_asset, find_upload
from reelay.db.engine import as_user
from reelay.db.tables import Asset
from reelay.domain.access_pass import Holder
from reelay.domain.generation import media_address
from reelay.domain.media_link import read_media_signature
from reelay.domain.messages import Sentence
from reelay.domain.references import UUID_PATTERN
from reelay.media.archive import media_prefix, plain_name
from reelay.media.saving import save

OWN_FILE = re.compile(rf"/fal/(?:files|cdn/files/\d+/[^/]+)/({UUID_PATTERN})/[^/]+")
"""As both of fal's ways to upload name it: with the signature behind, or before it."""
UNKNOWN_SIZE = 0
MOST_PARTS = 10_000

router = APIRouter(route_class=FalRoute, include_in_schema=False)


class Initiated(BaseModel):
    content_type: Text = "application/octet-stream"
    file_name: Text = "upload"


@router.post("/fal/rest/storage/upload/initiate")
@router.post("/fal/rest/storage/upload/initiate-multipart")
async def initiate(request: Request, response: Response, body: Initiated, context: Context) -> dict[str, str]:
    """Where to send the file, without a key, and its address once it is there."""
    name = plain_name(body.file_name) or FILE
    asset = Asset(
        user_id=context.caller.user_id, file_name=name, content_type=body.content_type, size_bytes=UNKNOWN_SIZE
    )
    await announce(context.services, asset)
    response.headers.update(ignored(request.headers))
    return {
        "upload_url": context.links.to_signed(upload_address(asset.id)),
        "file_url": context.links.to_signed(f"/fal/files/{asset.id}/{quote(name, safe='')}"),
    }


def upload_address(asset_id: UUID) -> str:
    return f"/fal/uploads/{asset_id}"


async def holder_of(services: Services, address: str, signature: str, expires: int) -> Holder:
    """Raises: Unauthenticated."""
    link = read_media_signature(services.signing_secret, signature, address, expires, now=time.time())
    holder = await services.callers.holder_of(link) if link else None
    if holder is None:
        raise Unauthenticated(Sentence("upload_link_invalid"))
    return holder


async def _upload(
    services: ServicesDep,
    asset_id: UUID,
    signature: Annotated[str, Query()] = "",
    expires: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Asset:
    """Raises: Unauthenticated, NotFound."""
    holder = await holder_of(services, upload_address(asset_id), signature, expires)
    async with as_user(services.sessions, holder.user_id) as session:
        asset = await find_upload(session, holder.user_id, asset_id)
    if asset is None:
        raise NotFound
    return asset


Upload = Annotated[Asset, Depends(_upload)]


@router.put("/fal/uploads/{asset_id}")
async def put_file(request: Request, services: ServicesDep, asset: Upload) -> Response:
    """The whole file."""
    await keep_file(services, asset, pieces_of(request))
    return Response()


@router.put("/fal/uploads/{asset_id}/{number}")
async def put_part(request: Request, services: ServicesDep, asset: Upload, number: int) -> Response:
    """One part of a large file."""
    return await keep_part(request, services, asset, number)


async def keep_part(request: Request, services: Services, asset: Asset, number: int) -> Response:
    """Raises: NotFound for a number that no part has, PayloadTooLarge, ServiceUnavailable."""
    if not 1 <= number <= MOST_PARTS:
        raise NotFound
    with file_problems(services), services.storage.scratch() as folder:
        saved = await save(pieces_of(request), folder / FILE, max_bytes=services.settings.archive_max_bytes)
        await services.storage.put_file(saved.path, part_key(asset, number), "application/octet-stream")
    etag = f'"{saved.sha256}"'
    return JSONResponse({"partNumber": number, "etag": etag}, headers={"etag": etag})


class Part(BaseModel):
    partNumber: int


class Parts(BaseModel):
    parts: list[Part]


@router.post("/fal/uploads/{asset_id}/complete")
async def complete(services: ServicesDep, asset: Upload, body: Parts) -> Response:
    """The parts, one behind the other, are the file."""
    await keep_parts(services, asset, body)
    return JSONResponse({"file_name": asset.file_name})


async def keep_parts(services: Services, asset: Asset, body: Parts) -> None:
    """They are named in the order in which they came, which need not be theirs."""
    keys = [part_key(asset, number) for number in sorted(part.partNumber for part in body.parts)]

    async def whole() -> AsyncIterator[bytes]:
        for key in keys:
            async for piece in services.storage.read(key):
                yield piece

    await keep_file(services, asset, whole())
    for key in keys:
        await services.storage.delete(key)


def part_key(asset: Asset, number: int) -> str:
    return f"{media_prefix(asset.user_id, asset.id)}/upload-{number}"


async def keep_file(services: Services, asset: Asset, pieces: AsyncIterator[bytes]) -> None:
    """Raises: InvalidParams for what is no media, PayloadTooLarge, ServiceUnavailable."""
    with file_problems(services), services.storage.scratch() as folder:
        saved = await save(pieces, folder / FILE, max_bytes=services.settings.archive_max_bytes)
        await keep(services, asset, saved)


@router.get("/fal/files/{asset_id}/{name}")
async def read_file(
    services: ServicesDep,
    origin: OriginDep,
    asset_id: UUID,
    name: str,
    signature: Annotated[str, Query()] = "",
    expires: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    """A redirect to the media: it has another name there, by what it is."""
    holder = await holder_of(services, f"/fal/files/{asset_id}/{quote(name, safe='')}", signature, expires)
    return await redirect_to_file(services, origin, holder, asset_id)


async def redirect_to_file(services: Services, origin: str, holder: Holder, asset_id: UUID) -> Response:
    """Raises: NotFound."""
    async with as_user(services.sessions, holder.user_id) as session:
        asset = await find_asset(session, holder.user_id, asset_id)
    if asset is None:
        raise NotFound
    links = Links(origin, services.signing_secret, holder)
    return RedirectResponse(links.to_media(media_address(asset.id, str(asset.name))), 302)


def with_references(context: RequestContext, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with assets in place of the addresses that were told for them."""
    origins = own_origins(context)

    def settled(value: Any) -> Any:
        match value:
            case dict():
                return {name: settled(part) for name, part in value.items()}
            case list():
                return [settled(part) for part in value]
            case str() if (asset_id := _own_asset(value, origins)) is not None:
                return asset_uri(asset_id)
        return value

    found: dict[str, Any] = settled(dict(inputs))
    return found


def _own_asset(text: str, origins: frozenset[str]) -> UUID | None:
    if "/fal/" not in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    match = OWN_FILE.fullmatch(parts.path)
    is_own = match is not None and f"{parts.scheme}://{parts.netloc}".lower() in origins
    return UUID(match[1]) if match and is_own else None
