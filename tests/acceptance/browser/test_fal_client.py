"""fal's official JavaScript client in pages: of our own origin and of others, by session, token and key."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, Request
from pydantic import SecretStr

from api.doors.fal.ignored import IGNORED
from api.http.middleware import EXPOSED
from tests.acceptance.browser.conftest import PATIENCE_MS
from tests.acceptance.browser.front import serving
from tests.acceptance.browser.react import played
from tests.acceptance.browser.second_api import SecondApi
from tests.acceptance.doors.conftest import codes_of
from tests.acceptance.doors.test_fal_javascript import check
from tests.integration.api.issuer import SECRET, by_secret, claims
from tests.node import FAL_TYPES, install_packages, run_node
from tests.running import Service

SOURCE = FAL_TYPES / "node_modules" / "@fal-ai" / "client" / "src"
PROXY = "/api/fal/proxy"
BY_TOKEN, BY_COOKIE, BY_KEY = range(1, 4)
"""The ways into Reelay that the guide shows for pages, by their place in it."""


def program(folder: Path, configuration: str) -> str:
    """The guide's code and the conversation, put together with the package as a front's own build would."""
    install_packages(FAL_TYPES)
    source = folder / "front.mjs"
    source.write_text(
        f"""
        import {{ fal }} from "@fal-ai/client";
        import {json.dumps(str(FAL_TYPES / "in_browser.mjs"))};
        const key = location.hash.slice(1), accessToken = async () => key;
        {configuration}
        """
    )
    variables = {"NODE_PATH": str(FAL_TYPES / "node_modules")}
    return run_node("esbuild", str(source), "--bundle", "--format=esm", "--log-level=error", variables=variables)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[str]:
    """A page's origin, of another site than the API."""
    (tmp_path / "index.html").write_text(
        "<!doctype html><title>A front</title><video></video><script type=module src=front.js></script>"
    )
    async with serving(tmp_path) as origin:
        yield origin.replace("127.0.0.1", "localhost")


@pytest.fixture
async def api(service: Service, front: str) -> AsyncIterator[SecondApi]:
    """It has been told of the front, and of who signs its users' sessions."""
    named = {"jwt_secret": SecretStr(SECRET), "starting_credits_cents": 100_000, "app_url": None}
    fronts = front, front.replace("localhost", "127.0.0.1")
    api = SecondApi(service.settings.model_copy(update={**named, "cors_origins": fronts}))
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield await context.new_page()
    await context.close()


async def sign_in(page: Page, api: SecondApi) -> None:
    """The browser has a user's session at the API."""
    session = quote(json.dumps({"access_token": by_secret(claims(sub=str(uuid4())))}))
    await page.context.add_cookies([{"name": "sb-front-auth-token", "value": session, "url": api.origin}])


async def enter(page: Page, front: str, api: SecondApi, folder: Path, *, way: int, credential: str = "") -> None:
    """The front's page, whose program is configured as the guide says."""
    configuration = codes_of("fal-javascript.md", "js")[way].replace("https://reelay.example", api.origin)
    (folder / "front.js").write_text(program(folder, configuration))
    await page.goto(f"{front}/#{credential}")


def headers_in_source() -> set[str]:
    """All of fal's that the client's HTTP calls know by name."""
    text = "".join(file.read_text() for file in SOURCE.glob("*.js") if file.name != "realtime.js")
    return {name.lower() for name in re.findall(r"""["'](x-(?:app-)?fal-[a-z-]+)["']""", text, re.IGNORECASE)}


async def test_the_whole_conversation_from_another_origin_by_its_users_token(
    page: Page, front: str, api: SecondApi, tmp_path: Path
) -> None:
    answered: list[Request] = []
    page.on("requestfinished", lambda request: answered.append(request))
    await enter(page, front, api, tmp_path, way=BY_TOKEN, credential=by_secret(claims()))
    said = await page.evaluate("converse()")
    check(said, media_at=f"{api.origin}/api/media/")
    assert said["logs"]
    assert said["uploaded"].startswith(f"{api.origin}/fal/files/")

    video = page.locator("video")
    await video.evaluate("(video, address) => { video.src = address; }", said["video"]["url"])
    assert await played(video) > 0
    assert await video.evaluate("video => [video.readyState >= 2, video.videoWidth]") == [True, 1280]

    calls = [each for each in answered if each.url == f"{api.origin}{PROXY}"]
    sent = {name for each in calls for name in await each.all_headers()}
    in_answers = headers_in_source() & set(EXPOSED)
    assert in_answers == {"x-fal-request-id", "x-fal-request-timeout-type"}
    assert headers_in_source() - in_answers <= sent
    ignored = [await answer.header_value(IGNORED) for each in calls if (answer := await each.response())]
    assert {*ignored} - {None} == {"x-fal-object-lifecycle-preference, x-fal-runner-hint", "x-fal-object-lifecycle"}


async def test_the_whole_conversation_from_another_origin_by_key(
    service: Service, page: Page, front: str, api: SecondApi, tmp_path: Path
) -> None:
    """Past the proxy, at the addresses that are those of fal's hosts here."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    await enter(page, front, api, tmp_path, way=BY_KEY, credential=key)
    said = await page.evaluate("converse()")
    check(said, media_at=f"{api.origin}/api/media/")
    assert (await service.job(said["requestId"]))["status"] == "completed"
    for place in ("queue", "run", "rest"):
        assert any(address.startswith(f"{api.origin}/fal/{place}/") for address in asked)


async def test_another_origin_of_the_same_site_goes_by_its_users_session(
    page: Page, front: str, api: SecondApi, tmp_path: Path
) -> None:
    await sign_in(page, api)
    await enter(page, front.replace("localhost", "127.0.0.1"), api, tmp_path, way=BY_COOKIE)
    said = await page.evaluate("""async () => {
      const input = { prompt: "a lake" };
      const { data } = await fal.subscribe("fal-ai/nano-banana", { input });
      return { images: data.images, uploaded: await fal.storage.upload(picture()) };
    }""")
    assert said["images"][0]["url"].startswith(f"{api.origin}/api/media/")
    assert said["uploaded"].startswith(f"{api.origin}/fal/files/")


async def test_an_origin_that_is_not_named_submits_nothing(
    service: Service, page: Page, front: str, api: SecondApi, tmp_path: Path
) -> None:
    await api.stop()
    stranger = SecondApi(service.settings.model_copy(update={"app_url": None}))
    await stranger.start()
    try:
        key = service.client.headers["authorization"].removeprefix("Bearer ")
        before = (await service.client.get("/api/jobs")).json()["data"]
        await enter(page, front, stranger, tmp_path, way=BY_KEY, credential=key)
        submit = 'fal.queue.submit("fal-ai/nano-banana", { input: { prompt: "a lake" } }).catch(({ name }) => name)'
        assert await page.evaluate(submit) == "TypeError"
        assert (await service.client.get("/api/jobs")).json()["data"] == before
    finally:
        await stranger.stop()


async def test_the_same_conversation_in_a_page_of_our_own_origin(page: Page, api: SecondApi, tmp_path: Path) -> None:
    """It has no key: our proxy address knows its user by the session."""
    await sign_in(page, api)
    await page.goto(f"{api.origin}/healthz")
    bundle = program(tmp_path, f'fal.config({{ proxyUrl: "{PROXY}" }});')
    await page.add_script_tag(content=bundle, type="module")
    await page.wait_for_function("globalThis.converse")
    check(await page.evaluate("converse()"), media_at=f"{api.origin}/api/media/")
