"""A public address with a path, https://example.com/reelay: whether the proxy in front takes the path away or not."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from lab.devstack.ports import free_ports
from reelay.settings import Settings
from tests.eventually import PATIENCE
from tests.running import Job, Service, running_service
from tests.servers import Servers

PREFIX = "/reelay"
ADDRESS = re.compile(r"""(?:src|href|url)(?:=|: )["']([^"'#]+)""")


@pytest.fixture(scope="module")
async def below(servers: Servers) -> AsyncIterator[Service]:
    """Webhooks come by the public address, and so with its path."""
    (port,) = free_ports(1)
    public = f"http://127.0.0.1:{port}{PREFIX}"
    async with running_service(servers, port=port, app_url=public, webhook_patience=600) as service:
        yield service


@pytest.fixture(scope="module")
async def finished(below: Service) -> Job:
    return await below.until(await below.create(), "completed")


async def test_every_address_in_an_answer_leads_through_the_path(below: Service, finished: Job) -> None:
    created = await below.client.post("/api/generate/video", json={"prompt": "a harbour", "quality": "fast"})
    addresses = [created.json()["statusUrl"], created.json()["eventsUrl"], created.headers["location"]]
    addresses += [finished["resultUrl"], *(file["posterUrl"] for file in finished["files"])]
    for address in addresses:
        assert address.startswith(f"{below.settings.app_url}/api/")
        async with below.client.stream("GET", address) as answer:
            assert answer.status_code == 200


async def test_the_provider_reports_through_the_path(below: Service, finished: Job) -> None:
    (delivery,) = await below.deliveries(finished["id"], count=1)
    assert delivery["status_code"] == 200
    assert finished["status"] == "completed"  # polls would have begun after ten minutes


async def test_links_that_the_database_makes_lead_through_the_path(below: Service, finished: Job) -> None:
    async with below.sessions() as session:
        link = await session.scalar(text("select video_url from video_tasks where id = :job"), {"job": finished["id"]})
    assert link.startswith(f"{below.settings.app_url}/api/media/")
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(link)).status_code == 200


@pytest.mark.parametrize("passed_on", ["", PREFIX], ids=["taken away", "passed on"])
async def test_both_kinds_of_proxies_are_understood(below: Service, finished: Job, passed_on: str) -> None:
    at = f"{below.origin}{passed_on}"
    assert (await below.client.get(f"{at}/api/jobs/{finished['id']}")).json()["id"] == finished["id"]
    assert (await below.client.get(f"{at}/healthz")).status_code == 200
    document = (await below.client.get(f"{at}/openapi.json")).json()
    assert document["servers"] == [{"url": below.settings.app_url}]
    assert (await below.client.get(f"{at}/api/nothing")).json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize("page", ["/", "/admin", "/docs"])
@pytest.mark.parametrize("passed_on", ["", PREFIX], ids=["taken away", "passed on"])
async def test_pages_load_what_lies_beside_them(below: Service, page: str, passed_on: str) -> None:
    here = f"{below.origin}{passed_on}{page}"
    addresses = ADDRESS.findall((await below.client.get(here)).text)
    assert addresses
    for address in addresses:
        answer = await below.client.get(urljoin(here, address))
        assert answer.status_code == 200, address


async def test_the_page_without_its_slash_is_redirected_to_the_one_with_it(below: Service) -> None:
    answer = await below.client.get(f"{below.origin}{PREFIX}")
    assert (answer.status_code, answer.headers["location"]) == (308, f"{PREFIX}/")


async def test_what_only_begins_like_the_path_is_no_address(below: Service) -> None:
    for path in ("/reelayed/api/models", "/other/api/models", f"{PREFIX}{PREFIX}/api/models"):
        assert (await below.client.get(f"{below.origin}{path}")).status_code == 404


@pytest.mark.parametrize(("peer", "scheme"), [("127.0.0.2", "https"), ("127.0.0.1", "http")])
async def test_without_a_public_address_links_go_by_the_word_of_a_named_proxy(
    servers: Servers, peer: str, scheme: str
) -> None:
    async with running_service(servers, worker=False, app_url=None, trusted_proxies="127.0.0.2") as service:
        headers = dict(service.client.headers) | {"x-forwarded-proto": "https", "host": "reelay.example.com"}
        transport = httpx.AsyncHTTPTransport(local_address=peer)
        async with httpx.AsyncClient(base_url=service.origin, transport=transport, timeout=PATIENCE) as proxy:
            created = await proxy.post("/api/generate/video", json={"prompt": "a harbour"}, headers=headers)
    assert created.json()["statusUrl"].startswith(f"{scheme}://reelay.example.com/api/jobs/")


@pytest.mark.parametrize("url", ["https://example.com/api", "https://example.com/web/x", "https://example.com/a%20b"])
def test_a_path_that_is_one_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="APP_URL: its path must"):
        Settings.model_validate({"app_url": url, "api_key_pepper": "pepper"})
