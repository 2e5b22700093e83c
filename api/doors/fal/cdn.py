"""fal's CDN, as its Python client uploads to it: with a token, and by an address that goes on with the parts.

So the address of a file holds its signature before its name, where nothing has to be put behind it.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response

from api.assets.uploads import FILE, announce, pieces_of
from api.context import Context
from api.doors.fal.errors import FalRoute
from api.doors.fal.storage import (
    UNKNOWN_SIZE,
    Parts,
    holder_of,
    keep_file,
    keep_part,
    keep_parts,
    redirect_to_file,
)
from api.http.links import Links
from api.http.problems import NotFound, Unauthenticated
from api.http.wire import Text
from api.services import OriginDep, Services, ServicesDep
from reelay.db.assets import find_upload
from reelay.db.engine import as_user
from reelay.db.tables import Asset
from reelay.domain.access_pass import Holder, Purpose, make_token, read_token
from reelay.domain.messages import Sentence
from reelay.media.archive import plain_name

CDN = "/fal/cdn"
FILES = f"{CDN}/files"
TOKEN_LIFETIME = timedelta(hours=1)

router = APIRouter(route_class=FalRoute, include_in_schema=False)


@router.post("/fal/rest/storage/auth/token")
async def token(context: Context) -> dict[str, str]:
    """By it the client uploads."""
    now, holder = time.time(), context.caller.holder
    made = make_token(
        context.services.signing_secret, Purpose.UPLOADS, holder, now=now, lifetime=int(TOKEN_LIFETIME.total_seconds())
    )
    return {
        "token": made,
        "token_type": "Bearer",
        "base_url": context.links.to(CDN),
        "expires_at": (datetime.fromtimestamp(now, UTC) + TOKEN_LIFETIME).isoformat(),
    }


async def _uploader(services: ServicesDep, authorization: Annotated[str, Header()] = "") -> Holder:
    """Raises: Unauthenticated."""
    shown = authorization.partition(" ")[2].strip()
    access_pass = read_token(services.signing_secret, Purpose.UPLOADS, shown, now=time.time())
    holder = await services.callers.holder_of(access_pass) if access_pass else None
    if holder is None:
        raise Unauthenticated(Sentence("upload_link_invalid"))
    return holder


Uploader = Annotated[Holder, Depends(_uploader)]


async def _announced(
    services: ServicesDep,
    uploader: Uploader,
    x_fal_file_name: Annotated[Text, Header()] = FILE,
    content_type: Annotated[Text, Header()] = "",
) -> Asset:
    name = plain_name(x_fal_file_name) or FILE
    asset = Asset(user_id=uploader.user_id, file_name=name, content_type=content_type, size_bytes=UNKNOWN_SIZE)
    await announce(services, asset)
    return asset


Announced = Annotated[Asset, Depends(_announced)]


@router.post(f"{FILES}/upload")
async def upload(
    request: Request, services: ServicesDep, origin: OriginDep, uploader: Uploader, asset: Announced
) -> dict[str, str]:
    """A file in one piece."""
    await keep_file(services, asset, pieces_of(request))
    return {"access_url": _address(services, origin, uploader, asset)}


@router.post(f"{FILES}/upload/multipart")
async def begin(services: ServicesDep, origin: OriginDep, uploader: Uploader, asset: Announced) -> dict[str, str]:
    """A large file, whose parts are to come."""
    return {"access_url": _address(services, origin, uploader, asset), "uploadId": asset.id.hex}


AT = FILES + "/{expires}/{signature}/{asset_id}/{name}"


async def _reader(services: ServicesDep, expires: int, signature: str, asset_id: UUID, name: str) -> Holder:
    """Raises: Unauthenticated."""
    return await holder_of(services, _unsigned(asset_id, name), signature, expires)


Reader = Annotated[Holder, Depends(_reader)]


async def _upload(services: ServicesDep, reader: Reader, asset_id: UUID) -> Asset:
    """Raises: NotFound."""
    async with as_user(services.sessions, reader.user_id) as session:
        asset = await find_upload(session, reader.user_id, asset_id)
    if asset is None:
        raise NotFound
    return asset


Upload = Annotated[Asset, Depends(_upload)]


@router.put(AT + "/multipart/{upload_id}/{number}")
async def put_part(request: Request, services: ServicesDep, asset: Upload, number: int) -> Response:
    return await keep_part(request, services, asset, number)


@router.post(AT + "/multipart/{upload_id}/complete")
async def complete(services: ServicesDep, asset: Upload, body: Parts) -> dict[str, str]:
    await keep_parts(services, asset, body)
    return {}


@router.get(AT)
async def read_file(services: ServicesDep, origin: OriginDep, reader: Reader, asset_id: UUID) -> Response:
    return await redirect_to_file(services, origin, reader, asset_id)


def _unsigned(asset_id: UUID, name: str) -> str:
    return f"{FILES}/{asset_id}/{quote(name, safe='')}"


def _address(services: Services, origin: str, holder: Holder, asset: Asset) -> str:
    name = asset.file_name or FILE
    signed = Links("", services.signing_secret, holder).to_signed(_unsigned(asset.id, name))
    (expires,), (signature,) = (parse_qs(urlsplit(signed).query)[each] for each in ("expires", "signature"))
    return f"{origin}{FILES}/{expires}/{signature}/{asset.id}/{quote(name, safe='')}"
