"""The audit of the ledger: it reads what is new, and finds also what was changed behind its back."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.credits import adjust, ledger_drift, top_up
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.ledger_audit import ADVANCE, COMPARE, COUNTED, RECOUNT, audit_ledger, latest_audit
from reelay.db.tables import User
from reelay.db.users import find_or_create_user
from tests.servers import Postgres

NOW = timedelta(0)
ALL, NONE = 1_000_000, 0
"""Entries to count again."""


@pytest.fixture
async def service(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).service_url)
    yield make_sessions(engine)
    await engine.dispose()


async def audited(service: Sessions, *, recounted: int = NONE, settled: timedelta = NOW) -> list[tuple[Any, ...]]:
    async with service.begin() as session:
        found = await audit_ledger(session, settled=settled, recounted=recounted)
        stored = await latest_audit(session)
    assert stored
    assert stored.drift == found
    return [(drift.user_id, drift.account, drift.kept, drift.counted) for drift in found]


async def new_user(service: Sessions, name: str, *cents: int) -> User:
    async with service.begin() as session:
        user = await find_or_create_user(session, name)
    for amount in cents:
        async with service.begin() as session:
            await top_up(session, user, amount)
    return user


async def change(service: Sessions, statement: str, user: User) -> None:
    async with service.begin() as session:
        await session.execute(text(statement), {"user": user.id})


async def test_entries_are_added_to_what_was_counted_before(service: Sessions) -> None:
    ann, bob = await new_user(service, "ann", 100, 50), await new_user(service, "bob", 7)
    assert await audited(service) == []
    async with service.begin() as session:
        await adjust(session, ann, -30, reason="a refund")
        counted = await session.scalar(COUNTED)
    assert await audited(service) == []

    async with service.begin() as session:
        rows = await session.execute(text("select user_id, entries, available_cents from ledger_checkpoints"))
        assert {tuple(row) for row in rows} == {(ann.id, 3, 120), (bob.id, 1, 7)}
        assert await session.scalar(COUNTED) > counted
        assert await ledger_drift(session) == []


async def test_entries_that_may_not_be_the_last_of_their_time_are_counted_but_not_passed(service: Sessions) -> None:
    """A transaction that is open may have a lower number than one that has ended."""
    await new_user(service, "ann", 100)
    assert await audited(service, settled=timedelta(minutes=5)) == []
    async with service() as session:
        assert await session.scalar(COUNTED) == 0


async def test_account_that_was_changed_is_found_at_once(service: Sessions) -> None:
    ann = await new_user(service, "ann", 100)
    assert await audited(service) == []
    await change(service, "update credit_accounts set available_cents = 99 where user_id = :user", ann)

    assert await audited(service) == [(ann.id, "available", 99, 100)]


@pytest.mark.parametrize(
    ("tampering", "counted"),
    [
        ("update credit_entries set available_cents = 60, funding_cents = -60 where user_id = :user", 60),
        ("delete from credit_entries where user_id = :user", 0),
    ],
)
@pytest.mark.fault("L8")
async def test_entry_that_was_changed_behind_the_checkpoint_is_found_when_its_account_is_counted_again(
    service: Sessions, tampering: str, counted: int
) -> None:
    users = [await new_user(service, f"user {number}", 100) for number in range(6)]
    assert await audited(service) == []
    tampered = users[-1]
    await change(service, tampering, tampered)
    assert await audited(service) == []  # it has not been its turn

    for _ in users:  # two entries at a time, the longest not counted first
        found = await audited(service, recounted=2)
    assert found == [(tampered.id, "available", 100, counted)]
    await change(service, f"update credit_accounts set available_cents = {counted} where user_id = :user", tampered)
    assert await audited(service) == []


async def test_account_of_a_deleted_user_is_forgotten(service: Sessions) -> None:
    ann, bob = await new_user(service, "ann", 100), await new_user(service, "bob", 50)
    assert await audited(service) == []
    await change(service, "delete from users where id = :user", bob)
    await new_user(service, ann.name, 1)

    assert await audited(service) == []


FILL = (
    "set session_replication_role = replica",
    "insert into users (id, name) select md5(n::text)::uuid, n::text from generate_series(1, 500) as n",
    "insert into credit_accounts (user_id, available_cents) select id, 40 from users",
    """
    insert into credit_entries (user_id, phase, available_cents, funding_cents, at)
    select md5((n % 500 + 1)::text)::uuid, 'top_up', 1, -1, now() - interval '1 day' from generate_series(1, 20000) as n
    """,
    "set session_replication_role = default",
)


async def test_no_statement_reads_all_entries_again(postgres: Postgres) -> None:
    database = await postgres.copy()
    superuser = make_engine(
        postgres.server.superuser_url.rsplit("/", 1)[0] + f"/{database.admin_url.rsplit('/', 1)[1]}"
    )
    sessions = make_sessions(superuser)
    async with sessions.begin() as session:
        for each in FILL:
            await session.execute(text(each))
    assert await audited(sessions) == []
    async with sessions.begin() as session:
        await session.execute(text("analyze"))
    async with sessions() as session:
        counted = await session.scalar(COUNTED)
        for statement, values, most in (
            (RECOUNT, {"at_most": 200, "accounts": 100}, 400),
            (ADVANCE, {"settled": counted + 100}, 0),
            (COMPARE, {}, 0),
        ):
            assert await entries_read(session, statement.text, values | {"counted": counted}) <= most
    await superuser.dispose()


async def entries_read(session: AsyncSession, statement: str, values: dict[str, Any]) -> int:
    """How many rows of `credit_entries` the statement takes up."""
    explained = await session.scalar(text(f"explain (analyze, format json) {statement}"), values)
    plan = explained if isinstance(explained, list) else json.loads(explained)

    def read(node: dict[str, Any]) -> int:
        here = node["Actual Rows"] * node["Actual Loops"] if node.get("Relation Name") == "credit_entries" else 0
        return int(here) + sum(read(child) for child in node.get("Plans", ()))

    return read(plan[0]["Plan"])
