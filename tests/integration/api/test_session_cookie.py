"""Supabase's own ways to say who calls, where its tokens are taken: `apikey` and the session cookie."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.identity.session_cookie import session_tokens
from api.identity.tokens import LEEWAY_SECONDS
from tests.eventually import PATIENCE
from tests.integration.api.issuer import SECRET, by_secret, claims, put_together
from tests.integration.api.shared import problem
from tests.integration.api.streams import opened
from tests.running import Service, running_service
from tests.servers import Servers

NAME = "sb-abcdefghijklmnopqrst-auth-token"
APP, FRONT = "https://app.example.com", "https://front.example.com"
CHUNK = 3180
"""Characters of a cookie at most, as @supabase/ssr cuts them."""


def kept(session: Any, *, name: str = NAME, encoding: str = "base64url") -> dict[str, str]:
    """The session in cookies, as @supabase/ssr writes them."""
    text = json.dumps(session)
    if encoding == "base64url":
        text = "base64-" + urlsafe_b64encode(text.encode()).decode().rstrip("=")
    if len(quote(text)) <= CHUNK:
        return {name: quote(text, safe="")}
    cut = [text[start : start + CHUNK // 3] for start in range(0, len(text), CHUNK // 3)]
    return {f"{name}.{number}": quote(part, safe="") for number, part in enumerate(cut)}


def session_of(token: str, **more: Any) -> dict[str, Any]:
    user = {"id": str(uuid4()), "email": "ann@example.com", "user_metadata": {"name": "Ann Dupré"}}
    return {"access_token": token, "token_type": "bearer", "refresh_token": "r", "user": user, **more}


SHAPES: dict[str, Any] = {
    "base64url": lambda token: kept(session_of(token)),
    "JSON": lambda token: kept(session_of(token), encoding="raw"),
    "long": lambda token: kept(session_of(token, more="é" * 5000)),
    "long JSON": lambda token: kept(session_of(token, more="é" * 3000), encoding="raw"),
    "an array": lambda token: kept([token, "refresh", None, None, None], encoding="raw"),
    "beside what is no session": lambda token: {
        f"{NAME}-code-verifier": "base64-InNlY3JldCI",
        "sb-other-auth-token": "base64-!",
        **kept(session_of(token)),
    },
    "beside an empty one": lambda token: {NAME: "", **kept(session_of(token, more="x" * 9000))},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_token_is_found_in_every_shape(shape: str) -> None:
    token = by_secret(claims())
    cookies = SHAPES[shape](token)
    assert all(len(value) <= CHUNK for value in cookies.values())
    assert session_tokens(cookies) == [token]


@given(
    st.dictionaries(
        st.one_of(st.just(NAME), st.just(f"{NAME}.0"), st.text()),
        st.one_of(st.text(), st.text().map(lambda text: f"base64-{text}"), st.just("[" * 10_000), st.just("[1]")),
    )
)
def test_nonsense_holds_no_token(cookies: dict[str, str]) -> None:
    assert session_tokens(cookies) == []


@pytest.fixture(scope="module")
async def guarded(servers: Servers) -> AsyncIterator[Service]:
    """An API behind a Supabase front."""
    async with running_service(
        servers, worker=False, jwt_secret=SECRET, cors_origins=FRONT, app_url=APP, starting_credits_cents=500
    ) as service:
        yield service


@pytest.fixture
async def browser(guarded: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=guarded.origin, timeout=PATIENCE) as client:
        yield client


def in_cookie(token: str, **more: str) -> dict[str, str]:
    cookies = kept(session_of(token, more="x" * 5000))
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), **more}


ANON = put_together(
    {"alg": "HS256", "typ": "JWT"}, {"iss": "supabase", "ref": "abc", "role": "anon", "iat": 1, "exp": 4_000_000_000},
    secret=SECRET.encode(),
)  # fmt: skip


async def test_a_user_is_known_by_apikey_and_by_cookie(browser: httpx.AsyncClient) -> None:
    token = by_secret(claims())
    created = await browser.post("/api/campaigns", json={"name": "Autumn"}, headers={"apikey": token})
    path = f"/api/campaigns/{created.json()['id']}"

    for headers in (
        {"apikey": token},
        in_cookie(token),
        in_cookie(token, apikey=ANON),
        in_cookie(token, apikey="sb_publishable_abc"),
        {"apikey": ANON, "authorization": f"Bearer {token}"},
        {"apikey": token, "authorization": f"Bearer {ANON}"},
    ):
        assert (await browser.get(path, headers=headers)).status_code == 200, headers


async def test_header_counts_before_apikey_before_cookie(browser: httpx.AsyncClient) -> None:
    mine, others = by_secret(claims()), by_secret(claims())
    created = await browser.post("/api/campaigns", json={"name": "Autumn"}, headers={"apikey": mine})
    path = f"/api/campaigns/{created.json()['id']}"
    bearer = {"authorization": f"Bearer {mine}"}

    assert (await browser.get(path, headers={**bearer, "apikey": others})).status_code == 200
    assert (await browser.get(path, headers=in_cookie(others, apikey=mine))).status_code == 200
    problem(await browser.get(path, headers=in_cookie(mine, apikey=others)), 404, "NOT_FOUND")
    problem(await browser.get(path, headers=in_cookie(mine, authorization="Bearer rk_unknown")), 401, "UNAUTHENTICATED")


async def test_a_projects_key_alone_lets_nobody_in_and_says_why(browser: httpx.AsyncClient) -> None:
    service_role = put_together(
        {"alg": "HS256"}, {"role": "service_role", "exp": 4_000_000_000}, secret=SECRET.encode()
    )
    for key in (ANON, service_role, "sb_publishable_abc", "sb_secret_abc"):
        for headers in ({"apikey": key}, {"authorization": f"Bearer {key}", "apikey": key}):
            refused = problem(await browser.get("/api/jobs", headers=headers), 401, "UNAUTHENTICATED")
            assert "names no user" in refused["detail"]


async def test_of_several_projects_sessions_ours_counts(browser: httpx.AsyncClient) -> None:
    elsewhere = put_together({"alg": "HS256"}, claims(), secret=b"another project's")
    cookies = {
        **kept(session_of(elsewhere), name="sb-aaa-auth-token"),
        **kept(session_of(by_secret(claims())), name="sb-localhost-auth-token"),
        **kept(session_of(elsewhere), name="sb-zzz-auth-token"),
    }
    words = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert (await browser.get("/api/jobs", headers={"cookie": words})).status_code == 200
    problem(await browser.get("/api/jobs", headers=in_cookie(elsewhere)), 401, "UNAUTHENTICATED")


ALLOWED = [
    {"origin": FRONT},
    {"origin": APP},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "same-origin", "origin": "https://before-a-rewrite.example"},
    {"referer": f"{FRONT}/create?x=1"},
]
NOT_ALLOWED = [
    {},
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": f"{FRONT}.evil.example"},
    {"origin": "https://evil.example", "referer": f"{FRONT}/"},
    {"sec-fetch-site": "same-site", "origin": "https://other.example.com"},
    {"sec-fetch-site": "none"},
    {"referer": f"https://evil.example/{FRONT}"},
    {"referer": "https://[evil"},
]


@pytest.mark.parametrize("sender", ALLOWED, ids=str)
async def test_a_page_of_an_allowed_origin_acts_for_its_user(
    browser: httpx.AsyncClient, sender: dict[str, str]
) -> None:
    headers = in_cookie(by_secret(claims()), **sender)
    assert (await browser.post("/api/campaigns", json={"name": "Autumn"}, headers=headers)).status_code == 201


@pytest.mark.parametrize("sender", NOT_ALLOWED, ids=str)
async def test_no_other_page_acts_for_the_user(browser: httpx.AsyncClient, sender: dict[str, str]) -> None:
    token = by_secret(claims())
    headers = in_cookie(token, **sender)
    refused = await browser.post("/api/generate/voice", json={"text": "Hello."}, headers=headers)

    assert "allowed origin" in problem(refused, 403, "FORBIDDEN")["detail"]
    assert (await browser.get("/api/jobs", headers=headers)).json()["data"] == []
    by_header = {"authorization": f"Bearer {token}", **headers}
    assert (await browser.post("/api/campaigns", json={"name": "A"}, headers=by_header)).status_code == 201


async def test_the_services_own_page_acts_for_its_user(guarded: Service, browser: httpx.AsyncClient) -> None:
    headers = in_cookie(by_secret(claims()), origin=guarded.origin)
    assert (await browser.post("/api/campaigns", json={"name": "Autumn"}, headers=headers)).status_code == 201


async def test_a_stream_is_opened_by_the_cookie(browser: httpx.AsyncClient) -> None:
    token = by_secret(claims())
    created = await browser.post("/api/generate/voice", json={"text": "Hello."}, headers={"apikey": token})
    browser.headers.update(in_cookie(token))
    async with opened(browser, f"/api/jobs/{created.json()['jobId']}/events") as stream:
        event = await stream.next()
    assert event
    assert event.job["id"] == created.json()["jobId"]


async def test_a_few_seconds_between_the_clocks_are_forgiven(browser: httpx.AsyncClient) -> None:
    now = int(time.time())
    for token in (by_secret(claims(nbf=now + LEEWAY_SECONDS - 1)), by_secret(claims(exp=now - 1))):
        assert (await browser.get("/api/jobs", headers={"apikey": token})).status_code == 200


async def test_where_no_token_is_taken_neither_are_apikey_and_cookie(patient_service: Service) -> None:
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        key = patient_service.client.headers["authorization"].removeprefix("Bearer ")
        for headers in ({"apikey": key}, in_cookie(by_secret(claims()))):
            problem(await client.get("/api/jobs", headers=headers), 401, "UNAUTHENTICATED")


async def test_a_signed_out_cookie_opens_nothing(browser: httpx.AsyncClient) -> None:
    subject, now = str(uuid4()), int(time.time())
    cookie = in_cookie(by_secret(claims(sub=subject, iat=now - 60)))
    assert (await browser.get("/api/jobs", headers=cookie)).status_code == 200
    problem(await browser.post("/api/sign-out", headers=cookie), 403, "FORBIDDEN")

    assert (await browser.post("/api/sign-out", headers=cookie | {"origin": FRONT})).status_code == 204
    problem(await browser.get("/api/jobs", headers=cookie), 401, "UNAUTHENTICATED")
    assert (await browser.get("/api/jobs", headers=in_cookie(by_secret(claims(sub=subject))))).status_code == 200
