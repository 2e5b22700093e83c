"""Behind PgBouncer in transaction mode, where each transaction has another session."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from reelay.cli.checks import check_notifications, check_postgres
from reelay.db.address import PostgresAddress
from reelay.db.engine import keeps_sessions, make_engine, make_sessions, one_statement
from reelay.db.migrate import MigrationBlocked, migrate
from tests.integration.api.streams import opened
from tests.pgbouncer import MISSING, SESSIONS, find_pgbouncer, transaction_pooler
from tests.running import Service, running_service
from tests.servers import Database, Servers

pytestmark = pytest.mark.skipif(find_pgbouncer() is None, reason=MISSING)

CALLS = 1000
AT_ONCE = 75


def at_port(url: str, port: int) -> str:
    return make_url(url).set(port=port).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
async def pooler(servers: Servers, folder: Path) -> AsyncIterator[int]:
    async with transaction_pooler(servers.postgres.server, folder / f"pgbouncer-{uuid4().hex}") as port:
        yield port


@pytest.fixture(scope="module")
async def direct(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture(scope="module")
async def pooled(pooler: int, direct: Database) -> Database:
    return Database(direct.admin_url, at_port(direct.service_url, pooler), at_port(direct.app_url, pooler))


@pytest.fixture(scope="module")
async def behind_pooler(servers: Servers, pooled: Database, direct: Database) -> AsyncIterator[Service]:
    async with running_service(servers, database=pooled, database_listen_url=direct.service_url) as service:
        yield service


@pytest.mark.fault("O31")
async def test_hundreds_of_calls_at_once_and_a_stream_go_through(behind_pooler: Service) -> None:
    async with behind_pooler.for_user("many calls") as service:
        job_id = await service.create("a lighthouse [sim: latency=10m]")
        await service.until_accepted(job_id)
        mixed = (
            ("GET", f"/api/jobs/{job_id}", None),
            ("GET", "/api/jobs?status=active", None),
            ("GET", f"/api/jobs/{job_id}/history", None),
            ("GET", "/api/credits", None),
            ("POST", "/api/campaigns", {"name": "a campaign"}),
            ("GET", "/api/videos/user", None),
            ("POST", "/api/estimate", {"model": "veo3.1", "input": {"prompt": "a boat"}}),
            ("GET", "/readyz", None),
        )
        gate = asyncio.Semaphore(AT_ONCE)
        answers: Counter[tuple[str, int]] = Counter()

        async def call(number: int) -> None:
            method, path, body = mixed[number % len(mixed)]
            async with gate:
                response = await service.client.request(method, path, json=body)
            answers[method + path, response.status_code // 100] += 1

        async with opened(service.client, f"/api/jobs/{job_id}/events") as stream:
            await asyncio.gather(*map(call, range(CALLS)))
            await service.servers.end_at_provider(job_id)
            await stream.until_status(job_id, "completed")
        assert {family for _, family in answers} == {2}, answers
        assert answers.total() == CALLS


async def test_nothing_of_one_client_stays_in_a_session(behind_pooler: Service, pooled: Database) -> None:
    """Neither prepared statements nor settings: the next client of the session would have them."""
    async with behind_pooler.for_user("leaves nothing") as service:
        await service.until(await service.create(), "completed")
    engine = make_engine(pooled.service_url, pool_size=SESSIONS)
    left = text(
        "select (select count(*) from pg_prepared_statements where from_sql is false and name <> ''),"
        " current_setting('jit'), coalesce(current_setting('app.user_id', true), ''), pg_sleep(0.05)"
    )

    async def look() -> tuple[int, str, str]:
        async with make_sessions(engine).begin() as session:
            prepared, jit, user, _ = (await session.execute(left)).one()
        return prepared, jit, user

    assert set(await asyncio.gather(*(look() for _ in range(SESSIONS)))) == {(0, "on", "")}
    await engine.dispose()


async def test_statements_of_many_clients_do_not_meet(pooled: Database) -> None:
    """Also those that are a transaction by themselves."""
    engine = make_engine(pooled.service_url, pool_size=3 * SESSIONS)
    sessions = make_sessions(engine)

    async def add(number: int) -> int:
        async with one_statement(sessions) as session:
            return int(
                await session.scalar(text(f"select cast(:number as int) + {number % 7}"), {"number": number}) or 0
            )

    sums = await asyncio.gather(*map(add, range(300)))
    assert sums == [number + number % 7 for number in range(300)]
    await engine.dispose()


async def test_a_pooler_is_told_from_a_session(pooled: Database, direct: Database) -> None:
    assert await keeps_sessions(PostgresAddress.parse(direct.service_url), timeout=30)
    assert not await keeps_sessions(PostgresAddress.parse(pooled.service_url), timeout=30)


async def test_migrations_go_directly(pooler: int, direct: Database) -> None:
    with pytest.raises(MigrationBlocked, match="DATABASE_ADMIN_URL leads to a transaction pooler"):
        await migrate(at_port(direct.admin_url, pooler), direct.app_url)


async def test_doctor_is_content_with_a_direct_connection_to_listen_by(behind_pooler: Service) -> None:
    for check in (check_postgres, check_notifications):
        finding = await check(behind_pooler.settings)
        assert finding.state == "ok", finding


@pytest.mark.fault("O31")
async def test_without_one_events_are_polled_for_and_said_to_be(servers: Servers, pooled: Database) -> None:
    with capture_logs() as lines:
        async with running_service(servers, database=pooled) as service:
            job_id = await service.create("a lighthouse [sim: latency=10m]")
            async with (
                opened(service.client, f"/api/jobs/{job_id}/events") as of_job,
                opened(service.client, "/api/events") as of_user,
            ):
                await service.until_accepted(job_id)
                await service.servers.end_at_provider(job_id)
                await of_job.until_status(job_id, "completed")
                await of_user.until_status(job_id, "completed")
            finding = await check_notifications(service.settings)
    assert "notifications_replaced_by_polling" in {line["event"] for line in lines}
    assert (finding.state, "DATABASE_LISTEN_URL" in finding.advice) == ("wrong", True)
