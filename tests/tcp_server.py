"""A TCP server on loopback, and connections to another one, of which nothing is left when their block ends."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from lab.devstack.ports import HOST
from tests.servers import loopback_socket

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(handle: Handler, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port. A connection is closed when its handler ends, which may be by the error of a connection that has ended.

    At the block's end the handlers are cancelled and their connections aborted. Raises: what else a handler raised.
    """
    loop = asyncio.get_running_loop()
    listener = loopback_socket(port)
    handlers: list[asyncio.Task[None]] = []

    # asyncio's own server leaves what it has just accepted to the garbage collector when it is closed.
    def accept() -> None:
        accepted, _ = listener.accept()
        handlers.append(loop.create_task(_serve(handle, accepted, tls)))

    with listener:
        listener.setblocking(False)
        listener.listen()
        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            await asyncio.sleep(0)  # cancelled before its first step, a task would not close what it was given
            for handler in handlers:
                handler.cancel()
            for result in await asyncio.gather(*handlers, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result


async def _serve(handle: Handler, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    made: asyncio.Future[Streams] = loop.create_future()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(), lambda *streams: made.set_result(streams))
    try:
        await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
        reader, writer = made.result()
        await handle(reader, writer)
        await _close(writer)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        if made.done():
            abort(made.result()[1])


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Streams]:
    """To that port of loopback. Raises: OSError, if nobody listens there."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
        await _close(writer)
    finally:
        abort(writer)


def abort(writer: asyncio.StreamWriter) -> None:
    """Ends the connection at once, if it has not ended yet."""
    with suppress(AttributeError):  # of asyncio's own, where it ended when what it still had to send was sent
        writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Once everything is sent."""
    if not writer.is_closing():  # closed twice, one with TLS cannot be aborted any more
        writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, head: bytes = b"") -> None:
    """Carries `head`, and then all that comes, to that port and back until either side ends.

    Raises: OSError, if nobody listens there.
    """
    async with connection(port) as (far_reader, far_writer):
        far_writer.write(head)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *gates: asyncio.Event) -> None:
    """Each piece when all gates are open; the sink is closed when the source ends."""
    with suppress(OSError):
        while data := await source.read(64 * 1024):
            for gate in gates:
                await gate.wait()
            sink.write(data)
            await sink.drain()
    sink.close()
