"""The ledger on a real Postgres: exact in any order, at any number at once, and out of the API's role's reach."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlmodel import col

from lab.devstack.ports import HOST
from reelay.db.admission import Terms, admit_creation
from reelay.db.credits import (
    AmountRefused,
    Balance,
    HoldAnswer,
    KeyBudget,
    adjust,
    balance_of,
    budget_of_key,
    end_hold,
    ledger_drift,
    limit_month,
    orphaned_holds,
    top_up,
)
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user, make_engine, make_sessions
from reelay.db.generations import cancel_generation, complete_generation, fail_generation, insert_generation
from reelay.db.keys import create_key, list_keys
from reelay.db.reconciliation import end_orphaned_hold
from reelay.db.tables import GenerationJob, Scope, User
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import JobType, ProviderName
from reelay.domain.money import MOST_CENTS, Charge
from tests.eventually import eventually
from tests.servers import Database, Postgres
from tests.tcp_lines import open_line

SEEDS = 100
PRICE = 10
FAILURE = Failure(code=FailureCode.PROVIDER_ERROR, message="the provider failed")
End = Callable[["Ledger", UUID], Coroutine[Any, Any, bool]]


class OutOfCredits(Exception):
    """As the API's 402: it rolls the transaction back."""


@dataclass(frozen=True)
class Ledger:
    service: Sessions
    replicas: Sequence[Sessions]
    """Of the API's role."""

    async def user(self, cents: int = 0) -> User:
        user = User(name=f"user {uuid4()}")
        async with self.service.begin() as session:
            session.add(user)
            await session.flush()
            if cents:
                await top_up(session, user, cents)
        return user

    async def create(self, user: User, price: int = PRICE, *, replica: int = 0) -> UUID:
        """A job with its hold. Raises: OutOfCredits."""
        job = job_of(user, price)
        async with as_user(self.replicas[replica], user.id) as session:
            assert await insert_generation(session, job)
            if (await admit_creation(session, [job.id], Terms())).refused:
                raise OutOfCredits
        return job.id

    async def balance(self, user: User) -> tuple[int, int]:
        """Available and held; the books have to balance."""
        async with self.service() as session:
            assert [drift for drift in await ledger_drift(session) if drift.user_id == user.id] == []
            found = await balance_of(session, user.id)
        return found.available, found.held

    async def phases(self, job_id: UUID) -> list[str]:
        async with self.service() as session:
            statement = text("select phase from credit_entries where job_id = :job order by id")
            return list((await session.execute(statement, {"job": job_id})).scalars())

    async def complete(self, job_id: UUID, cents: int = PRICE) -> bool:
        charge = Charge(cost_cents=cents, charged_cents=cents)
        async with self.service.begin() as session:
            return await complete_generation(session, job_id, files=[], result_url=None, charge=charge)

    async def fail(self, job_id: UUID) -> bool:
        async with self.service.begin() as session:
            return await fail_generation(session, job_id, FAILURE, reason=FAILURE.message)

    async def cancel(self, job_id: UUID) -> bool:
        async with self.service.begin() as session:
            return await cancel_generation(session, job_id, "Canceled")

    async def end(self, job_id: UUID) -> bool:
        async with self.service.begin() as session:
            return await end_hold(session, job_id)


def job_of(user: User, price: int) -> GenerationJob:
    return GenerationJob(
        id=uuid4(),
        user_id=user.id,
        job_type=JobType.VIDEO,
        provider=ProviderName.FAL,
        model="m",
        endpoint="e",
        input_params={},
        arguments={},
        timing={},
        estimated_cost_cents=price,
    )


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


@pytest.fixture(scope="module")
async def ledger(database: Database) -> AsyncIterator[Ledger]:
    engines = [make_engine(database.admin_url), *(make_engine(database.app_url) for _ in range(2))]
    service, *replicas = map(make_sessions, engines)
    yield Ledger(service, replicas)
    for engine in engines:
        await engine.dispose()


async def test_hold_moves_the_price_and_a_settlement_gives_the_rest_back(ledger: Ledger) -> None:
    user = await ledger.user(100)
    job = await ledger.create(user, 60)
    assert await ledger.balance(user) == (40, 60)
    assert await ledger.complete(job, 45)
    assert await ledger.balance(user) == (55, 0)
    assert await ledger.phases(job) == ["hold", "settle"]


