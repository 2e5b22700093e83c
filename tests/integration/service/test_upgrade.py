"""A database of the first schema, with what stood in it, under today's code."""

from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from alembic import command
from sqlalchemy import Connection, text

from lab.devstack.postgres import APP
from reelay.db.engine import make_engine
from reelay.db.ledger_audit import audit_ledger
from reelay.db.migrate import Migrated, alembic_config, migrate
from reelay.db.schema_check import known_revisions
from reelay.db.tables import Scope
from tests.integration.service.reconciling import reconcile
from tests.running import Service, running_service
from tests.servers import Database, Postgres, Servers

FIRST = "0001"
ANN, FINISHED, OPEN = uuid4(), uuid4(), uuid4()
# As the version of the first schema wrote them.
ROWS = f"""
insert into users (id, name, monthly_budget_cents) values ('{ANN}', 'ann', 1000);
insert into credit_entries (user_id, phase, available_cents, funding_cents, reference)
    values ('{ANN}', 'top_up', 500, -500, 'payment 1');
insert into generation_jobs (id, user_id, origin, job_type, model, endpoint, arguments, input_params, status,
    stage, progress_percent, result_url, estimated_cost_cents, actual_cost_cents, charged_cents, credits_deducted,
    completed_at)
    values ('{FINISHED}', '{ANN}', 'reelay', 'video_veo31', 'veo3.1-fast', 'fal-ai/veo3.1/fast', '{{"prompt": "old"}}',
    '{{"prompt": "old"}}', 'completed', 'done', 100, '/api/media/{FINISHED}/video.mp4', 90, 90, 90, true, now());
insert into generation_jobs (id, user_id, origin, job_type, model, endpoint, arguments, input_params,
    estimated_cost_cents, created_at, stage_at)
    values ('{OPEN}', '{ANN}', 'reelay', 'video_veo31', 'veo3.1-fast', 'fal-ai/veo3.1/fast', '{{"prompt": "waits"}}',
    '{{"prompt": "waits"}}', 90, now(), now() - interval '1 minute');
insert into credit_entries (user_id, job_id, phase, available_cents, held_cents) values
    ('{ANN}', '{FINISHED}', 'hold', -90, 90), ('{ANN}', '{OPEN}', 'hold', -90, 90);
insert into credit_entries (user_id, job_id, phase, held_cents, charged_cents)
    values ('{ANN}', '{FINISHED}', 'settle', -90, 90);
update credit_accounts set available_cents = 320, held_cents = 90 where user_id = '{ANN}';
insert into job_events (user_id, job_id, status, stage, detail)
    values ('{ANN}', '{FINISHED}', 'completed', 'done', 'Completed'),
    ('{ANN}', '{OPEN}', 'pending', 'reserving', 'Created');
insert into video_files (user_id, job_id, name, file_path, format, file_size, sha256, duration_seconds, width, height)
    values ('{ANN}', '{FINISHED}', 'video.mp4', '{ANN}/{FINISHED}/video.mp4', 'video/mp4', 1000, 'ab', 8, 1280, 720);
insert into webhook_deliveries (id, provider, job_id, verdict, status_code, detail, verified, body, took_ms)
    values (gen_random_uuid(), 'fal', '{FINISHED}', 'accepted', 200, '', true, '{{}}', 1);
"""


@pytest.fixture
async def old(postgres: Postgres) -> Database:
    """Of the first schema."""
    name = f"old_{uuid4().hex}"
    superuser = await asyncpg.connect(postgres.server.superuser_url)
    await superuser.execute(f"create database {name} owner reelay_owner")
    await superuser.close()
    server = postgres.server
    urls = (url.rpartition("/")[0] + f"/{name}" for url in (server.admin_url, server.service_url, server.app_url))
    database = Database(*urls)
    engine = make_engine(database.admin_url, pool_size=1)
    async with engine.connect() as connection:
        await connection.run_sync(to_first_schema)
        await connection.commit()
    await engine.dispose()
    owner = await asyncpg.connect(database.admin_url)
    await owner.execute(ROWS)
    await owner.close()
    return database


def to_first_schema(connection: Connection) -> None:
    config = alembic_config()
    config.attributes |= {"connection": connection, "app_role": APP}
    command.upgrade(config, FIRST)


async def test_what_the_first_schema_held_is_there_and_goes_on_after_an_upgrade(
    servers: Servers, old: Database
) -> None:
    migrated = await migrate(old.admin_url, old.app_url, old.service_url)
    assert migrated == Migrated(before=FIRST, now=known_revisions()[0])
    async with running_service(servers, database=old) as service:
        async with service.sessions.begin() as session:
            revision = await session.scalar(text("select version_num from alembic_version"))
            assert revision == known_revisions()[0]
            assert await audit_ledger(session) == []

        finished = await service.job(str(FINISHED))
        assert (finished["status"], finished["actualCostCents"], len(finished["files"])) == ("completed", 90, 1)
        history = (await service.client.get(f"/api/jobs/{FINISHED}/history")).json()["data"]
        assert len(history) == 1

        await read_everything(service)
        assert (await reconcile(service)).started <= 1  # the API may have been first
        assert (await service.until(str(OPEN), "completed"))["files"]
        assert (await service.simulated(str(OPEN)))["accepted"] == 1
        async with service.sessions.begin() as session:
            assert await audit_ledger(session) == []
            month = text("select month_cents from credit_accounts where user_id = :ann")
            assert await session.scalar(month, {"ann": UUID(str(ANN))}) == 180


async def read_everything(service: Service) -> None:
    """Each call that reads answers: of what stood there, and of all that there is of a kind."""
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    reads = [path.replace("{job_id}", str(FINISHED)) for path, calls in paths.items() if "get" in calls]
    async with await service.user("ann", scope=Scope.ADMIN, credits=0) as ann:
        answers = {path: await status_of(ann, path) for path in reads if "{" not in path}
    assert len(answers) > 20
    assert {path: status for path, status in answers.items() if status != httpx.codes.OK} == {}


async def status_of(client: httpx.AsyncClient, path: str) -> int:
    """Of a stream as well, which is not read."""
    async with client.stream("GET", path) as answer:
        return answer.status_code
