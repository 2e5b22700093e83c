"""A provider that costs little: it accepts at once, calls back after `PROVIDER_SECONDS`, and serves one real video.

The process behind `python -m lab.bench.provider PORT FOLDER`. Keys, signatures and the video are the simulator's.
"""

import asyncio
import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.bench.contender import PROVIDER_SECONDS, Delivery
from lab.bench.http_clients import open_client
from lab.bench.serving import serve
from lab.devstack.ports import HOST
from lab.simulator.fal_webhooks import SigningKeys, signed_headers
from lab.simulator.samples import make_video
from lab.simulator.store import Store

USER_ID = "bench"
MEDIA_BYTES = 1024 * 1024
REPEAT_AFTER_SECONDS = 0.5
LINES = 200
"""Webhooks under way at once."""


class Provider:
    def __init__(self, origin: str, keys: SigningKeys, media: bytes, client: httpx.AsyncClient) -> None:
        self._origin = origin
        self._keys = keys
        self._media = media
        self._client = client
        self._calls: dict[str, asyncio.Task[Delivery]] = {}
        self._ended: set[str] = set()
        self._may_call = asyncio.Event()
        self._may_call.set()
        self._lines = asyncio.Semaphore(LINES)
        self._other: Mapping[str, Any] | None = None

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/jwks.json", self.jwks),
            Route("/bench/webhooks/{job}", self.delivery),
            Route("/bench/hold", self.hold, methods=["GET", "POST"]),
            Route("/bench/video", self.replace_video, methods=["POST"]),
            Route("/files/{request_id}/output.mp4", self.media),
            Route("/blobs/{size:int}/{name}", self.blob),
            Route("/fal-ai/{app}/requests/{request_id}/status", self.status),
            Route("/fal-ai/{app}/requests/{request_id}/cancel", self.cancel, methods=["PUT"]),
            Route("/fal-ai/{app}/requests/{request_id}", self.result),
            Route("/fal-ai/{endpoint:path}", self.submit, methods=["POST"]),
        ]

    async def submit(self, request: Request) -> Response:
        await request.body()
        request_id = str(uuid4())
        url = request.query_params["fal_webhook"]
        (job,) = parse_qs(urlsplit(url).query)["job"]
        self._calls[job] = asyncio.create_task(self._call_back(url, request_id))
        app = request.path_params["endpoint"].split("/")[0]
        address = f"{self._origin}/fal-ai/{app}/requests/{request_id}"
        return JSONResponse(
            {
                "status": "IN_QUEUE",
                "request_id": request_id,
                "response_url": address,
                "status_url": f"{address}/status",
                "cancel_url": f"{address}/cancel",
                "queue_position": 0,
            }
        )

    async def result(self, request: Request) -> Response:
        return JSONResponse(self._result(request.path_params["request_id"]))

    async def status(self, request: Request) -> Response:
        """For clients that lost an answer, as a killed worker does."""
        request_id = request.path_params["request_id"]
        if request_id in self._ended:
            return JSONResponse({"status": "COMPLETED", "request_id": request_id})
        return JSONResponse({"status": "IN_PROGRESS", "request_id": request_id}, status_code=202)

    async def cancel(self, request: Request) -> Response:
        """Always too late."""
        return JSONResponse({"status": "ALREADY_COMPLETED"}, status_code=400)

    async def media(self, request: Request) -> Response:
        return Response(self._media, media_type="video/mp4")

    async def blob(self, request: Request) -> Response:
        """The video, filled up to any size; with `mib_per_second`, not faster."""
        size = request.path_params["size"]
        pause = 1 / float(request.query_params.get("mib_per_second", "inf"))
        body, length = filled_up(self._media, size, pause), {"content-length": str(size)}
        return StreamingResponse(body, media_type="video/mp4", headers=length)

    async def replace_video(self, request: Request) -> Response:
        """Where the video of results is from now on, below our origin, and its bytes; empty: the usual one."""
        self._other = await request.json()
        return JSONResponse({})

    async def jwks(self, request: Request) -> Response:
        return JSONResponse(self._keys.jwks())

    async def delivery(self, request: Request) -> Response:
        """The job's webhook, once it is acknowledged."""
        return JSONResponse(asdict(await self._calls[request.path_params["job"]]))

    async def hold(self, request: Request) -> Response:
        """Keep the webhooks back, and later send them all at once; how many are kept."""
        if request.method == "POST":
            if (await request.json())["held"]:
                self._may_call.clear()
            else:
                self._may_call.set()
        return JSONResponse({"calls": sum(not call.done() for call in self._calls.values())})

    async def _call_back(self, url: str, request_id: str) -> Delivery:
        await asyncio.sleep(PROVIDER_SECONDS)
        payload = {"request_id": request_id, "status": "OK", "payload": self._result(request_id)}
        body = json.dumps(payload, separators=(",", ":")).encode()
        await self._may_call.wait()
        self._ended.add(request_id)
        async with self._lines:
            return await self._deliver(url, request_id, body)

    async def _deliver(self, url: str, request_id: str, body: bytes) -> Delivery:
        sent_at = time.monotonic()
        while not await self._send(url, request_id, body):  # noqa: ASYNC110 - another process
            await asyncio.sleep(REPEAT_AFTER_SECONDS)
        return Delivery(sent_at=sent_at, acknowledged_at=time.monotonic())

    async def _send(self, url: str, request_id: str, body: bytes) -> bool:
        """Whether it was acknowledged."""
        headers = signed_headers(
            self._keys.current, request_id=request_id, user_id=USER_ID, timestamp=int(time.time()), body=body
        )
        try:
            return (await self._client.post(url, content=body, headers=headers)).is_success
        except httpx.TransportError:
            return False

    def _result(self, request_id: str) -> dict[str, Any]:
        video = self._other or {"path": f"/files/{request_id}/output.mp4", "bytes": len(self._media)}
        file = {
            "url": f"{self._origin}{video['path']}",
            "content_type": "video/mp4",
            "file_name": "output.mp4",
            "file_size": video["bytes"],
        }
        return {"video": file}


async def filled_up(video: bytes, size: int, pause_seconds: float) -> AsyncIterator[bytes]:
    """The video and a box of zeros that players skip, `size` bytes in all; the pauses between their MiBs."""
    missing = size - len(video)
    yield video + struct.pack(">I4s", missing, b"free")
    zeros = bytes(MEDIA_BYTES)
    for sent in range(8, missing, len(zeros)):
        await asyncio.sleep(pause_seconds)
        yield zeros[: missing - sent]


def make_media(folder: Path) -> bytes:
    """The simulator's video, filled up to `MEDIA_BYTES` with a box that players skip."""
    path = folder / "output.mp4"
    make_video(path)
    video = path.read_bytes()
    missing = MEDIA_BYTES - len(video)
    return video + struct.pack(">I4s", missing, b"free") + bytes(missing - 8)


def main(port: int, folder: Path) -> None:
    media = make_media(folder)

    @asynccontextmanager
    async def opened() -> AsyncIterator[list[Route]]:
        with closing(Store(None)) as store:
            async with open_client() as client:
                yield Provider(f"http://{HOST}:{port}", SigningKeys(store), media, client).routes

    serve(opened(), port)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