@pytest.mark.parametrize("end", [Ledger.fail, Ledger.cancel])
async def test_job_that_does_not_complete_costs_nothing(ledger: Ledger, end: End) -> None:
    user = await ledger.user(100)
    job = await ledger.create(user, 60)
    assert await end(ledger, job)
    assert await ledger.balance(user) == (100, 0)
    assert await ledger.phases(job) == ["hold", "release"]


async def test_new_user_has_nothing_and_a_job_that_costs_nothing_needs_nothing(ledger: Ledger) -> None:
    user = await ledger.user()
    with pytest.raises(OutOfCredits):
        await ledger.create(user, 1)
    job = await ledger.create(user, 0)
    assert await ledger.complete(job, 0)
    assert await ledger.balance(user) == (0, 0)


@pytest.fixture
async def forty(database: Database) -> AsyncIterator[list[asyncpg.Connection]]:
    """Connections of the API's role, each with a process of its own in the server."""
    connections = [await asyncpg.connect(database.app_url) for _ in range(40)]
    yield connections
    for connection in connections:
        await connection.close()


async def race(connection: asyncpg.Connection, job: GenerationJob, *, gives_up: bool) -> bool:
    """A creation in three round trips, so that servers race and not we; whether it was committed."""
    row = job.model_dump_json(exclude_none=True, exclude={"metadata_"})
    columns = ", ".join(json.loads(row))
    await connection.execute(
        f"begin; select set_config('app.user_id', '{job.user_id}', true); insert into generation_jobs ({columns})"
        f" select {columns} from jsonb_populate_record(null::generation_jobs, '{row}')"
    )
    is_held = await connection.fetchval("select is_held from hold_credits($1)", job.id)
    await connection.execute("commit" if is_held and not gives_up else "rollback")
    return is_held and not gives_up


@pytest.mark.fault("L1")
async def test_forty_holds_at_once_with_credits_for_ten_are_ten(
    ledger: Ledger, forty: list[asyncpg.Connection]
) -> None:
    """Whoever gives up after its hold, as a process that dies does, has taken nothing from the others."""
    users = [User(name=f"user {uuid4()}") for _ in range(SEEDS)]
    async with ledger.service.begin() as session:
        session.add_all(users)
        await session.flush()
        for user in users:
            await top_up(session, user, 10 * PRICE)
    for seed, user in enumerate(users):
        dice = Random(seed)
        dice.shuffle(forty)
        quitters = dice.randrange(6)
        creations = [
            race(connection, job_of(user, PRICE), gives_up=number < quitters) for number, connection in enumerate(forty)
        ]
        assert sum(await asyncio.gather(*creations)) == 10, f"seed {seed}"

    async with ledger.service() as session:
        jobs = select(col(GenerationJob.user_id), func.count()).group_by(col(GenerationJob.user_id))
        counted = {user_id: count for user_id, count in await session.execute(jobs)}
        assert {counted[user.id] for user in users} == {10}
        assert {await balance_of(session, user.id) for user in users} == {Balance(available=0, held=10 * PRICE)}
        assert await ledger_drift(session) == []


@pytest.mark.fault("L3")
async def test_ends_that_race_end_a_job_once(ledger: Ledger) -> None:
    ends: list[End] = [Ledger.complete, Ledger.fail, Ledger.cancel, Ledger.end]
    user = await ledger.user(MOST_CENTS)
    for seed in range(SEEDS):
        dice, before = Random(seed), await ledger.balance(user) if seed % 20 == 0 else None
        job = await ledger.create(user)
        contenders = [*ends, *dice.choices(ends, k=4)]
        dice.shuffle(contenders)
        won = await asyncio.gather(*(end(ledger, job) for end in contenders))

        assert sum(won) == 1, f"seed {seed}"
        hold, end = await ledger.phases(job)
        winner = contenders[won.index(True)]
        assert (hold, end) == ("hold", "settle" if winner is Ledger.complete else "release"), f"seed {seed}"
        if before:
            paid = PRICE if winner is Ledger.complete else 0
            assert await ledger.balance(user) == (before[0] - paid, 0), f"seed {seed}"


