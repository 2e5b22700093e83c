"""Uploads of inputs: fal's storage, in the ways of both of its clients, and Replicate's files.

fal's files are public until their lifetime ends; Replicate's ask for a token.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import md5
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from api.http.multipart import FormFile
from lab.simulator import fal, replicate
from lab.simulator.refusals import Refused
from lab.simulator.simulator import Running, Simulator

NOT_FOUND = {"detail": "Not found"}
CDN_SCHEME = "Bearer"
REPLICATE_KEEPS_FOR = timedelta(days=1)

public = APIRouter()
storage = APIRouter(dependencies=[Depends(fal.authorize)])
files = APIRouter(prefix="/v1", dependencies=[Depends(replicate.authorize)])


@dataclass
class Upload:
    name: str
    content_type: str
    expires_at: datetime | None
    content: bytes | None = None
    """None until it is whole."""
    parts: dict[int, bytes] = field(default_factory=dict)


def _announce(simulator: Simulator, name: str, content_type: str, lifecycle: str | None) -> str:
    lifetime = json.loads(lifecycle or "{}").get("expiration_duration_seconds")
    upload_id = uuid4().hex
    simulator.uploads[upload_id] = Upload(
        name=name,
        content_type=content_type,
        expires_at=None if lifetime is None else simulator.clock.now() + timedelta(seconds=lifetime),
    )
    return upload_id


def _found(simulator: Simulator, upload_id: str) -> Upload:
    upload = simulator.uploads.get(upload_id)
    if upload is None or (upload.expires_at and simulator.clock.now() >= upload.expires_at):
        raise Refused(404, NOT_FOUND)
    assert isinstance(upload, Upload)
    return upload


def _origin(simulator: Simulator, http: Request) -> str:
    return simulator.settings.public_url or f"{http.url.scheme}://{http.url.netloc}"


def _file_url(simulator: Simulator, http: Request, upload_id: str) -> str:
    return f"{_origin(simulator, http)}/files/u/{upload_id}/{simulator.uploads[upload_id].name}"


@storage.post("/storage/upload/initiate")
@storage.post("/storage/upload/initiate-multipart")
async def initiate(
    simulator: Running,
    http: Request,
    body: dict[str, str],
    x_fal_object_lifecycle: Annotated[str | None, Header()] = None,
) -> dict[str, str]:
    upload_id = _announce(simulator, body["file_name"], body["content_type"], x_fal_object_lifecycle)
    return {
        "upload_url": f"{_origin(simulator, http)}/storage/put/{upload_id}?signature=simulated",
        "file_url": _file_url(simulator, http, upload_id),
    }


@storage.post("/storage/auth/token")
async def cdn_token(simulator: Running, http: Request) -> dict[str, str]:
    return {
        "token": "simulated",
        "token_type": CDN_SCHEME,
        "base_url": _origin(simulator, http),
        "expires_at": (simulator.clock.now() + timedelta(hours=1)).isoformat(),
    }


@public.put("/storage/put/{upload_id}")
async def put(simulator: Running, http: Request, upload_id: str, signature: str) -> None:
    upload = _found(simulator, upload_id)
    upload.content, upload.content_type = await http.body(), http.headers.get("content-type", upload.content_type)


@public.put("/storage/put/{upload_id}/{number}")
async def put_part(simulator: Running, http: Request, upload_id: str, number: int, signature: str) -> dict[str, Any]:
    part = await http.body()
    _found(simulator, upload_id).parts[number] = part
    return {"partNumber": number, "etag": _etag(part)}


@public.post("/storage/put/{upload_id}/complete")
async def complete(simulator: Running, upload_id: str, signature: str, body: dict[str, list[dict[str, Any]]]) -> None:
    _join(_found(simulator, upload_id), body["parts"])


async def _cdn(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != f"{CDN_SCHEME} simulated":
        raise Refused(401, {"detail": "Invalid token"})


@public.post("/files/upload", dependencies=[Depends(_cdn)])
async def upload_whole(
    simulator: Running,
    http: Request,
    content_type: Annotated[str, Header()] = "application/octet-stream",
    x_fal_file_name: Annotated[str, Header()] = "upload.bin",
    x_fal_object_lifecycle: Annotated[str | None, Header()] = None,
) -> dict[str, str]:
    upload_id = _announce(simulator, x_fal_file_name, content_type, x_fal_object_lifecycle)
    simulator.uploads[upload_id].content = await http.body()
    return {"access_url": _file_url(simulator, http, upload_id)}


@public.post("/files/upload/multipart", dependencies=[Depends(_cdn)])
async def upload_in_parts(
    simulator: Running,
    http: Request,
    content_type: Annotated[str, Header()] = "application/octet-stream",
    x_fal_file_name: Annotated[str, Header()] = "upload.bin",
) -> dict[str, str]:
    upload_id = _announce(simulator, x_fal_file_name, content_type, None)
    return {"access_url": _file_url(simulator, http, upload_id), "uploadId": upload_id}


@public.put("/files/u/{upload_id}/{name}/multipart/{same_id}/{number}", dependencies=[Depends(_cdn)])
async def upload_part(simulator: Running, http: Request, upload_id: str, number: int) -> Response:
    part = await http.body()
    _found(simulator, upload_id).parts[number] = part
    return Response(headers={"etag": _etag(part)})


@public.post("/files/u/{upload_id}/{name}/multipart/{same_id}/complete", dependencies=[Depends(_cdn)])
async def complete_parts(simulator: Running, upload_id: str, body: dict[str, list[dict[str, Any]]]) -> None:
    _join(_found(simulator, upload_id), body["parts"])


@public.get("/files/u/{upload_id}/{name}")
async def read(simulator: Running, upload_id: str) -> Response:
    return _content(_found(simulator, upload_id))


@files.post("/files", status_code=201)
async def create_file(simulator: Running, http: Request) -> dict[str, Any]:
    form = FormFile(aiter(http.stream()), http.headers["content-type"], field="content")
    name = await form.open() or "file"
    upload_id = _announce(simulator, name, "application/octet-stream", None)
    upload = simulator.uploads[upload_id]
    upload.content = b"".join([piece async for piece in form.content()])
    upload.expires_at = simulator.clock.now() + REPLICATE_KEEPS_FOR
    return _described(simulator, http, upload_id)


@files.get("/files/{upload_id}")
async def describe_file(simulator: Running, http: Request, upload_id: str) -> dict[str, Any]:
    _found(simulator, upload_id)
    return _described(simulator, http, upload_id)


@files.get("/files/{upload_id}/download")
async def download_file(simulator: Running, upload_id: str) -> Response:
    return _content(_found(simulator, upload_id))


def _described(simulator: Simulator, http: Request, upload_id: str) -> dict[str, Any]:
    upload = _found(simulator, upload_id)
    content = upload.content or b""
    return {
        "id": upload_id,
        "name": upload.name,
        "content_type": upload.content_type,
        "size": len(content),
        "etag": _etag(content),
        "checksums": {"md5": _etag(content)},
        "metadata": {},
        "created_at": simulator.clock.now().isoformat(),
        "expires_at": upload.expires_at.isoformat() if upload.expires_at else None,
        "urls": {"get": f"{_origin(simulator, http)}/v1/files/{upload_id}"},
    }


def _content(upload: Upload) -> Response:
    if upload.content is None:
        raise Refused(404, NOT_FOUND)
    return Response(upload.content, media_type=upload.content_type)


def _join(upload: Upload, named: list[dict[str, Any]]) -> None:
    """The parts in the order of their numbers, each as its etag says."""
    for each in named:
        if each["etag"] != _etag(upload.parts[each["partNumber"]]):
            raise Refused(400, {"detail": "The parts do not match"})
    upload.content = b"".join(upload.parts[number] for number in sorted(upload.parts))


def _etag(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()
