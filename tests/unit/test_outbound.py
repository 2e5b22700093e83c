"""Which requests leave through the operator's proxy."""

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from reelay.outbound import OutboundProxies, open_client
from reelay.settings import Settings
from tests.connect_proxy import connect_proxy

PROXY, SECURE_PROXY = "http://proxy.example:3128", "http://secure.example:3128"


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        ("", "https://queue.fal.run/x", False),
        ("*", "https://queue.fal.run/x", True),
        ("fal.run", "https://queue.fal.run/x", True),
        (".fal.run", "https://queue.fal.run/x", True),
        ("*.fal.run", "https://QUEUE.fal.run./x", True),
        ("fal.run", "https://evilfal.run/x", False),
        ("fal.run:443", "https://queue.fal.run/x", True),
        ("fal.run:8443", "https://queue.fal.run/x", False),
        ("10.0.0.0/8", "http://10.1.2.3:8080/x", True),
        ("10.0.0.0/8", "http://11.1.2.3:8080/x", False),
        ("10.0.0.0/8", "http://ten.example/x", False),
        ("127.0.0.1", "http://127.0.0.1:9000/x", True),
        ("::1", "http://[::1]:9000/x", True),
        ("localhost, 127.0.0.1 , fal.run", "https://fal.run/x", True),
    ],
)
def test_no_proxy_names_what_is_reached_directly(exceptions: str, url: str, direct: bool) -> None:
    settings = Settings.model_validate(
        {"http_proxy": PROXY, "https_proxy": SECURE_PROXY, "no_proxy": exceptions}, by_name=True
    )
    proxies = OutboundProxies.of(settings)
    expected = SECURE_PROXY if url.startswith("https") else PROXY
    assert proxies.for_url(httpx.URL(url)) == (None if direct else expected)


def test_the_environments_usual_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("NO_PROXY", "localhost,.internal.example")
    proxies = OutboundProxies.of(Settings(_env_file=None))
    assert (proxies.http, proxies.https) == (None, PROXY)
    assert proxies.exceptions == ("localhost", ".internal.example")


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy"])
@pytest.mark.parametrize("value", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy/path"])
def test_what_is_no_address_of_a_proxy_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ValidationError, match="each is an address like"):
        Settings.model_validate({variable: value})


async def test_a_proxy_that_opens_no_tunnel_proves_that_nothing_was_sent() -> None:
    async with connect_proxy({}) as proxy:
        settings = Settings(https_proxy=SecretStr(proxy.address), _env_file=None)
        async with open_client(settings) as client:
            with pytest.raises(httpx.ProxyError):
                await client.post("https://queue.fal.run/fal-ai/veo3.1", content=b"{}")
    assert proxy.asked == ["queue.fal.run:443"]