async def test_holds_and_ends_of_one_user_at_once_never_block_each_other_for_good(ledger: Ledger) -> None:
    user = await ledger.user(MOST_CENTS)
    living = [await ledger.create(user) for _ in range(15)]
    for _ in range(10):
        ends = asyncio.gather(*(ledger.complete(job) for job in living))
        living = await asyncio.gather(*(ledger.create(user, replica=number % 2) for number in range(15)))
        assert all(await ends)
    assert await ledger.balance(user) == (MOST_CENTS - 165 * PRICE, 15 * PRICE)


@pytest.mark.fault("L4")
async def test_commit_whose_answer_is_lost_happens_once(ledger: Ledger, database: Database) -> None:
    user = await ledger.user(100)
    job = await ledger.create(user, 60)
    url = make_url(database.admin_url)
    async with open_line(url.port or 0) as line:
        by_line = url.set(host=HOST, port=line.port).render_as_string(hide_password=False)
        engine = make_engine(by_line, pool_size=1)

        async def is_committed() -> bool:
            return await ledger.phases(job) == ["hold", "settle"]

        async def finish_and_top_up(*, losing_the_answer: bool) -> tuple[bool, bool]:
            charge = Charge(cost_cents=45, charged_cents=45)
            async with make_sessions(engine).begin() as session:
                completed = await complete_generation(session, job, files=[], result_url=None, charge=charge)
                added = await top_up(session, user, 7, reference="payment 1")
                with line.deaf() if losing_the_answer else nullcontext():
                    commit = asyncio.create_task(session.commit())
                    await eventually(is_committed)
                await commit
            return completed, added

        with pytest.raises(POSTGRES_UNAVAILABLE):
            await finish_and_top_up(losing_the_answer=True)
        assert await ledger.balance(user) == (62, 0)
        assert await finish_and_top_up(losing_the_answer=False) == (False, False)
        await engine.dispose()
    assert await ledger.phases(job) == ["hold", "settle"]
    assert await ledger.balance(user) == (62, 0)


@pytest.mark.fault("L7")
@pytest.mark.parametrize("cents", [0, -1, MOST_CENTS + 1, 2**63, -(2**63), 10**400])
async def test_only_amounts_that_can_be_are_added(ledger: Ledger, cents: int) -> None:
    user = await ledger.user(5)
    async with ledger.service() as session:
        with pytest.raises(AmountRefused):
            await top_up(session, user, cents)
    assert await ledger.balance(user) == (5, 0)


@pytest.mark.fault("L7")
async def test_account_holds_at_most_what_is_exact_everywhere_and_never_less_than_nothing(ledger: Ledger) -> None:
    user = await ledger.user(MOST_CENTS)
    for cents in (1, MOST_CENTS, -MOST_CENTS - 1):
        with pytest.raises(AmountRefused):
            async with ledger.service.begin() as session:
                await adjust(session, user, cents, reason="a try")
    async with ledger.service.begin() as session:
        assert await adjust(session, user, -MOST_CENTS, reason="all of it")
        assert not await adjust(session, user, -MOST_CENTS, reason="all of it")
    assert await ledger.balance(user) == (0, 0)


