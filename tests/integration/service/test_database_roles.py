"""A role that row-level security does not hold for answers no user: neither the API nor a migration starts with it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from api.app import create_app
from reelay.cli.checks import State, check_postgres
from reelay.db.migrate import MigrationBlocked, migrate
from reelay.db.roles import RoleRefused
from reelay.settings import Settings
from tests.running import PATIENT, running_service
from tests.servers import Database, Servers
from tests.tcp_lines import Lines, open_line

UNFIT = {
    "is a superuser": ["alter role unfit superuser"],
    "has BYPASSRLS": ["alter role unfit bypassrls"],
    "is shown every row, as the owner": ["grant reelay_owner to unfit"],
    "is shown every row, as the owner and the service role are": ["grant reelay_service to unfit"],
    "is not under row-level security in campaigns, generation_jobs": [
        "alter table campaigns disable row level security",
        "alter table generation_jobs owner to unfit",
        "alter table generation_jobs no force row level security",
    ],
}


@pytest.fixture
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture
async def superuser(servers: Servers, database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Of that database, where `unfit` is a role that may what the API's role may."""
    server = servers.postgres.server.superuser_url.rsplit("/", 1)[0]
    connection = await asyncpg.connect(f"{server}/{make_url(database.app_url).database}")
    await connection.execute("create role unfit login password 'unfit' in role reelay_app")
    yield connection
    await connection.execute("reassign owned by unfit to reelay_owner; drop owned by unfit; drop role unfit")
    await connection.close()


def as_unfit(database: Database) -> str:
    return make_url(database.app_url).set(username="unfit", password="unfit").render_as_string(hide_password=False)


def settings_for(database: Database, servers: Servers) -> Settings:
    return Settings.model_validate(
        {
            "environment": "development",
            "data_dir": servers.folder / "unfit",
            "database_url": as_unfit(database),
            "database_service_url": database.service_url,
        }
    )


@pytest.mark.fault("T16")
@pytest.mark.parametrize(("reason", "changes"), UNFIT.items())
async def test_api_does_not_start_with_a_role_that_sees_other_users_rows(
    servers: Servers, database: Database, superuser: asyncpg.Connection, reason: str, changes: Sequence[str]
) -> None:
    for change in changes:
        await superuser.execute(change)
    settings = settings_for(database, servers)
    app = create_app(settings, PATIENT)

    with pytest.raises(RoleRefused, match=f"DATABASE_URL: its role unfit {reason}.*reelay migrate"):
        async with app.router.lifespan_context(app):
            pytest.fail("it started")
    found = await check_postgres(settings)
    assert found.state is State.WRONG
    assert f"its role unfit {reason}" in found.found


async def test_role_that_is_like_the_apis_serves(
    servers: Servers, database: Database, superuser: asyncpg.Connection
) -> None:
    app = create_app(settings_for(database, servers), PATIENT)
    async with app.router.lifespan_context(app):
        pass


async def test_role_is_refused_also_where_postgres_was_away_at_the_start(
    servers: Servers, database: Database, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("alter role unfit bypassrls")
    unfit = Database(database.admin_url, database.service_url, as_unfit(database))
    async with (
        open_line(servers.temporal.port) as temporal,
        open_line(servers.postgres.server.port) as postgres,
        AsyncExitStack() as stack,
    ):
        lines = Lines(temporal, postgres)
        with postgres.cut():
            service = await stack.enter_async_context(
                running_service(servers, worker=False, database=unfit, lines=lines)
            )
        answer = await service.client.get("/api/jobs")
        readiness = (await service.client.get("/readyz")).json()

    assert answer.status_code >= 500
    assert "its role unfit has BYPASSRLS" in readiness["parts"]["postgres"]


@pytest.mark.parametrize("power", ["superuser", "bypassrls"])
async def test_migrations_grant_nothing_to_a_role_that_sees_every_row(
    database: Database, superuser: asyncpg.Connection, power: str
) -> None:
    await superuser.execute(f"alter role unfit {power}")
    with pytest.raises(MigrationBlocked, match="its role unfit is a superuser or has BYPASSRLS"):
        await migrate(database.admin_url, as_unfit(database), database.service_url)
