"""A user's backend: what Reelay told it, and how it answered. Every third time it fails, hangs up or is late."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from standardwebhooks import Webhook, WebhookVerificationError

from lab.devstack.ports import HOST

ADDRESSES = 10
"""Each is a receiver of its own to Reelay: what is sent to one is sent one after the other."""
SCHEDULE = "0,1,1,2,2,4,4,8,8,8"
"""Seconds, in place of 75 hours."""
TROUBLE = 0.3
LATE_SECONDS = 2.0


@dataclass(frozen=True)
class Told:
    """One webhook that was answered 2xx."""

    event_id: UUID
    type: str
    job_id: UUID


@dataclass
class Receiver:
    dice: Random
    origin: str = ""
    secret: str = ""
    told: list[Told] = field(default_factory=list)
    unsigned: int = 0
    """Requests that were not signed by the secret."""

    def url(self, number: int) -> str:
        return f"{self.origin}/{number % ADDRESSES}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            await self._answer(headers, body, writer)

    async def _answer(self, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.unsigned += 1
            return
        if self.dice.random() < TROUBLE:
            match self.dice.choice(("error", "hang up", "late")):
                case "error":
                    writer.write(b"HTTP/1.1 503 Trouble\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                case "hang up":
                    return
            await asyncio.sleep(LATE_SECONDS)
        event = json.loads(body)
        self.told.append(Told(UUID(headers["webhook-id"]), event["type"], UUID(event["data"]["id"])))
        writer.write(b"HTTP/1.1 204 Told\r\nconnection: close\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def receiving(seed: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(Random(seed))
    server = await asyncio.start_server(receiver.serve, HOST, 0)
    receiver.origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
