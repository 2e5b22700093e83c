"""Whose word is taken on where a request comes from: a proxy's that is named, and of that the part it wrote itself."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
import uvicorn
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from api.server import server_config
from reelay.settings import Settings
from tests.servers import listening, loopback_socket

PEER, OTHER_PEER = "127.0.0.1", "127.0.0.2"
CLIENT = "203.0.113.9"
Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Who the caller is, as everything behind the server sees it."""
    body = json.dumps([scope["scheme"], scope["client"][0]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(trusted: Sequence[str], *, peer: str = PEER) -> AsyncIterator[httpx.AsyncClient]:
    config = server_config(echo, trusted_proxies=trusted, lifespan="off", log_level="critical")
    transport = httpx.AsyncHTTPTransport(local_address=peer)
    async with (
        listening(uvicorn.Server(config), loopback_socket()) as origin,
        httpx.AsyncClient(base_url=origin, transport=transport) as client,
    ):
        yield client


async def seen(client: httpx.AsyncClient, *forwarded_for: str, scheme: str = "https") -> list[str]:
    headers = [(b"x-forwarded-proto", scheme.encode())]
    headers += [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded_for]
    answer: list[str] = (await client.get("/", headers=headers)).json()
    return answer


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"], [OTHER_PEER], ["::/0"]])
async def test_what_others_forge_is_not_believed(trusted: list[str]) -> None:
    async with serving(trusted) as client:
        assert await seen(client, CLIENT) == ["http", PEER]


@pytest.mark.parametrize("trusted", [[PEER], ["127.0.0.0/8"], ["10.0.0.0/8", "127.0.0.1/32"]])
async def test_a_named_proxy_is_believed(trusted: list[str]) -> None:
    async with serving(trusted) as client:
        assert await seen(client, CLIENT) == ["https", CLIENT]


async def test_networks_are_matched_by_the_peers_address() -> None:
    async with serving(["127.0.0.2/31"], peer=OTHER_PEER) as client:
        assert await seen(client, CLIENT) == ["https", CLIENT]
    async with serving(["127.0.0.2/31"]) as client:
        assert await seen(client, CLIENT) == ["http", PEER]


@pytest.mark.parametrize(
    ("chain", "client_is"),
    [
        (["198.51.100.1, 203.0.113.9"], CLIENT),  # the caller's own words, then what the proxy saw
        (["198.51.100.1", CLIENT], CLIENT),  # the same in two headers
        (["198.51.100.1, 203.0.113.9, 10.1.1.1"], CLIENT),  # through a second proxy of ours
        ([f"{CLIENT}, 10.1.1.1, 10.1.1.2"], CLIENT),
        (["10.1.1.1"], "10.1.1.1"),
        (["2001:db8::9"], "2001:db8::9"),
        (["[2001:db8::9]:4711, 10.1.1.1"], "2001:db8::9"),
        ([f"{CLIENT}:4711"], CLIENT),
        ([""], PEER),
    ],
)
async def test_of_a_chain_the_last_that_is_no_proxy_of_ours_counts(chain: list[str], client_is: str) -> None:
    async with serving([PEER, "10.0.0.0/8"]) as client:
        assert await seen(client, *chain) == ["https", client_is]


@pytest.mark.parametrize("garbage", ["x" * 5_000, "'; drop table users", "unknown, _, , 1", "%00", "[::1", "\xff"])
async def test_garbage_costs_nobody_the_answer(garbage: str) -> None:
    async with serving([PEER]) as client:
        scheme, _ = await seen(client, garbage, scheme="gopher")
        assert scheme == "http"
        assert await seen(client, f"{garbage}, {CLIENT}") == ["https", CLIENT]


async def test_a_proxy_at_an_ipv6_address_is_believed() -> None:
    bound = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        bound.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = bound.getsockname()[1]
    for trusted, expected in (("::1", ["https", CLIENT]), ("::/64", ["https", CLIENT]), ("fd00::/8", ["http", "::1"])):
        config = server_config(echo, trusted_proxies=[trusted], lifespan="off", log_level="critical")
        async with (
            listening(uvicorn.Server(config), bound.dup()),
            httpx.AsyncClient(base_url=f"http://[::1]:{port}") as client,
        ):
            assert await seen(client, CLIENT) == expected
    bound.close()


@pytest.mark.parametrize("value", ["*", "proxy.internal", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1;::1", "127.0.0.1:80"])
def test_what_would_never_match_or_match_everybody_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="TRUSTED_PROXIES: each is an address or a network"):
        Settings.model_validate({"trusted_proxies": value})
