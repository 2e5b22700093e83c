"""A front of another origin: it calls, listens and plays where it is named, by key and by its user's session cookie."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page
from pydantic import SecretStr

from tests.acceptance.browser.second_api import SecondApi
from tests.integration.api.issuer import SECRET, by_secret, claims
from tests.integration.api.test_session_cookie import kept, session_of
from tests.running import Service

BY_KEY = """async ([api, id, key]) => {
  const json = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  const headers = { authorization: `Bearer ${key}`, ...json };
  const made = await fetch(`${api}/api/campaigns`, { method: "POST", headers, body: '{"name": "Autumn"}' });
  const { token } = await (await fetch(`${api}/api/events/token`, { method: "POST", headers })).json();
  const job = await new Promise((done, failed) => {
    const events = new EventSource(`${api}/api/jobs/${id}/events?token=${token}`);
    events.addEventListener("job.updated", ({ data }) => { events.close(); done(JSON.parse(data)); });
    events.addEventListener("error", failed);
  });
  const video = document.createElement("video");
  const loaded = new Promise((done, failed) => {
    video.addEventListener("loadeddata", done);
    video.addEventListener("error", () => failed(video.error.message));
  });
  video.src = job.resultUrl;
  await loaded;
  const requestId = made.headers.get("x-request-id");
  return { status: made.status, requestId, width: video.videoWidth, plays: video.src };
}"""
BY_COOKIE = """async ([api]) => {
  const words = { credentials: "include", headers: { "content-type": "application/json" } };
  const made = await fetch(`${api}/api/campaigns`, { ...words, method: "POST", body: '{"name": "Autumn"}' });
  const { id } = await made.json();
  const listens = await new Promise((done, failed) => {
    const events = new EventSource(`${api}/api/events`, { withCredentials: true });
    events.addEventListener("open", () => { events.close(); done(true); });
    events.addEventListener("error", failed);
  });
  return { made: made.status, read: (await fetch(`${api}/api/campaigns/${id}`, words)).status, listens };
}"""
REFUSED = """async ([api]) => fetch(`${api}/api/models`).then(() => "read", (error) => error.name)"""


@pytest.fixture
async def api(service: Service) -> AsyncIterator[SecondApi]:
    """It is told of the pages at the service's origin, and gives links to itself."""
    named = {"cors_origins": (service.origin,), "app_url": None, "jwt_secret": SecretStr(SECRET)}
    api = SecondApi(service.settings.model_copy(update=named))
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def front(browser: Browser, service: Service, api: SecondApi) -> AsyncIterator[Page]:
    """A page of the service's origin, without a policy, whose user is signed in at Supabase."""
    context = await browser.new_context()
    session = kept(session_of(by_secret(claims(sub=str(uuid4())))))
    await context.add_cookies([{"name": name, "value": value, "url": api.origin} for name, value in session.items()])
    page = await context.new_page()
    await page.goto(f"{service.origin}/healthz")
    yield page
    await context.close()


async def test_a_named_origin_calls_listens_and_plays(service: Service, api: SecondApi, front: Page) -> None:
    job_id = await service.create("seen from elsewhere")
    await service.until(job_id, "completed")
    key = service.client.headers["authorization"].removeprefix("Bearer ")

    seen = await front.evaluate(BY_KEY, [api.origin, job_id, key])

    assert (seen["status"], seen["width"]) == (201, 1280)
    assert seen["requestId"]
    assert seen["plays"].startswith(f"{api.origin}/api/media/")


async def test_a_named_origin_acts_by_its_users_session_cookie(api: SecondApi, front: Page) -> None:
    assert await front.evaluate(BY_COOKIE, [api.origin]) == {"made": 201, "read": 200, "listens": True}


async def test_a_page_of_an_origin_that_is_not_named_reads_nothing(
    service: Service, api: SecondApi, front: Page
) -> None:
    await front.goto(f"{service.origin.replace('127.0.0.1', 'localhost')}/healthz")
    assert await front.evaluate(REFUSED, [api.origin]) == "TypeError"