FORBIDDEN = [
    "insert into credit_entries (user_id, phase, available_cents, funding_cents) values (:user, 'top_up', 9, -9)",
    "update credit_accounts set available_cents = 1000000",
    "insert into credit_accounts (user_id) values (gen_random_uuid())",
    "delete from credit_entries",
    "truncate credit_accounts",
    "update users set monthly_budget_cents = null",
    "alter function hold_credits owner to current_user",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_apis_role_can_move_no_credits(ledger: Ledger, statement: str) -> None:
    user = await ledger.user(5)
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with as_user(ledger.replicas[0], user.id) as session:
            await session.execute(text(statement), {"user": user.id} if ":user" in statement else {})


async def test_hold_is_made_of_ones_own_job_and_once(ledger: Ledger) -> None:
    ann, bob = await ledger.user(100), await ledger.user(100)
    job = await ledger.create(ann)
    for user, complaint in ((bob, "no rows"), (ann, "duplicate key")):
        with pytest.raises(DBAPIError, match=complaint):
            async with as_user(ledger.replicas[0], user.id) as session:
                await admit_creation(session, [job], Terms())
    assert (await ledger.balance(ann), await ledger.balance(bob)) == ((90, PRICE), (100, 0))


async def test_accounts_and_entries_are_seen_by_their_owner_alone(ledger: Ledger) -> None:
    ann, bob = await ledger.user(100), await ledger.user(100)
    await ledger.create(ann)
    async with as_user(ledger.replicas[0], bob.id) as session:
        for table in ("credit_accounts", "credit_entries"):
            owners = (await session.execute(text(f"select distinct user_id from {table}"))).scalars().all()
            assert owners == [bob.id]
        assert await balance_of(session, ann.id) == Balance()


async def test_monthly_budget_counts_this_months_jobs_at_what_they_cost(ledger: Ledger) -> None:
    user = await ledger.user(1000)
    async with ledger.service.begin() as session:
        await limit_month(session, user, 100)
    last_month = await ledger.create(user, 100)
    async with ledger.service.begin() as session:
        for earlier in (
            "update credit_entries set at = at - interval '1 month' where job_id = :job",
            "update credit_accounts set month = month - interval '1 month' where user_id = :user",
        ):
            await session.execute(text(earlier), {"job": last_month} if ":job" in earlier else {"user": user.id})
    settled, failed, _open = [await ledger.create(user, price) for price in (50, 30, 20)]
    with pytest.raises(OutOfCredits):
        await ledger.create(user, 1)
    await ledger.complete(settled, 40)
    await ledger.fail(failed)

    await ledger.create(user, 40)
    job = job_of(user, 1)
    async with as_user(ledger.replicas[0], user.id) as session:
        await insert_generation(session, job)
        admission = await admit_creation(session, [job.id], Terms())
        assert admission.refused == job.id
        assert admission.hold == HoldAnswer(False, 800, 100, 100)
        await session.rollback()
    async with ledger.service.begin() as session:
        await limit_month(session, user, None)
    await ledger.create(user, 1)
    await ledger.fail(last_month)  # it was of another month's budget
    assert await ledger.balance(user) == (899, 61)


JOBS_OF_THE_MONTH = """
    with job as (
        insert into generation_jobs (
            id, user_id, job_type, provider, model, endpoint, input_params, arguments, timing, estimated_cost_cents
        )
        select gen_random_uuid(), :user, 'video', 'fal', 'm', 'e', '{}', '{}', '{}', 1 from generate_series(1, :count)
        returning id, user_id
    ), entry as (
        insert into credit_entries (user_id, job_id, phase, available_cents, held_cents)
        select user_id, id, 'hold', -1, 1 from job
    )
    update credit_accounts set
        available_cents = available_cents - :count, held_cents = held_cents + :count,
        month = date_trunc('month', now() at time zone 'utc'), month_cents = month_cents + :count
    where user_id = :user
"""
ROWS_READ = text("select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables")


async def test_budget_of_a_month_with_many_jobs_is_checked_as_that_of_one_with_few(ledger: Ledger) -> None:
    rows_read = []
    for jobs in (3, 3_000):
        user = await ledger.user(10_000)
        async with ledger.service.begin() as session:
            await limit_month(session, user, jobs + PRICE)
            await session.execute(text(JOBS_OF_THE_MONTH), {"user": user.id, "count": jobs})
        job = job_of(user, PRICE)
        async with as_user(ledger.replicas[0], user.id) as session:
            await session.execute(text("set local enable_seqscan = off"))  # as with tables that are not those of a test
            await insert_generation(session, job)
            before = await session.scalar(ROWS_READ)
            admission = await admit_creation(session, [job.id], Terms())
            assert admission.hold == HoldAnswer(True, 10_000 - jobs, jobs + PRICE, jobs)
            rows_read.append(await session.scalar(ROWS_READ) - before)
        await ledger.balance(user)
    # What Postgres reads of its own catalogue differs a little.
    assert abs(rows_read[0] - rows_read[1]) < 100


async def test_twenty_at_once_stay_within_the_budget(ledger: Ledger) -> None:
    user = await ledger.user(1000)
    async with ledger.service.begin() as session:
        await limit_month(session, user, 5 * PRICE)
    creations = (ledger.create(user, replica=number % 2) for number in range(20))
    outcomes = await asyncio.gather(*creations, return_exceptions=True)
    assert sum(isinstance(outcome, UUID) for outcome in outcomes) == 5


async def test_without_credits_a_key_spends_what_its_jobs_cost(ledger: Ledger) -> None:
    user = await ledger.user()
    async with ledger.service.begin() as session:
        await create_key(session, user=user.name, scope=Scope.USER, pepper=b"", budget_cents=2 * PRICE + 1)
        ((key, _),) = await list_keys(session, user_id=user.id)
    jobs = [job_of(user, PRICE) for _ in range(3)]
    spending = []
    for job in jobs:
        job.budget_key_id = key.id
        async with as_user(ledger.replicas[0], user.id) as session:
            await insert_generation(session, job)
            admission = await admit_creation(session, [job.id], Terms(is_metered=False))
            spending.append((admission.refused, admission.key))
    budgets = [KeyBudget(2 * PRICE + 1, spent) for spent in (0, PRICE, 2 * PRICE)]
    assert spending == [(None, budgets[0]), (None, budgets[1]), (jobs[2].id, budgets[2])]

    await ledger.complete(jobs[0].id, PRICE // 2)
    assert not await ledger.complete(jobs[0].id, PRICE)
    await ledger.fail(jobs[1].id)
    async with as_user(ledger.replicas[0], user.id) as session:
        assert await budget_of_key(session, key.id) == KeyBudget(2 * PRICE + 1, PRICE // 2)
    async with as_user(ledger.replicas[0], uuid4()) as session:
        assert await budget_of_key(session, key.id) is None


@pytest.mark.fault("L2")
async def test_hold_that_outlived_its_job_is_found_freed_and_told(ledger: Ledger) -> None:
    user = await ledger.user(100)
    living, job = await ledger.create(user), await ledger.create(user)
    async with ledger.service.begin() as session:
        assert await orphaned_holds(session) == []
        await session.execute(text("update generation_jobs set status = 'failed' where id = :job"), {"job": job})
    async with ledger.service.begin() as session:
        drifts = [(drift.account, drift.kept, drift.counted) for drift in await ledger_drift(session)]
        assert drifts == [("held for living jobs", 2 * PRICE, PRICE)]
        assert await orphaned_holds(session) == [job]
        assert await end_orphaned_hold(session, job)
        assert not await end_orphaned_hold(session, job)
        assert not await end_orphaned_hold(session, living)
        told = text("select detail from job_events where job_id = :job order by id desc limit 1")
        assert "credits were still held" in (await session.execute(told, {"job": job})).scalar_one()
    assert await ledger.phases(job) == ["hold", "release"]
    assert await ledger.balance(user) == (90, PRICE)


async def test_account_that_its_entries_do_not_explain_is_told(ledger: Ledger) -> None:
    user = await ledger.user(100)
    async with ledger.service() as session:  # never committed
        await session.execute(
            text("update credit_accounts set available_cents = 101, held_cents = 3 where user_id = :user"),
            {"user": user.id},
        )
        drifts = {(drift.account, drift.kept, drift.counted) for drift in await ledger_drift(session)}
    assert drifts == {("available", 101, 100), ("held", 3, 0), ("held for living jobs", 3, 0)}


@pytest.mark.fault("L7")
@pytest.mark.parametrize(
    "columns",
    [
        {"phase": "top_up", "available_cents": 5, "funding_cents": -4},
        {"phase": "top_up", "available_cents": -5, "funding_cents": 5},
        {"phase": "adjustment", "available_cents": 5, "funding_cents": -5},
        {"phase": "gift", "available_cents": 5, "funding_cents": -5},
        {"phase": "hold", "available_cents": -5, "held_cents": 5},
    ],
    ids=["unbalanced", "negative", "without a reason", "of no phase", "of no job"],
)
async def test_entry_that_cannot_be_is_not_written(ledger: Ledger, columns: dict[str, Any]) -> None:
    user = await ledger.user()
    entries = GenerationJob.metadata.tables["credit_entries"]
    async with ledger.service() as session:
        with pytest.raises(DBAPIError, match=r"entry_balances|entry_fits_its_phase"):
            await session.execute(insert(entries).values(user_id=user.id, **columns))
