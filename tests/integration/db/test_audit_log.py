"""The audit log: each act with its entry or neither, and no role that changes one."""

import os
import pwd
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from reelay.db.audit_log import COMMAND_LINE, Actor, AuditAction, newest_acts, record_act
from reelay.db.credits import AmountRefused
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.tables import AuditEntry, Scope
from reelay.db.users import find_user
from reelay.operators import (
    UnknownUser,
    add_credits,
    adjust_credits,
    create_user,
    disable,
    enable,
    issue_key,
    revoke,
    set_budget,
)
from tests.servers import Database, Postgres

OPERATOR = Actor(None, "root")
CHANGES = ("update audit_log set actor = 'somebody else'", "delete from audit_log", "truncate audit_log")


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


async def sessions_of(url: str) -> AsyncIterator[Sessions]:
    engine = make_engine(url, pool_size=1)
    yield make_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def service_role(database: Database) -> AsyncIterator[Sessions]:
    async for sessions in sessions_of(database.service_url):
        yield sessions


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Sessions]:
    async for sessions in sessions_of(database.admin_url):
        yield sessions


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Sessions]:
    async for sessions in sessions_of(database.app_url):
        yield sessions


async def acts(sessions: Sessions, **filters: str) -> list[AuditEntry]:
    async with sessions() as session:
        return list(await newest_acts(session, limit=100, **filters))  # type: ignore[arg-type]  # an action is text


async def test_each_act_is_an_entry_with_whose_it_is(service_role: Sessions) -> None:
    async with service_role.begin() as session:
        ann = await create_user(session, OPERATOR, "ann")
        key = await issue_key(session, OPERATOR, "ann", scope=Scope.ADMIN, pepper=b"pepper")
        await add_credits(session, OPERATOR, "ann", 500, reference="payment 1")
        await add_credits(session, OPERATOR, "ann", 500, reference="payment 1")
        await adjust_credits(session, OPERATOR, str(ann.id), -50, reason="a mistake")
        await set_budget(session, OPERATOR, "ann", None)
        await disable(session, OPERATOR, "ann")
        await enable(session, OPERATOR, "ann")
        await revoke(session, OPERATOR, key[:11])

    found = await acts(service_role, subject="ann")

    assert [(entry.action, entry.subject, entry.details) for entry in reversed(found)] == [
        ("user.created", "ann", {}),
        ("key.created", key[:11], {"scope": "admin", "budgetCents": None, "expiresInSeconds": None}),
        ("credits.added", "ann", {"cents": 500, "reference": "payment 1"}),
        ("credits.adjusted", "ann", {"cents": -50, "reason": "a mistake"}),
        ("user.budget_set", "ann", {"cents": None}),
        ("user.disabled", "ann", {}),
        ("user.enabled", "ann", {}),
        ("key.revoked", key[:11], {}),
    ]
    assert {entry.user_id for entry in found} == {ann.id}
    assert {(entry.actor, entry.actor_id, entry.credential) for entry in found} == {(COMMAND_LINE, None, "root")}
    assert await acts(service_role, subject=str(ann.id)) == found
    assert [entry.action for entry in await acts(service_role, action=AuditAction.KEY_REVOKED)] == ["key.revoked"]


async def test_an_act_that_is_refused_has_no_entry(service_role: Sessions) -> None:
    with pytest.raises(UnknownUser, match="there is no user nobody"):
        async with service_role.begin() as session:
            await add_credits(session, OPERATOR, "nobody", 5)
    async with service_role.begin() as session:
        await create_user(session, OPERATOR, "poor")
    with pytest.raises(AmountRefused):
        async with service_role.begin() as session:
            await adjust_credits(session, OPERATOR, "poor", -5, reason="more than there is")

    assert await acts(service_role, subject="nobody") == []
    assert [entry.action for entry in await acts(service_role, subject="poor")] == ["user.created"]
    async with service_role() as session:
        assert await find_user(session, "nobody") is None


async def test_a_user_is_named_beside_the_key(service_role: Sessions) -> None:
    async with service_role.begin() as session:
        olga = await create_user(session, OPERATOR, "olga")
        await record_act(session, Actor(olga.id, "rk_olga"), AuditAction.ACCOUNTS_RESUMED, "fal")

    (entry,) = await acts(service_role, actor="olga")
    assert (entry.actor_id, entry.credential, entry.subject, entry.user_id) == (olga.id, "rk_olga", "fal", None)
    assert await acts(service_role, actor=str(olga.id)) == [entry]
    assert entry not in await acts(service_role, actor=COMMAND_LINE)


def test_at_the_command_line_it_is_the_users_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert Actor.at_command_line() == Actor(None, pwd.getpwuid(os.getuid()).pw_name)


@pytest.mark.parametrize("change", CHANGES)
async def test_nobody_changes_or_removes_an_entry(
    service_role: Sessions, owner: Sessions, app: Sessions, change: str
) -> None:
    async with service_role.begin() as session:
        await record_act(session, OPERATOR, AuditAction.ACCOUNTS_RESUMED, "replicate")
    before = await acts(owner, subject="replicate")

    for sessions in (service_role, app):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with sessions.begin() as session:
                await session.execute(text(change))
    with pytest.raises(DBAPIError, match="it is only added to"):
        async with owner.begin() as session:
            await session.execute(text(change))

    assert await acts(owner, subject="replicate") == before


async def test_what_answers_users_neither_reads_nor_writes_it(app: Sessions) -> None:
    for statement in ("select * from audit_log", "insert into audit_log (actor) values ('x')"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with app.begin() as session:
                await session.execute(text(statement))
