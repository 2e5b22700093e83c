"""The caller's own files: uploads, and the assets that come of them."""

import time
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Security, status

from api.assets.schemas import AssetList, AssetView, UploadAnswer, UploadRequest, UploadView
from api.assets.uploads import (
    FILE,
    announce,
    complete,
    delete_asset,
    receive_announced,
    receive_form,
    staged_key,
)
from api.context import Context, RequestContext
from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import (
    SCHEMAS,
    Conflict,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    errors_of_the_body,
    problems,
)
from api.media.routes import signed
from api.services import Services, ServicesDep
from reelay.db.assets import find_asset, find_upload, is_input_of_active_job, newest_assets
from reelay.db.engine import as_user
from reelay.db.tables import Asset, AssetState
from reelay.domain.media_link import read_media_signature
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["assets"])

PRESIGNED_FOR = timedelta(hours=1)
FORM = "multipart/form-data"
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        FILE: {"type": "string", "format": "binary", "description": "The file, in a single part."}
                    },
                    "required": [FILE],
                }
            },
            "application/json": {"schema": {"$ref": f"{SCHEMAS}{UploadRequest.__name__}"}},
        },
    }
}
BYTES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

AssetId = Annotated[UUID, Path(description="The asset's id.")]


@router.post(
    "/uploads",
    status_code=status.HTTP_201_CREATED,
    responses=problems(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra=UPLOAD_BODY,
)
async def upload(request: Request, context: Context) -> UploadAnswer:
    """Upload a picture, a video or a sound: as `multipart/form-data` in the field `file`. Or announce it in JSON, send
    it to the `uploadUrl` of the answer, and complete the upload."""
    if request.headers.get("content-type", "").lower().startswith(FORM):
        return UploadAnswer(AssetView.from_row(await receive_form(context, request), context.links))
    content = await request.body()
    with errors_of_the_body():
        body = UploadRequest.model_validate_json(content)
    return UploadAnswer(await announced(context, body))


async def announced(context: RequestContext, body: UploadRequest) -> UploadView:
    """Raises: PayloadTooLarge, Conflict, RateLimited."""
    services = context.services
    if body.size_bytes > (most := services.settings.archive_max_bytes):
        raise PayloadTooLarge(Sentence("file_too_large", most=most))
    asset = Asset(
        user_id=context.caller.user_id,
        file_name=body.file_name,
        content_type=body.content_type,
        size_bytes=body.size_bytes,
    )
    await announce(context.services, asset)
    put = await services.storage.presign_put(staged_key(asset), asset.content_type, PRESIGNED_FOR)
    if put:
        return UploadView.from_row(asset, put.url, dict(put.headers))
    return UploadView.from_row(
        asset, context.links.to_signed(content_address(asset.id)), {"content-type": asset.content_type}
    )


def content_address(asset_id: UUID) -> str:
    """Where our own API takes an announced upload, relative to its origin."""
    return f"/api/uploads/{asset_id}/content"


async def _announced_upload(
    asset_id: AssetId,
    services: ServicesDep,
    signature: Annotated[str, Query(description="The signature of the `uploadUrl`.")] = "",
    expires: Annotated[int, Query(ge=0, le=2**53, description="When it expires, in seconds since 1970.")] = 0,
) -> Asset:
    """Raises: Unauthenticated, NotFound, Conflict."""
    link = read_media_signature(services.signing_secret, signature, content_address(asset_id), expires, now=time.time())
    if link is None or not await services.callers.holder_of(link):
        raise Unauthenticated(Sentence("upload_link_invalid"))
    asset = await _find_upload(services, link.user_id, asset_id)
    if asset.state == AssetState.READY:
        raise Conflict(Sentence("upload_complete"))
    return asset


async def _find_upload(services: Services, user_id: UUID, asset_id: UUID) -> Asset:
    """Raises: NotFound."""
    async with as_user(services.sessions, user_id) as session:
        asset = await find_upload(session, user_id, asset_id)
    if asset is None:
        raise NotFound
    return asset


@router.put(
    "/uploads/{asset_id}/content",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Security(signed)],
    responses=problems(HTTPStatus.CONFLICT),
    openapi_extra=BYTES_BODY,
)
async def put_content(
    request: Request, services: ServicesDep, asset: Annotated[Asset, Depends(_announced_upload)]
) -> None:
    """Send the bytes of an upload that was announced, to its `uploadUrl`, where that is an address of this API."""
    await receive_announced(services, request, asset)


@router.post("/uploads/{asset_id}/complete", responses=problems(HTTPStatus.CONFLICT))
async def complete_upload(asset_id: AssetId, context: Context) -> AssetView:
    """Check the file that was sent to the `uploadUrl`, and make it an asset. Safe to repeat."""
    asset = await _find_upload(context.services, context.caller.user_id, asset_id)
    return AssetView.from_row(await complete(context, asset), context.links)


@router.get("/assets")
async def list_assets(context: Context, limit: PageSize = 20, after: Cursor = None) -> AssetList:
    """The caller's files, newest first."""
    async with context.transaction() as session:
        found = await newest_assets(session, context.caller.user_id, limit=limit + 1, before=read_cursor(after))
    page, next_cursor = split_page(found, limit, lambda asset: (asset.created_at, asset.id))
    return AssetList(
        data=[AssetView.from_row(asset, context.links) for asset in page],
        has_more=next_cursor is not None,
        next_cursor=next_cursor,
    )


@router.get("/assets/{asset_id}")
async def read_asset(asset_id: AssetId, context: Context) -> AssetView:
    """One of the caller's files."""
    async with context.transaction() as session:
        asset = await find_asset(session, context.caller.user_id, asset_id)
    if asset is None:
        raise NotFound
    return AssetView.from_row(asset, context.links)


@router.delete("/assets/{asset_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(HTTPStatus.CONFLICT))
async def remove_asset(asset_id: AssetId, context: Context) -> None:
    """Delete the file, or give an upload up. Not while a job that has not ended uses it."""
    async with context.transaction() as session:
        if await is_input_of_active_job(session, context.caller.user_id, asset_id):
            raise Conflict(Sentence("asset_in_use"))
    if not await delete_asset(context, asset_id):
        raise NotFound
