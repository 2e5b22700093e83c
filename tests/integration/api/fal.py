"""fal, played by hand: its key server, and webhooks signed as a test wants them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.running import Service
from tests.servers import listening, loopback_socket
from tests.unit.providers.signing import jwk, notice, signed

ACCOUNT = "github|ours"


@dataclass
class KeyServer:
    """Publishes one key, and counts how often it was asked."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    url: str = ""
    asked: int = 0

    async def jwks(self, _: Request) -> JSONResponse:
        self.asked += 1
        return JSONResponse({"keys": [jwk(self.key)]})


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    server = KeyServer()
    app = Starlette(routes=[Route("/jwks.json", server.jwks)])
    async with listening(uvicorn.Server(uvicorn.Config(app, log_level="warning")), loopback_socket()) as origin:
        server.url = f"{origin}/jwks.json"
        yield server


@dataclass(frozen=True, kw_only=True)
class Fal:
    """What only fal can do: sign for the service's account."""

    service: Service
    keys: KeyServer

    async def address(self, job_id: str) -> str:
        """The URL that the service gave to its provider, once it has."""
        job = await self.service.until_accepted(job_id)
        request = await self.service.servers.simulated_request(job["falRequestId"])
        return str(request["webhook_url"])

    def headers(
        self,
        body: bytes,
        request_id: str,
        *,
        key: Ed25519PrivateKey | None = None,
        user_id: str = ACCOUNT,
        timestamp: int | None = None,
        seconds_ago: int = 0,
    ) -> dict[str, str]:
        moment = int(time.time()) - seconds_ago if timestamp is None else timestamp
        return signed(body, key=key or self.keys.key, request_id=request_id, user_id=user_id, timestamp=moment)

    async def says_ok(self, url: str, request_id: str, **changes: Any) -> httpx.Response:
        """A webhook that fal signed; `changes` make it one that fal would not have."""
        body = notice(request_id=request_id)
        return await self.post(url, body, self.headers(body, request_id, **changes))

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.service.client.post(url, content=body, headers=headers)
