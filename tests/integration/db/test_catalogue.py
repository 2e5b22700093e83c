"""Row-level security as the live catalogue has it; a table that somebody forgot is found here."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.integration.db.catalogue import RULES, broken_rules
from tests.servers import Postgres

FORGOTTEN = "create table forgotten (id uuid primary key, user_id uuid)"
FORCED = f"{FORGOTTEN}; alter table forgotten enable row level security, force row level security"
DEFINER = "create function f() returns int language sql security definer"

BROKEN = {
    "no role of ours has powers over others": [
        "alter role reelay_app bypassrls",
        "alter role reelay_service bypassrls",
        "alter role reelay_owner superuser",
        "alter role reelay_app createrole",
    ],
    "neither the API's role nor the service role owns anything": [
        "alter table campaigns owner to reelay_service",
        "alter table campaigns owner to reelay_app",
        "create schema s authorization reelay_app",
    ],
    "neither is a member of another": ["grant reelay_owner to reelay_app", "grant reelay_owner to reelay_service"],
    "neither makes anything": [
        "grant create on schema public to reelay_service",
        "grant create on schema public to reelay_app",
        "grant create on schema public to public",
    ],
    "what a user owns, or the API's role may touch, is under forced row-level security": [
        FORGOTTEN,
        f"{FORGOTTEN}; alter table forgotten enable row level security",
        "create table shared (id uuid primary key); grant select on shared to reelay_app",
        "alter table generation_jobs no force row level security",
        "alter table api_keys disable row level security",
    ],
    "the API's role sees a user's own rows alone": [
        "create policy more on campaigns to reelay_app using (true)",
        "create policy more on campaigns for insert to reelay_app with check (true)",
        "create policy more on campaigns to reelay_app using (user_id = current_setting('app.user_id')::uuid)",
        "alter policy own_rows on campaigns with check (true)",
    ],
    "a table that the API's role may touch has a policy for it": [
        f"{FORCED}; grant select on forgotten to reelay_app",
        "drop policy own_rows on campaigns",
    ],
    "all rows are seen by the service role and the owner, and by nobody else": [
        "create policy more on campaigns using (true)",
        "create policy more on campaigns to postgres using (true)",
        "alter policy service on campaigns to reelay_owner",
        "alter policy service on campaigns using (user_id is not null)",
    ],
    "a privilege is to read or change rows, for one of the two, and not to be passed on": [
        "grant truncate on campaigns to reelay_service",
        "grant truncate on campaigns to reelay_app",
        "grant references on campaigns to reelay_app",
        "grant trigger on campaigns to reelay_app",
        "grant select on users to public",
        "grant select on campaigns to reelay_app with grant option",
        "grant update (name) on campaigns to reelay_app",
        "alter default privileges in schema public grant select on tables to reelay_app",
    ],
    "a unique key that the API's role can run into begins with the user or is a random id": [
        "alter table campaigns add unique (name)",
        "create unique index on generation_jobs (fal_request_id)",
    ],
    "a row points to rows of its own user": [
        "alter table campaign_clips add foreign key (campaign_id) references campaigns (id)",
    ],
    "a view asks as its reader": [
        "create view v as select * from campaigns",
        "create view v with (security_invoker = false) as select * from campaigns",
        "create materialized view m as select * from campaigns; grant select on m to reelay_app",
    ],
    "a function runs as its caller, or is one of the few with a reason, a fixed path and named callers": [
        f"{DEFINER} as 'select 1'",
        "grant execute on function hold_credits to public",
        "grant execute on function key_owner to pg_monitor",
        "alter function hold_credits reset search_path",
    ],
    "the audit log is only added to": [
        "grant update on audit_log to reelay_service",
        "grant delete on audit_log to reelay_app",
        "alter table audit_log disable trigger refuse_change",
        "drop trigger refuse_change on audit_log",
    ],
    "no function of ours is said to be leakproof": [
        "create function f() returns int language sql leakproof as 'select 1'",
    ],
}


@pytest.fixture(scope="module")
async def connection(postgres: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """As the superuser, who can break anything."""
    name = (await postgres.copy()).admin_url.rsplit("/", 1)[1]
    superuser = await asyncpg.connect(postgres.server.superuser_url.rsplit("/", 1)[0] + f"/{name}")
    yield superuser
    await superuser.close()


async def test_every_rule_holds(connection: asyncpg.Connection) -> None:
    assert await broken_rules(connection) == {}


def test_every_rule_is_broken_below() -> None:
    assert RULES.keys() == BROKEN.keys()


@pytest.mark.parametrize(("rule", "change"), [(rule, change) for rule, changes in BROKEN.items() for change in changes])
async def test_whoever_breaks_a_rule_is_found(connection: asyncpg.Connection, rule: str, change: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(change)
        assert rule in await broken_rules(connection)
    finally:
        await transaction.rollback()
