"""What stands before an API in production: it ends TLS, as clients insist on it, and can lose answers."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from lab.devstack.ports import HOST
from tests.certificates import Certificate

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
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            is_clients = WEBHOOKS not in head
            if is_clients:
                self.requests.append(head.partition(b" HTTP/")[0].decode())
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
            far_writer.write(head + body)
            if is_clients and head.startswith(b"POST") and self.answers_to_lose:
                self.answers_to_lose -= 1
                far_writer.close()
                return writer.transport.abort()
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def tls_front(certificate: Certificate) -> AsyncIterator[Front]:
    """Whose `target` is to be set."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    front = Front()
    server = await asyncio.start_server(front.carry, "localhost", 0, family=2, ssl=context)
    front.port = server.sockets[0].getsockname()[1]
    yield front
    server.close()
