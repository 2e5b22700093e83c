"""The servers of these tests leave nothing to the test after them."""

import asyncio
import gc
import socket
import ssl
import warnings
from contextlib import suppress

import pytest

from lab.devstack.ports import HOST
from tests.tcp_server import connection, relay, tcp_server


async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("tls", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)])
async def test_a_connection_that_is_made_when_the_block_ends_is_closed(tls: ssl.SSLContext | None, steps: int) -> None:
    """`steps`: so many the event loop has done since it came."""
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always")
        async with tcp_server(wait) as far:

            async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await relay(reader, writer, far)

            async with tcp_server(carry, tls=tls) as port:
                client = socket.create_connection((HOST, port))
                for _ in range(steps):
                    await asyncio.sleep(0)
            with client, suppress(ConnectionResetError):
                client.settimeout(0)
                assert client.recv(1) == b""
        gc.collect()
    assert leaks == []


async def test_all_that_a_handler_writes_arrives() -> None:
    written = bytes(10_000_000)  # more than the system takes at once

    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(written)

    async with tcp_server(write) as port, connection(port) as (reader, _):
        assert await reader.read() == written


async def test_what_a_handler_raises_is_raised_when_the_block_ends() -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("unexpected")

    async def use() -> None:
        async with tcp_server(fail) as port, connection(port) as (reader, _):
            assert await reader.read() == b""

    with pytest.raises(AssertionError, match="unexpected"):
        await use()
