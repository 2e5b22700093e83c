"""Real servers on loopback ports: the simulator, and somebody who receives its webhooks."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response

from lab.simulator.app import simulator_server
from lab.simulator.settings import SimulatorSettings
from tests.eventually import PATIENCE, eventually
from tests.servers import listening, loopback_socket

KEY = {"authorization": "Key id:secret"}
VEO = "fal-ai/veo3.1/fast"


@dataclass(frozen=True, kw_only=True)
class RunningSimulator:
    url: str
    port: int
    http: httpx.AsyncClient

    async def post(
        self, prompt: str, *, webhook: str | None = None, endpoint: str = VEO, **arguments: Any
    ) -> httpx.Response:
        params = {} if webhook is None else {"fal_webhook": webhook}
        return await self.http.post(f"/{endpoint}", params=params, json={"prompt": prompt, **arguments})

    async def submit(
        self, prompt: str, *, webhook: str | None = None, endpoint: str = VEO, **arguments: Any
    ) -> dict[str, Any]:
        response = await self.post(prompt, webhook=webhook, endpoint=endpoint, **arguments)
        assert response.status_code == 200, response.text
        accepted: dict[str, Any] = response.json()
        return accepted

    async def ended(self, accepted: dict[str, Any]) -> dict[str, Any]:
        """The status once it is COMPLETED."""

        async def completed() -> dict[str, Any]:
            body: dict[str, Any] = (await self.http.get(accepted["status_url"])).json()
            assert body["status"] == "COMPLETED"
            return body

        return await eventually(completed, every=0.02)

    async def result(self, accepted: dict[str, Any]) -> httpx.Response:
        await self.ended(accepted)
        return await self.http.get(accepted["response_url"])

    async def skip(self, seconds: float) -> None:
        assert (await self.http.post("/__sim/clock", json={"seconds": seconds})).status_code == 204

    async def seen(self, request_id: str) -> dict[str, Any]:
        requests: list[dict[str, Any]] = (await self.http.get("/__sim/requests")).json()
        return next(request for request in requests if request["request_id"] == request_id)

    async def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = (await self.http.get("/__sim/stats")).json()
        return stats


@asynccontextmanager
async def running(
    settings: SimulatorSettings, *, port: int = 0, certificate: Path | None = None, private_key: Path | None = None
) -> AsyncIterator[RunningSimulator]:
    with loopback_socket(port) as bound:
        port = bound.getsockname()[1]
        server = simulator_server(settings, port=port, certificate=certificate, private_key=private_key)
        url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{port}"
        verify = True if certificate is None else ssl.create_default_context(cafile=certificate)
        async with (
            listening(server, bound),
            httpx.AsyncClient(base_url=url, headers=KEY, verify=verify, timeout=PATIENCE) as http,
        ):
            yield RunningSimulator(url=url, port=port, http=http)


@dataclass(frozen=True, kw_only=True)
class Received:
    headers: dict[str, str]
    body: bytes
    query: dict[str, str]


@dataclass(kw_only=True)
class Receiver:
    """Keeps every webhook, and answers with the codes it was given, then 200."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: Request) -> Response:
        received = Received(headers=dict(request.headers), body=await request.body(), query=dict(request.query_params))
        async with self.arrived:
            self.received.append(received)
            self.arrived.notify_all()
        return Response(status_code=self.answers.pop(0) if self.answers else 200, headers={"location": self.url})

    async def wait_for(self, number: int) -> list[Received]:
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= number)
        return self.received


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    with loopback_socket() as bound:
        receiver = Receiver(url=f"http://127.0.0.1:{bound.getsockname()[1]}/hook")
        app = FastAPI()
        app.add_route("/hook", receiver.take, methods=["POST", "GET"])
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        async with listening(uvicorn.Server(config), bound):
            yield receiver
