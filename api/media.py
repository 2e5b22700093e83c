"""Archived files: a presigned redirect where the storage has such a thing, else the bytes with ranges."""

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, HTTPException, Request, Response, status
from fastapi.responses import RedirectResponse, StreamingResponse

from api.media_access import MediaRows
from api.problems import NotFound, problems
from api.services import TheServices
from api.wire import Text
from db.generations import find_stored_file
from media.errors import NotInArchive
from media.serve import RangeNotSatisfiable, parse_range
from media.storage import Storage

router = APIRouter(prefix="/api", tags=["media"])

LINK_LIFETIME = timedelta(minutes=15)
SAFE = {
    # The bytes came from a provider: no browser shall take them for anything but media.
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, max-age=3600",
    "accept-ranges": "bytes",
}


@router.head("/media/{job_id}/{name}", response_class=Response, include_in_schema=False)
@router.get(
    "/media/{job_id}/{name}",
    response_class=StreamingResponse,
    responses={
        206: {"description": "The range asked for."},
        302: {"description": "Where the storage serves it."},
        **problems(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    },
)
async def read_media(
    request: Request,
    job_id: UUID,
    name: Text,
    services: TheServices,
    rows: MediaRows,
    range: Annotated[str | None, Header(description="One range of bytes.")] = None,
) -> Response:
    """The archived file or its poster, for the generation's owner."""
    async with rows() as session:
        stored = await find_stored_file(session, job_id, name)
    if stored is None:
        raise NotFound
    asked_for_bytes = request.method != "HEAD"  # a link is signed for GET alone
    if asked_for_bytes and (link := await services.storage.presign(stored.key, LINK_LIFETIME)) is not None:
        return RedirectResponse(link, status.HTTP_302_FOUND)
    size = await services.storage.head(stored.key)
    if size is None:
        raise NotFound("The archive no longer holds this file.")
    if not asked_for_bytes:
        return Response(headers=SAFE | {"content-length": str(size)}, media_type=stored.content_type)
    return await serve(services.storage, stored.key, stored.content_type, size, range)


async def serve(storage: Storage, key: str, content_type: str, size: int, range_header: str | None) -> Response:
    try:
        part = parse_range(range_header, size)
    except RangeNotSatisfiable as error:
        raise HTTPException(
            status.HTTP_416_RANGE_NOT_SATISFIABLE,
            f"The file has {size} bytes.",
            {"content-range": error.content_range},
        ) from error
    start, end = (part.start, part.end) if part else (0, size)
    headers = SAFE | {"content-length": str(end - start)} | ({"content-range": part.content_range} if part else {})
    code = status.HTTP_206_PARTIAL_CONTENT if part else status.HTTP_200_OK
    return StreamingResponse(stream(storage, key, start, end), code, headers, content_type)


async def stream(storage: Storage, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        async for piece in storage.read_range(key, start, end):
            yield piece
    except NotInArchive:
        return  # deleted while it was being read: the client sees a short body
