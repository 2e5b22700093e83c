"""Tokens of an identity provider let in whom they name, for as long as they say, and nobody else."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from api.identity.tokens import LEEWAY_SECONDS, Tokens, owner_from_claims
from reelay.db.credits import top_up
from reelay.db.tables import Scope
from reelay.db.users import find_or_create_user
from tests.eventually import PATIENCE
from tests.integration.api.issuer import AUDIENCE, ISSUER, SECRET, Issuer, by_secret, claims, put_together, unsigned
from tests.integration.api.shared import problem
from tests.integration.api.streams import opened
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.providers.scripted_server import answer, json_answer, scripted_server

KNOWN = Issuer()
UNKNOWN = Issuer()
Sign = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
async def guarded(servers: Servers) -> AsyncIterator[Service]:
    """An API that trusts one issuer, by both of its ways."""
    async with scripted_server() as keys:
        keys.always = json_answer(200, KNOWN.document)
        url = f"{keys.url}/jwks.json"
        async with running_service(
            servers, worker=False, jwt_secret=SECRET, jwt_jwks_url=url, jwt_issuer=ISSUER
        ) as service:
            yield service


async def asked_with(token: str, service: Service, path: str = "/api/jobs", **query: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=service.origin, timeout=PATIENCE) as client:
        return await client.get(path, headers={"authorization": f"Bearer {token}"}, params=query)


@pytest.mark.parametrize("sign", [by_secret, KNOWN.by_ec, KNOWN.by_ed], ids=["HS256", "ES256", "EdDSA"])
async def test_a_token_lets_its_user_in(guarded: Service, sign: Sign) -> None:
    token = sign(claims())
    created = await call_with(token, guarded, {"name": "Autumn"})
    assert created.status_code == 201, created.text
    mine, hers = f"/api/campaigns/{created.json()['id']}", sign(claims())

    assert (await asked_with(token, guarded, mine)).status_code == 200
    problem(await asked_with(hers, guarded, mine), 404, "NOT_FOUND")


async def call_with(token: str, service: Service, campaign: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(
        base_url=service.origin, headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE
    ) as client:
        return await client.post("/api/campaigns", json=campaign)


async def test_a_new_token_of_the_same_user_finds_what_was_there(guarded: Service) -> None:
    subject = str(uuid4())
    created = await call_with(by_secret(claims(sub=subject)), guarded, {"name": "Autumn"})
    path = f"/api/campaigns/{created.json()['id']}"

    assert (await asked_with(KNOWN.by_ec(claims(sub=subject)), guarded, path)).status_code == 200


async def test_a_user_may_be_given_credits_before_the_first_token(guarded: Service) -> None:
    subject = str(uuid4())
    async with guarded.sessions.begin() as session:
        await top_up(session, await find_or_create_user(session, subject), 700)

    credits = await asked_with(by_secret(claims(sub=subject)), guarded, "/api/credits")
    assert credits.json()["availableCents"] == 700


async def test_operators_know_a_user_by_the_tokens_address_or_id(guarded: Service) -> None:
    subject, address = str(uuid4()), f"Eve-{uuid4()}@Example.com"
    assert (await asked_with(by_secret(claims(sub=subject, email=address)), guarded)).status_code == 200
    async with await guarded.user("olga", scope=Scope.ADMIN, credits=0) as olga:
        by_address = await olga.get("/api/admin/users", params={"user": address})
        for number, name in enumerate((address.lower(), subject)):
            added = await olga.post(f"/api/admin/credits/{name}/add", json={"cents": 50, "reference": str(number)})
            assert added.status_code == 200, added.text
        users = (await olga.get("/api/admin/users", params={"limit": 100})).json()["data"]
        made = await olga.post("/api/admin/keys", json={"user": address})
        moved = f"new-{address}"
        await asked_with(KNOWN.by_ec(claims(sub=subject, email=moved)), guarded)
        by_either = [
            (await olga.get("/api/admin/users", params={"user": each})).json()["data"] for each in (address, moved)
        ]

    (eve,) = by_address.json()["data"]
    assert (eve["id"], eve["name"], eve["email"]) == (subject, subject, address.lower())
    assert [user["name"] for user in users if address.lower() in (user["name"], user["email"])] == [subject]
    assert made.json()["userId"] == subject
    assert added.json()["availableCents"] == 100
    assert [[user["id"] for user in found] for found in by_either] == [[], [subject]]


async def test_an_address_that_two_users_have_names_neither(guarded: Service) -> None:
    address = f"{uuid4()}@example.com"
    for _ in range(2):
        assert (await asked_with(by_secret(claims(email=address)), guarded)).status_code == 200
    async with await guarded.user("olga", scope=Scope.ADMIN, credits=0) as olga:
        refused = await olga.post(f"/api/admin/credits/{address}/add", json={"cents": 50})
    assert "by id" in problem(refused, 409, "CONFLICT")["detail"]


@pytest.mark.parametrize("email", [5, "", "nobody", "a\x00@b", "x" * 320 + "@b", ["a@b"], None])
def test_what_is_no_address_is_passed_over(email: Any) -> None:
    assert owner_from_claims({"sub": str(uuid4()), "exp": 1, "email": email}).email is None


async def test_a_token_of_an_issuer_whose_clock_is_two_seconds_ahead_lets_its_user_in(guarded: Service) -> None:
    ahead = int(time.time()) + 2
    assert (await asked_with(by_secret(claims(nbf=ahead, iat=ahead)), guarded)).status_code == 200


async def test_open_stream_ends_when_its_token_does(guarded: Service) -> None:
    subject = str(uuid4())
    async with guarded.sessions.begin() as session:
        await top_up(session, await find_or_create_user(session, subject), 700)
    short, long = by_secret(claims(sub=subject, exp=int(time.time()) + 5)), by_secret(claims(sub=subject))
    async with httpx.AsyncClient(
        base_url=guarded.origin, headers={"authorization": f"Bearer {long}"}, timeout=PATIENCE
    ) as client:
        created = await client.post("/api/generate/voice", json={"text": "Hello."})
        path = f"/api/jobs/{created.json()['jobId']}/events"
        async with client.stream("GET", path, headers={"authorization": f"Bearer {short}"}) as stream:
            assert stream.status_code == 200
            assert "pending" in "".join([line async for line in stream.aiter_lines()])

    problem(await asked_with(short, guarded, path), 401, "UNAUTHENTICATED")
    assert (await asked_with(long, guarded)).status_code == 200


async def test_an_event_token_asked_for_with_a_token_ends_with_it(guarded: Service) -> None:
    token = by_secret(claims(exp=int(time.time()) + 4))
    async with httpx.AsyncClient(base_url=guarded.origin, timeout=PATIENCE) as client:
        asked = await client.post("/api/events/token", headers={"authorization": f"Bearer {token}"})
        event_token = asked.json()["token"]
        async with opened(client, "/api/events", token=event_token) as stream:
            assert await stream.next() is None
        problem(await client.get("/api/events", params={"token": event_token}), 401, "UNAUTHENTICATED")


async def test_a_signed_out_token_is_refused_and_the_next_session_is_not(guarded: Service) -> None:
    subject, now = str(uuid4()), int(time.time())
    this, other, undated = (by_secret(claims(sub=subject, iat=iat)) for iat in (now - 60, now - 30, None))
    for token in (this, other, undated):
        assert (await asked_with(token, guarded)).status_code == 200
    async with httpx.AsyncClient(base_url=guarded.origin, timeout=PATIENCE) as client:
        signed_out = await client.post("/api/sign-out", headers={"authorization": f"Bearer {this}"})
        assert signed_out.status_code == 204

    for token in (this, other, undated):
        problem(await asked_with(token, guarded), 401, "UNAUTHENTICATED")
    assert (await asked_with(by_secret(claims(sub=subject)), guarded)).status_code == 200


def expired() -> int:
    return int(time.time()) - LEEWAY_SECONDS - 1


def tomorrow() -> int:
    return int(time.time()) + 86400


REFUSED: dict[str, Callable[[], str]] = {
    "unsigned": lambda: unsigned(claims()),
    "unsigned, oddly spelled": lambda: unsigned(claims(), "nOnE"),
    "said to be signed": lambda: unsigned(claims(), "HS256"),
    "no algorithm": lambda: put_together({"typ": "JWT"}, claims(), secret=SECRET.encode()),
    "an algorithm that is no text": lambda: put_together({"alg": ["HS256"]}, claims(), secret=SECRET.encode()),
    "another symmetric algorithm": lambda: by_secret(claims(), "HS512"),
    "the public key as the secret": lambda: KNOWN.by_public_key(claims()),
    "a stranger's key under a known name": lambda: UNKNOWN.by_ec(claims()),
    "a stranger's key": lambda: UNKNOWN.by_ec(claims(), kid="another"),
    "a key under another's name": lambda: KNOWN.by_ec(claims(), kid="ed"),
    "a key that it brings along": lambda: UNKNOWN.by_ec(claims(), kid="", jwk=UNKNOWN.document["keys"][0]),
    "another secret": lambda: put_together({"alg": "HS256"}, claims(), secret=b"another"),
    "expired": lambda: by_secret(claims(exp=expired())),
    "expired, by key": lambda: KNOWN.by_ec(claims(exp=expired())),
    "for ever": lambda: by_secret(claims(exp=None)),
    "an infinite end": lambda: put_together({"alg": "HS256"}, claims(exp=float("inf")), secret=SECRET.encode()),
    "an end that is no time": lambda: by_secret(claims(exp="never")),
    "not yet": lambda: by_secret(claims(nbf=tomorrow())),
    "for somebody else": lambda: by_secret(claims(aud="another")),
    "for nobody": lambda: by_secret(claims(aud=None)),
    "of another issuer": lambda: by_secret(claims(iss="https://evil.test")),
    "of no issuer": lambda: by_secret(claims(iss=None)),
    "of nobody": lambda: by_secret(claims(sub=None)),
    "of no UUID": lambda: by_secret(claims(sub="ann")),
    "of an odd kind": lambda: put_together({"alg": "HS256"}, claims(sub=7), secret=SECRET.encode()),
    "endless": lambda: by_secret(claims(more="x" * 10_000)),
    "nested": lambda: f"{encoded_nest()}.e30.",
    "two parts": lambda: by_secret(claims()).rsplit(".", 1)[0],
    "cut": lambda: by_secret(claims())[:-2],
    "no text": lambda: "\xe9.\xe9.\xe9",
}


def encoded_nest() -> str:
    """A header that a parser without a limit falls into."""
    return "W1tb" * 1900


@pytest.mark.fault("T7")
@pytest.mark.parametrize("case", REFUSED)
async def test_other_tokens_are_refused(guarded: Service, case: str) -> None:
    token = REFUSED[case]().encode("latin-1")
    async with httpx.AsyncClient(base_url=guarded.origin, timeout=PATIENCE) as client:
        refused = await client.get("/api/jobs", headers=[(b"authorization", b"Bearer " + token)])

    problem(refused, 401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.fault("T7")
async def test_a_token_in_the_query_lets_nobody_in(guarded: Service) -> None:
    async with httpx.AsyncClient(base_url=guarded.origin, timeout=PATIENCE) as client:
        refused = await client.get("/api/jobs", params={"access_token": by_secret(claims())})
    problem(refused, 422, "INVALID_PARAMS")


@pytest.mark.fault("T10")
@pytest.mark.parametrize(
    ("words", "scope"),
    [
        ({"app_metadata": {"role": "admin"}}, Scope.ADMIN),
        ({"app_metadata": {"role": ["admin"]}}, Scope.USER),
        ({"app_metadata": "admin"}, Scope.USER),
        ({"user_metadata": {"role": "admin"}}, Scope.USER),
        ({"role": "admin"}, Scope.USER),
    ],
    ids=str,
)
def test_only_what_the_user_cannot_write_makes_an_administrator(words: dict[str, Any], scope: Scope) -> None:
    assert owner_from_claims(claims(**words)).scope is scope


async def test_without_an_issuer_no_token_is_good(patient_service: Service) -> None:
    for token in (by_secret(claims()), KNOWN.by_ec(claims())):
        problem(await asked_with(token, patient_service), 401, "UNAUTHENTICATED")


async def test_while_the_issuer_is_away_its_tokens_wait_and_keys_work(servers: Servers) -> None:
    async with scripted_server() as keys:
        keys.always = answer(500)
        async with running_service(servers, worker=False, jwt_jwks_url=keys.url) as service:
            refused = await asked_with(KNOWN.by_ec(claims()), service)

            problem(refused, 503, "UNAVAILABLE")
            assert refused.headers["retry-after"]
            assert (await service.client.get("/api/jobs")).status_code == 200


async def test_anonymous_users_are_refused_unless_they_are_admitted(guarded: Service) -> None:
    anonymous, signed_in = by_secret(claims(is_anonymous=True)), by_secret(claims(is_anonymous=False))
    assert "sign in" in problem(await asked_with(anonymous, guarded), 401, "UNAUTHENTICATED")["detail"]
    assert (await asked_with(signed_in, guarded)).status_code == 200
    admitting = Tokens(secret=SecretStr(SECRET), keys=None, audience=AUDIENCE, issuer=ISSUER, admits_anonymous=True)
    assert await admitting.owner_of(anonymous)
