"""The page's files as they are served, and the cookie by which a browser reads media."""

import re
import time
from uuid import uuid4

import httpx
import pytest

from api.media_access import COOKIE
from api.page import WEB
from domain.failure import FailureCode
from domain.generation import JobType, Stage
from domain.media_session import LIFETIME, make_media_session, read_media_session
from tests.api.shared import problem
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


def test_there_are_words_for_every_state_and_failure() -> None:
    words = (WEB / "words.js").read_text()
    for name in (*Stage, *JobType, *FailureCode):
        assert re.search(rf"^  {name}: ", words, re.MULTILINE), name


async def test_a_browser_reads_media_by_its_cookie(patient_service: Service, bob: httpx.AsyncClient) -> None:
    job = await patient_service.until(await patient_service.create("for a browser"), "completed")
    address = job["resultUrl"]
    opened = await patient_service.client.post("/api/media/session")
    assert opened.status_code == 204
    words = opened.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/api/media", "max-age=900"} <= set(words.split("; "))
    patient_service.client.cookies.clear()

    async with httpx.AsyncClient(base_url=patient_service.origin) as browser:
        problem(await browser.get(address), 401, "UNAUTHENTICATED")
        browser.headers["cookie"] = f"{COOKIE}={opened.cookies[COOKIE]}"
        part = await browser.get(address, headers={"range": "bytes=0-99"})
        assert (part.status_code, len(part.content)) == (206, 100)
        problem(await browser.get(f"/api/jobs/{job['id']}"), 401, "UNAUTHENTICATED")
        problem(await browser.post("/api/media/session"), 401, "UNAUTHENTICATED")

        bobs = (await bob.post("/api/media/session")).cookies[COOKIE]
        bob.cookies.clear()
        browser.headers["cookie"] = f"{COOKIE}={bobs}"
        problem(await browser.get(address), 404, "NOT_FOUND")
        browser.headers["cookie"] = f"{COOKIE}={bobs[:-2]}xx"
        problem(await browser.get(address), 401, "UNAUTHENTICATED")


async def test_the_header_counts_where_both_are_sent(patient_service: Service, bob: httpx.AsyncClient) -> None:
    job = await patient_service.until(await patient_service.create("for its owner"), "completed")
    session = (await patient_service.client.post("/api/media/session")).cookies[COOKIE]
    patient_service.client.cookies.clear()

    problem(await bob.get(job["resultUrl"], headers={"cookie": f"{COOKIE}={session}"}), 404, "NOT_FOUND")


def test_a_media_session_ends() -> None:
    user, now = uuid4(), time.time()

    assert read_media_session(b"pepper", make_media_session(b"pepper", user, now=now)) == user
    late = now - LIFETIME.total_seconds() - 1
    assert read_media_session(b"pepper", make_media_session(b"pepper", user, now=late)) is None
    assert read_media_session(b"salt", make_media_session(b"pepper", user)) is None
