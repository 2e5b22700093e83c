"""Archived files, for their owner and for whoever has a link: by a presigned redirect where the storage has such a
thing, else the bytes with ranges."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response, Security, status
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.security import APIKeyQuery, HTTPAuthorizationCredentials

from api.generations.any_job import user_of_job
from api.http.openapi import with_headers
from api.http.problems import NotFound, Unauthenticated, problems
from api.http.wire import Text
from api.identity.dependencies import bearer, find_caller
from api.services import Services, ServicesDep
from reelay.db.assets import find_stored_asset
from reelay.db.engine import as_user
from reelay.db.generations import StoredFile, find_stored_file
from reelay.domain.access_pass import AccessPass
from reelay.domain.generation import media_address
from reelay.domain.media_link import read_media_signature
from reelay.domain.messages import Sentence
from reelay.media.errors import NotInArchive
from reelay.media.serve import RangeNotSatisfiable, parse_range
from reelay.media.storage import Storage

router = APIRouter(prefix="/api", tags=["media"])

PRESIGNED_FOR = timedelta(hours=1)
"""A player asks the storage for each further range without asking us again."""
EXPIRED = "The link is invalid or has expired. `GET /api/jobs/{id}` returns a new one."
HEADERS = {
    # The bytes came from a provider: no browser shall take them for anything but media.
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, max-age=3600",
    "accept-ranges": "bytes",
    # A link plays in any page, also in one that is isolated from other origins; and is passed on to no other page.
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
}

JobId = Annotated[UUID, Path(description="The id of the job, or of the asset.")]
FileName = Annotated[Text, Path(description="The file's name within its job or asset.")]

signed = APIKeyQuery(name="signature", auto_error=False, description="The signature of a link as the API returns it.")


@dataclass(frozen=True)
class Reader:
    user_id: UUID
    link: AccessPass | None = None
    """Of whoever showed neither key nor token."""


async def _reader(
    request: Request,
    services: ServicesDep,
    job_id: JobId,
    name: FileName,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    signature: Annotated[str | None, Security(signed)],
    expires: Annotated[
        int, Query(ge=0, le=2**53, description="When a signed link expires, in seconds since 1970.")
    ] = 0,
) -> Reader:
    if signature is not None:
        address = media_address(job_id, name)
        link = read_media_signature(services.signing_secret, signature, address, expires, now=time.time())
        if link is not None:
            await services.limits.admit_media_read(link.user_id)
            return Reader(link.user_id, link)
    try:
        caller = await find_caller(request, services, credentials)
    except Unauthenticated as refused:
        raise refused if signature is None else Unauthenticated(EXPIRED) from refused
    return Reader(await user_of_job(services, caller.scope, caller.user_id, job_id))


async def find_media(services: Services, reader: Reader, job_id: UUID, name: str) -> StoredFile:
    """Raises: NotFound; Unauthenticated for a link whose key was revoked, or whose user signed out or was disabled."""
    async with as_user(services.sessions, reader.user_id) as session:
        stored = await find_stored_file(session, reader.user_id, job_id, name)
        stored = stored or await find_stored_asset(session, reader.user_id, job_id, name)
        if stored is None:
            raise NotFound
    if reader.link and not await services.callers.holder_of(reader.link):
        raise Unauthenticated(EXPIRED)
    return stored


@router.head("/media/{job_id}/{name}", response_class=Response, include_in_schema=False)
@router.get(
    "/media/{job_id}/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file.", **with_headers("ETag")},
        206: {"description": "The range asked for.", **with_headers("Content-Range", "ETag")},
        302: {"description": "Where the storage serves the file.", **with_headers("Location")},
        **problems(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    },
)
async def read_media(
    request: Request,
    job_id: JobId,
    name: FileName,
    services: ServicesDep,
    reader: Annotated[Reader, Depends(_reader)],
    range: Annotated[str | None, Header(description="One range of bytes, for example `bytes=0-1023`.")] = None,
    if_range: Annotated[
        str | None, Header(description="The `ETag` of the file whose range it is: of another one all is sent.")
    ] = None,
) -> Response:
    """The archived file or its poster, for the owner of the job or the asset, and for anybody by the signed
    link that these show."""
    stored = await find_media(services, reader, job_id, name)
    asked_for_bytes = request.method != "HEAD"  # a link is signed for GET alone
    if asked_for_bytes and (link := await services.storage.presign(stored.key, PRESIGNED_FOR)) is not None:
        return RedirectResponse(link, status.HTTP_302_FOUND)
    size = await services.storage.head(stored.key)
    if size is None:
        raise NotFound(Sentence("file_gone"))
    etag = f'"{stored.version}"'
    if not asked_for_bytes:
        headers = HEADERS | {"content-length": str(size), "etag": etag}
        return Response(headers=headers, media_type=stored.content_type)
    return await serve(services.storage, stored, size, range if if_range in (None, etag) else None, etag)


async def serve(storage: Storage, stored: StoredFile, size: int, range_header: str | None, etag: str) -> Response:
    try:
        part = parse_range(range_header, size)
    except RangeNotSatisfiable as error:
        raise HTTPException(
            status.HTTP_416_RANGE_NOT_SATISFIABLE,
            Sentence("range_not_satisfiable", size=size),
            {"content-range": error.content_range},
        ) from error
    start, end = (part.start, part.end) if part else (0, size)
    headers = HEADERS | {"content-length": str(end - start), "etag": etag}
    if part:
        headers["content-range"] = part.content_range
    code = status.HTTP_206_PARTIAL_CONTENT if part else status.HTTP_200_OK
    return StreamingResponse(stream(storage, stored.key, start, end), code, headers, stored.content_type)


async def stream(storage: Storage, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        async for piece in storage.read_range(key, start, end):
            yield piece
    except NotInArchive:
        return  # deleted while it was being read: the client sees a short body
