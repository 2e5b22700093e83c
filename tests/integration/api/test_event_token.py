"""The token of `?token=`: it opens event streams for its key's owner, for a minute, and nothing else."""

import time
from uuid import UUID

import httpx
import pytest

from reelay.db.keys import revoke_key
from reelay.domain.access_pass import AccessPass, Holder, Purpose, make_token, read_token
from tests.eventually import PATIENCE
from tests.integration.api.shared import problem
from tests.integration.api.streams import opened
from tests.running import Service

SECRET = b"pepper"
HOLDER = Holder(user_id=UUID(int=7), key_hash=b"k" * 32)


def token_at(now: float, holder: Holder = HOLDER, secret: bytes = SECRET) -> str:
    return make_token(secret, Purpose.EVENTS, holder, now=now, lifetime=60)


def read(token: str, now: float, secret: bytes = SECRET) -> AccessPass | None:
    return read_token(secret, Purpose.EVENTS, token, now=now)


def test_token_names_its_key_for_a_minute() -> None:
    token = token_at(1000)

    made = AccessPass(user_id=HOLDER.user_id, key_hash=HOLDER.key_hash, issued_at=1000)
    assert read(token, 1059) == made
    assert read(token, 1060) is None
    assert read(token, 1000, secret=b"another") is None


@pytest.mark.parametrize("position", [0, 20, 50, 110])
def test_changed_token_is_no_token(position: int) -> None:
    token = token_at(1000)
    other = "A" if token[position] != "A" else "B"

    assert read(token[:position] + other + token[position + 1 :], 1000) is None


@pytest.mark.parametrize("token", ["", "A", "rk_key", "é", "=" * 8, "A" * 96])
def test_anything_else_is_no_token(token: str) -> None:
    assert read(token, 1000) is None


async def new_token(client: httpx.AsyncClient) -> str:
    response = await client.post("/api/events/token")
    assert response.status_code == 200, response.text
    assert response.json()["expiresInSeconds"] == 60
    return str(response.json()["token"])


async def test_token_opens_the_streams_of_its_owner_alone(patient_service: Service, bob: httpx.AsyncClient) -> None:
    job_id = await patient_service.create("by token")
    token, bobs = await new_token(patient_service.client), await new_token(bob)
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        async with opened(client, f"/api/jobs/{job_id}/events", token=token) as events:
            assert (await events.until_end())[-1].status == "completed"
        async with opened(client, "/api/events", token=token) as events:
            await events.until_status(job_id, "completed")
        problem(await client.get(f"/api/jobs/{job_id}/events", params={"token": bobs}), 404, "NOT_FOUND")


async def test_token_opens_nothing_else(patient_service: Service) -> None:
    token = await new_token(patient_service.client)
    calls = [
        ("GET", "/api/jobs"),
        ("POST", "/api/events/token"),
        ("POST", "/api/generate/video"),
        ("GET", "/api/events"),
    ]
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        for method, path in calls:
            bearer = {"authorization": f"Bearer {token}"}
            problem(await client.request(method, path, json={}, headers=bearer), 401, "UNAUTHENTICATED")
        for method, path in calls[:-1]:
            problem(await client.request(method, path, json={}, params={"token": token}), 422, "INVALID_PARAMS")


async def test_expired_or_foreign_token_opens_nothing(patient_service: Service) -> None:
    pepper = patient_service.settings.api_key_pepper.get_secret_value().encode()
    handed_out = read(await new_token(patient_service.client), time.time(), secret=pepper)
    assert handed_out
    holder = Holder(user_id=handed_out.user_id, key_hash=handed_out.key_hash)
    expired = token_at(time.time() - 60, holder, pepper)
    foreign = token_at(time.time(), holder, b"another")
    key = patient_service.client.headers["authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        for token in ("", expired, foreign, key):
            problem(await client.get("/api/events", params={"token": token}), 401, "UNAUTHENTICATED")


async def test_token_and_its_stream_end_with_the_sign_out(patient_service: Service) -> None:
    async with (
        await patient_service.user("olga") as olga,
        httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client,
    ):
        token = await new_token(olga)
        async with opened(client, "/api/events", token=token) as stream:
            assert (await olga.post("/api/sign-out")).status_code == 204
            assert await stream.next() is None
        problem(await client.get("/api/events", params={"token": token}), 401, "UNAUTHENTICATED")
        async with opened(client, "/api/events", token=await new_token(olga)):
            pass


async def test_streams_end_when_their_key_is_revoked(patient_service: Service) -> None:
    async with (
        await patient_service.user("erin") as erin,
        httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client,
    ):
        token = await new_token(erin)
        async with opened(erin, "/api/events") as by_key, opened(client, "/api/events", token=token) as by_token:
            async with patient_service.sessions.begin() as session:
                assert await revoke_key(session, erin.headers["authorization"].removeprefix("Bearer "))
            assert await by_key.next() is await by_token.next() is None
        problem(await client.get("/api/events", params={"token": token}), 401, "UNAUTHENTICATED")
