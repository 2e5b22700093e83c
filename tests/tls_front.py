"""What stands before an API in production: it ends TLS, as clients insist on it, and can lose answers."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.certificates import Certificate
from tests.tcp_server import abort, connection, relay, tcp_server

WEBHOOKS = b" /api/fal/webhook"
"""The provider comes this way, too."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Front:
    port: int = 0
    target: int = 0
    """The API's port."""
    requests: list[str] = field(default_factory=list)
    """The first line of each connection's first request, but for the provider's."""
    answers_to_lose: int = 0
    """Of so many POSTs that begin a connection, both connections end before the answer."""

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        is_clients = WEBHOOKS not in head
        if is_clients:
            self.requests.append(head.partition(b" HTTP/")[0].decode())
        if is_clients and head.startswith(b"POST") and self.answers_to_lose:
            self.answers_to_lose -= 1
            async with connection(self.target) as (_, far_writer):
                far_writer.write(head + body)
            abort(writer)
        else:
            await relay(reader, writer, self.target, head + body)


@asynccontextmanager
async def tls_front(certificate: Certificate) -> AsyncIterator[Front]:
    """Whose `target` is to be set."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    front = Front()
    async with tcp_server(front.carry, tls=context) as front.port:
        yield front
