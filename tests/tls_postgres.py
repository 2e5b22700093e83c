"""TLS in front of the tests' Postgres, whose build has none: what a server with a certificate says to its clients."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.certificates import Certificate
from tests.tcp_server import relay, tcp_server

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
CANCEL_REQUEST = struct.pack("!ii", 16, 80877102)


@dataclass(frozen=True)
class Startup:
    """How a client began."""

    is_encrypted: bool
    message: bytes


@dataclass
class TlsFront:
    target: int
    context: ssl.SSLContext
    port: int = 0
    startups: list[Startup] = field(default_factory=list)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        is_encrypted = head == SSL_REQUEST
        if is_encrypted:
            writer.write(b"S")
            await writer.start_tls(self.context)
            head = await reader.readexactly(8)
        length, _ = struct.unpack("!ii", head)
        message = head + await reader.readexactly(length - 8)
        if head != CANCEL_REQUEST:
            self.startups.append(Startup(is_encrypted, message))
        await relay(reader, writer, self.target, message)


@asynccontextmanager
async def tls_front(target: int, certificate: Certificate) -> AsyncIterator[TlsFront]:
    """On a port of its own, before the server at that one. Clients may come without TLS as well."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    front = TlsFront(target, context)
    async with tcp_server(front.carry) as front.port:
        yield front
