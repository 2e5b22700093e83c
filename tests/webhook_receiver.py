"""A user's own backend: it keeps what it is sent, and answers what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from lab.devstack.ports import HOST
from tests.eventually import eventually
from tests.tcp_server import tcp_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


def answer(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, by the library of Standard Webhooks. Raises: WebhookVerificationError."""
        event: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return event


@dataclass
class WebhookReceiver:
    origin: str = ""
    received: list[Received] = field(default_factory=list)
    answers: Callable[[Received], bytes | None] = lambda received: OK
    """None: it keeps the connection, and says nothing."""

    def url(self, path: str = "/hook") -> str:
        return self.origin + path

    async def requests(self, count: int, *, type: str | None = None, path: str | None = None) -> list[Received]:
        """What came, of events of that type and to that path, once it is so many."""

        async def came() -> list[Received]:
            found = [
                each
                for each in self.received
                if (type is None or f'"type":"{type}"'.encode() in each.body) and path in (None, each.path)
            ]
            assert len(found) >= count, f"{len(found)} of {count} {type or ''}"
            return found

        return await eventually(came)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        received = Received(head[0].split()[1], headers, body)
        self.received.append(received)
        said = self.answers(received)
        if said is None:
            await reader.read()  # until the other side has had enough
        else:
            writer.write(said)


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    async with tcp_server(receiver.serve) as port:
        receiver.origin = f"http://{HOST}:{port}"
        yield receiver
