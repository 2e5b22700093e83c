"""What a stranger's connection may send and hold: bounded in bytes, time and number."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from api.connections import ConnectionLimits
from api.server import configured_server, server_config
from reelay.settings import Settings
from tests.eventually import PATIENCE
from tests.servers import listening, loopback_socket

GET = b"GET /answer HTTP/1.1\r\nhost: x\r\n\r\n"
KIBIBYTE = 1024
LONG = 1e6
"""Seconds: as long as a test never waits."""


@dataclass
class Client:
    """One connection, by the byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def flood(self, data: bytes) -> None:
        """Returns when the server has hung up."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while True:
                    await self.send(data)

    async def answer(self) -> bytes:
        """The next answer of `/answer`."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b'"an answer"')

    async def until_closed(self) -> bytes:
        """What comes before the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:  # it was still being written to
                return b""


Connect = Callable[[], AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def serving(limits: ConnectionLimits) -> AsyncIterator[Connect]:
    app = FastAPI()

    @app.get("/answer")
    async def answer() -> str:
        return "an answer"

    @app.post("/answer")
    async def read(request: Request) -> str:
        await request.body()
        return "an answer"

    @app.post("/unread")
    async def unread() -> str:
        return "an answer"

    config = server_config(
        app, trusted_proxies=(), limits=limits, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    async with listening(uvicorn.Server(config), loopback_socket()) as origin:
        url = httpx.URL(origin)

        @asynccontextmanager
        async def connect() -> AsyncIterator[Client]:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            yield Client(reader, writer)
            writer.close()

        yield connect


def is_problem(answer: bytes, status: int, code: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert b"x-request-id: " in head
    assert b"connection: close" in head
    told = json.loads(body)
    assert len(body) < KIBIBYTE
    return (told["status"], told["code"]) == (status, code)


HEADS = {
    "one header": b"GET /answer HTTP/1.1\r\nx: " + b"a" * 100 * KIBIBYTE,
    "many headers": b"GET /answer HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % number for number in range(10_000)),
    "all of it": b"GET /answer HTTP/1.1\r\nx: " + b"a" * 70 * KIBIBYTE + b"\r\n\r\n",
    "the address": b"GET /" + b"a" * 100 * KIBIBYTE,
    "a name": b"GET /answer HTTP/1.1\r\n" + b"a" * 100 * KIBIBYTE,
}


@pytest.mark.fault("W15")
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("piece", [1000, 100 * KIBIBYTE])
async def test_a_head_over_the_limit_is_refused_however_it_comes(head: bytes, piece: int) -> None:
    async with serving(ConnectionLimits(head_seconds=LONG)) as connect, connect() as client:
        for begin in range(0, len(head), piece):
            await client.send(head[begin : begin + piece])
            await asyncio.sleep(0)
        assert is_problem(await client.until_closed(), 431, "PAYLOAD_TOO_LARGE")


@pytest.mark.fault("W15")
async def test_an_endless_header_costs_no_more_than_the_limit() -> None:
    async with serving(ConnectionLimits(head_seconds=LONG)) as connect, connect() as client:
        await client.send(b"GET /answer HTTP/1.1\r\nx: ")
        await client.flood(b"a" * 64 * KIBIBYTE)


@pytest.mark.fault("W15")
async def test_trailers_are_limited_too() -> None:
    async with serving(ConnectionLimits(head_seconds=LONG)) as connect, connect() as client:
        await client.send(b"POST /answer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
        await client.flood(b"x: a\r\n" * 10_000)


async def test_a_head_of_half_the_limit_is_taken() -> None:
    async with serving(ConnectionLimits()) as connect, connect() as client:
        await client.send(GET[:-2] + b"x: " + b"a" * 32 * KIBIBYTE + b"\r\n\r\n")
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")


async def test_a_large_body_is_no_head() -> None:
    async with serving(ConnectionLimits()) as connect, connect() as client:
        await client.send(b"POST /answer HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"a" * 1_000_000)
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
        chunks = b"".join(b"5\r\nabcde\r\n" for _ in range(50_000))
        await client.send(b"POST /answer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(chunks + b"0\r\n\r\n")
        assert (await client.answer()).strip().startswith(b"HTTP/1.1 200 ")


@pytest.mark.fault("W15")
@pytest.mark.parametrize("begun", [b"G", GET[:-2]])
@pytest.mark.parametrize("before", [b"", GET])
async def test_a_head_that_does_not_arrive_in_time_is_given_up(begun: bytes, before: bytes) -> None:
    async with serving(ConnectionLimits(head_seconds=0.3)) as connect, connect() as client:
        if before:
            await client.send(before)
            await client.answer()
        await client.send(begun)
        assert is_problem(await client.until_closed(), 408, "REQUEST_TIMEOUT")


async def trickle(client: Client, data: bytes) -> None:
    while True:
        await client.send(data)
        await asyncio.sleep(0.05)


@pytest.mark.fault("W15")
@pytest.mark.parametrize("drop", [b"\r\n", b"x: a\r\n"], ids=["empty lines", "headers"])
async def test_dripping_bytes_win_no_time(drop: bytes) -> None:
    async with serving(ConnectionLimits(head_seconds=0.3)) as connect, connect() as client:
        if drop != b"\r\n":
            await client.send(GET[:-2])
        dripping = asyncio.create_task(trickle(client, drop))
        await client.until_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_connection_without_a_request_is_closed() -> None:
    async with serving(ConnectionLimits(head_seconds=0.3)) as connect, connect() as client:
        assert await client.until_closed() == b""


async def test_an_idle_connection_stays_longer_than_a_head_may_take_and_is_closed_then() -> None:
    async with serving(ConnectionLimits(head_seconds=0.1, idle_seconds=2)) as connect, connect() as client:
        for _ in range(2):
            await client.send(GET)
            await client.answer()
            await asyncio.sleep(0.5)
        assert await client.until_closed() == b""


def test_idle_connections_outlive_those_of_a_load_balancer() -> None:
    def kept_for(**values: str) -> object:
        settings = Settings(_env_file=None, **values)  # type: ignore[arg-type]  # as the environment has them
        http = configured_server(FastAPI(), settings, host="127.0.0.1", port=8000).config.http
        assert isinstance(http, partial)
        return http.keywords["limits"].idle_seconds

    assert kept_for() == ConnectionLimits().idle_seconds > 60
    assert kept_for(keep_alive="620") == 620


async def test_a_connection_is_idle_again_after_a_body_that_nobody_read() -> None:
    async with serving(ConnectionLimits(head_seconds=0.1, idle_seconds=60)) as connect, connect() as client:
        await client.send(b"POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n")
        await client.answer()
        await client.send(b"abc")
        await asyncio.sleep(0.5)
        await client.send(GET)
        await client.answer()


async def test_of_too_many_idle_connections_the_oldest_is_closed() -> None:
    limits = ConnectionLimits(head_seconds=LONG, idle_seconds=3600, idle_connections=2)
    async with serving(limits) as connect, connect() as first, connect() as second:
        for client in (first, second, first):  # the second is the oldest now
            await client.send(GET)
            await client.answer()
        async with connect() as third:
            assert await second.until_closed() == b""
            for client in (first, third):
                await client.send(GET)
                await client.answer()


async def test_requests_in_a_pipeline_are_all_answered() -> None:
    async with serving(ConnectionLimits()) as connect, connect() as client:
        await client.send(GET * 50)
        for _ in range(50):
            await client.answer()
