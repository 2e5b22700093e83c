"""The page's files as they are served."""

import re

import pytest

from api.page import WEB
from reelay.domain.generation import JobType, Stage
from tests.running import Service, running_service
from tests.servers import Servers

FILES = sorted(path.name for path in WEB.iterdir())
ADDRESS = re.compile(r'(?:src|href)="(/[^"]*)"|(?:from|import) "\./([^"]+)"')


async def test_the_root_is_the_page(patient_service: Service) -> None:
    response = await patient_service.client.get("/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "{{" not in response.text


async def test_the_page_knows_where_runs_are_looked_at(servers: Servers) -> None:
    async with running_service(servers, worker=False, temporal_ui_url="https://runs.test/") as service:
        assert "https://runs.test/namespaces/default/workflows/generation-" in (await service.client.get("/")).text


@pytest.mark.parametrize("name", FILES)
async def test_files_come_with_what_keeps_browsers_safe(patient_service: Service, name: str) -> None:
    response = await patient_service.client.get(f"/web/{name}")

    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/web/reelay.js"])
async def test_what_has_not_changed_is_not_sent_again(patient_service: Service, path: str) -> None:
    first = await patient_service.client.get(path)
    assert first.headers["cache-control"] == "no-cache"

    again = await patient_service.client.get(path, headers={"if-none-match": f"W/{first.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    changed = await patient_service.client.get(path, headers={"if-none-match": '"another"'})
    assert changed.content == first.content


async def test_everything_that_the_page_loads_is_served_here(patient_service: Service) -> None:
    for name in ("index.html", *(name for name in FILES if name.endswith(".js"))):
        for address, module in ADDRESS.findall((WEB / name).read_text()):
            response = await patient_service.client.get(address or f"/web/{module}")
            assert response.status_code == 200, (name, address or module)


@pytest.mark.parametrize("name", ["nothing.js", "..%2fsettings.py", "..%2f..%2fetc%2fpasswd", "%2e%2e%2fcli.py"])
async def test_nothing_else_is_served(patient_service: Service, name: str) -> None:
    assert (await patient_service.client.get(f"/web/{name}")).status_code == 404


def test_page_has_a_text_for_every_stage_and_type() -> None:
    texts = (WEB / "format.js").read_text()
    for name in (*Stage, *JobType):
        assert re.search(rf"^  {name}: ", texts, re.MULTILINE), name
