"""Receiving files: streamed to the disk, checked by their content, kept in the archive."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.context import RequestContext
from api.http.multipart import FormFile, WrongForm
from api.http.problems import Conflict, InvalidParams, NotFound, PayloadTooLarge, ServiceUnavailable
from api.services import Services
from reelay.catalog.errors import Limit
from reelay.db.assets import complete_upload, find_asset, insert_upload, mark_asset_deleted, remove_deleted_asset
from reelay.db.engine import as_user
from reelay.db.tables import Asset, AssetState
from reelay.domain.messages import Sentence
from reelay.media.archive import archive_whole, media_prefix, plain_name
from reelay.media.errors import BadMedia, MediaError, TooLarge
from reelay.media.saving import Saved, save

FILE = "file"
MEDIA = ["image", "video", "audio"]


async def receive_form(context: RequestContext, request: Request) -> Asset:
    """Keep the file of a multipart body.

    Raises: InvalidParams, PayloadTooLarge, Conflict (no room left), RateLimited, ServiceUnavailable.
    """
    services, user_id = context.services, context.caller.user_id
    services.limits.admit_storage(await services.limits.stored_bytes(user_id))
    with file_problems(services), services.storage.scratch() as folder:
        form = FormFile(pieces_of(request), request.headers["content-type"], field=FILE)
        file_name = plain_name(await form.open())
        saved = await save(form.content(), folder / FILE, max_bytes=services.settings.archive_max_bytes)
        return await keep_new(context, saved, file_name=file_name)


async def keep_new(context: RequestContext, saved: Saved, *, file_name: str | None, content_type: str = "") -> Asset:
    """A file that is on the disk, as a new asset. Raises: MediaError, Conflict (no room left), RateLimited."""
    asset = Asset(
        user_id=context.caller.user_id, file_name=file_name, content_type=content_type, size_bytes=saved.size_bytes
    )
    await announce(context.services, asset)
    try:
        return await keep(context.services, asset, saved)
    except BadMedia:
        await delete_asset(context, asset.id)
        raise


async def announce(services: Services, asset: Asset) -> None:
    """Write down what is about to come. Raises: Conflict (no room left), RateLimited."""
    async with as_user(services.sessions, asset.user_id) as session:
        await insert_upload(session, asset)
        await services.limits.admit_upload(session, asset.user_id)


async def receive_announced(services: Services, request: Request, asset: Asset) -> None:
    """Take the bytes of an upload that was announced; they are checked when it is completed.

    Raises: InvalidParams, ServiceUnavailable.
    """
    with file_problems(services), services.storage.scratch() as folder:
        try:
            saved = await save(pieces_of(request), folder / FILE, max_bytes=asset.size_bytes)
        except TooLarge as error:
            raise _wrong_size(asset, None) from error
        if saved.size_bytes != asset.size_bytes:
            raise _wrong_size(asset, saved.size_bytes)
        await services.storage.put_file(saved.path, staged_key(asset), asset.content_type)


async def complete(context: RequestContext, asset: Asset) -> Asset:
    """Check what was uploaded, and keep it. It is copied first: who has the upload's address may still change it there.

    Raises: InvalidParams, Conflict (nothing was uploaded), NotFound (deleted meanwhile), ServiceUnavailable.
    """
    if asset.state == AssetState.READY:
        return asset
    storage, staged = context.services.storage, staged_key(asset)
    with file_problems(context.services), storage.scratch() as folder:
        size = await storage.head(staged)
        if size is None:
            raise Conflict(Sentence("upload_not_there"))
        if size != asset.size_bytes:
            await storage.delete(staged)
            raise _wrong_size(asset, size)
        saved = await save(storage.read(staged), folder / FILE, max_bytes=size)
        try:
            return await keep(context.services, asset, saved)
        finally:
            await storage.delete(staged)


async def keep(services: Services, asset: Asset, saved: Saved) -> Asset:
    """Into the archive, as what it is. Raises: MediaError, NotFound when it was deleted meanwhile."""
    user_id = asset.user_id
    prefix = media_prefix(user_id, asset.id)
    file = await archive_whole(
        saved,
        key_prefix=prefix,
        file_name=asset.file_name,
        storage=services.storage,
        inspect=services.decoders.inspect,
    )
    async with as_user(services.sessions, user_id) as session:
        await complete_upload(session, user_id, asset.id, file)
        completed = await find_asset(session, user_id, asset.id)
    if completed is None:
        await services.storage.delete_below(prefix)
        raise NotFound
    return completed


async def delete_asset(context: RequestContext, asset_id: UUID) -> bool:
    """First nobody sees it, then its objects go, then its row; workers end what is interrupted."""
    user_id = context.caller.user_id
    async with context.transaction() as session:
        if not await mark_asset_deleted(session, user_id, asset_id):
            return False
    with file_problems(context.services):
        await context.services.storage.delete_below(media_prefix(user_id, asset_id))
    async with context.transaction() as session:
        await remove_deleted_asset(session, user_id, asset_id)
    return True


def staged_key(asset: Asset) -> str:
    """Where an announced upload lies until it is complete."""
    return f"{media_prefix(asset.user_id, asset.id)}/upload"


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise HTTPException(400, Sentence("body_not_whole")) from None


@contextmanager
def file_problems(services: Services) -> Iterator[None]:
    try:
        yield
    except WrongForm as wrong:
        raise wrong_file(wrong.args[0]) from wrong
    except TooLarge as error:
        most = services.settings.archive_max_bytes
        raise PayloadTooLarge(Sentence("file_too_large", most=most)) from error
    except BadMedia as error:
        raise wrong_file(Sentence("field_not_media"), limit=list(MEDIA)) from error
    except MediaError as error:
        raise ServiceUnavailable(Sentence("unavailable")) from error


def wrong_file(message: str, *, limit: Limit = None) -> InvalidParams:
    error = {"field": FILE, "message": message, "limit": limit, "value": None}
    return InvalidParams(Sentence("request_invalid"), errors=[error])


def _wrong_size(asset: Asset, found: int | None) -> InvalidParams:
    message = Sentence("field_upload_size", announced=asset.size_bytes)
    error = {"field": "sizeBytes", "message": message, "limit": {"exactly": asset.size_bytes}, "value": found}
    return InvalidParams(Sentence("request_invalid"), errors=[error])
