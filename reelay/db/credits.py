"""Credits: one account per user, and a ledger of all that moved.

An entry is a whole transaction between the accounts available, held, charged and funding. A hold is made in the
transaction that inserts its job, and ends once, in the one that ends the job. `docs/decisions/007-credits.md` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.statuses import ACTIVE_STATUSES, FINAL_STATUSES
from reelay.db.tables import CreditAccount, CreditEntry, Phase, User
from reelay.domain.money import MOST_CENTS


@dataclass(frozen=True)
class Balance:
    """In cents."""

    available: int = 0
    held: int = 0

    @property
    def total(self) -> int:
        return self.available + self.held


@dataclass(frozen=True)
class HoldAnswer:
    is_held: bool
    """False: nothing was held, and the job must not be committed."""
    available: int
    """Before the hold."""
    monthly_budget: int | None
    spent_this_month: int | None
    """By the user's other jobs of this month; None where there is no budget."""


class AmountRefused(ValueError):
    """An amount that is not moved, with the reason."""


async def balance_of(session: AsyncSession, user_id: UUID) -> Balance:
    account = await session.get(CreditAccount, user_id)
    return Balance(account.available_cents, account.held_cents) if account else Balance()


@dataclass(frozen=True)
class KeyBudget:
    """In cents."""

    budget: int
    spent: int
    """What the key's ended jobs have cost, and the prices of the others."""

    @property
    def left(self) -> int:
        return self.budget - self.spent


async def budget_of_key(session: AsyncSession, key_id: UUID) -> KeyBudget | None:
    """Of a key of the session's user; None for one without."""
    row = (await session.execute(text("select * from key_budget(:key)"), {"key": key_id})).first()
    return KeyBudget(*row) if row else None


# Of a job that has ended, `moved`. Its row says what it costs: `charged_cents` is charged, the rest of the hold is
# available again.
END_OF_HOLD = """
    entry as (
        insert into credit_entries (user_id, job_id, phase, available_cents, held_cents, charged_cents)
        select
            hold.user_id, hold.job_id,
            case when moved.status = 'completed' or paid.cents > 0 then 'settle' else 'release' end,
            hold.held_cents - paid.cents, -hold.held_cents, paid.cents
        from moved join credit_entries as hold on hold.job_id = moved.id and hold.phase = 'hold'
        cross join lateral (select least(moved.charged_cents, hold.held_cents)) as paid (cents)
        on conflict do nothing
        returning user_id, job_id, available_cents, held_cents
    ), account as (
        update credit_accounts as account
        set available_cents = account.available_cents + entry.available_cents,
            held_cents = account.held_cents + entry.held_cents,
            month_cents = account.month_cents - case
                when date_trunc('month', hold.at at time zone 'utc') = account.month then entry.available_cents else 0
            end
        from entry join credit_entries as hold on hold.job_id = entry.job_id and hold.phase = 'hold'
        where account.user_id = entry.user_id
        returning account.user_id
    )
"""
END_HOLD = text(f"""
    with moved as (
        select id, status, charged_cents from generation_jobs
        where id = :job and status in ({FINAL_STATUSES})
    ), {END_OF_HOLD}
    select user_id from account
""")


async def end_hold(session: AsyncSession, generation_id: UUID) -> bool:
    """Settle or release the hold of an ended generation, as its row says. False when it has ended before."""
    return (await session.execute(END_HOLD, {"job": generation_id})).first() is not None


async def top_up(session: AsyncSession, user: User, cents: int, *, reference: str | None = None) -> bool:
    """Give the user credits. False when there was one with this reference before. Raises: AmountRefused."""
    if cents <= 0:
        raise AmountRefused(f"{cents} is not an amount to add: whole cents from 1 to {MOST_CENTS}")
    return await _move(session, user, Phase.TOP_UP, cents, reference)


async def adjust(session: AsyncSession, user: User, cents: int, *, reason: str) -> bool:
    """Correct the balance, up or down. False when there was a correction for this reason before.

    Raises: AmountRefused.
    """
    if cents == 0:
        raise AmountRefused("0 cents correct nothing")
    return await _move(session, user, Phase.ADJUSTMENT, cents, reason)


async def _move(session: AsyncSession, user: User, phase: Phase, cents: int, reference: str | None) -> bool:
    if abs(cents) > MOST_CENTS:
        raise AmountRefused(f"{cents} is too much at once: at most {MOST_CENTS} cents")
    entry = {"user_id": user.id, "phase": phase, "available_cents": cents, "funding_cents": -cents}
    inserted = (
        upsert(CreditEntry)
        .values(entry | {"reference": reference})
        .on_conflict_do_nothing()
        .returning(col(CreditEntry.id))
    )
    if (await session.execute(inserted)).first() is None:
        return False
    moved = (
        update(CreditAccount)
        .where(
            col(CreditAccount.user_id) == user.id,
            (col(CreditAccount.available_cents) + cents).between(0, MOST_CENTS),
        )
        .values(available_cents=col(CreditAccount.available_cents) + cents)
        .returning(col(CreditAccount.user_id))
    )
    if (await session.execute(moved)).first() is None:
        raise AmountRefused(f"after {cents} more, {user.name} would have less than 0 or more than {MOST_CENTS} cents")
    return True


async def limit_month(session: AsyncSession, user: User, cents: int | None) -> None:
    """The most that the user's jobs of one month may cost; None for no limit. Raises: AmountRefused."""
    require_budget(cents)
    await session.execute(update(User).where(col(User.id) == user.id).values(monthly_budget_cents=cents))


def require_budget(cents: int | None) -> None:
    """Raises: AmountRefused."""
    if cents is not None and not 0 <= cents <= MOST_CENTS:
        raise AmountRefused(f"{cents} is no budget: whole cents from 0 to {MOST_CENTS}, or none")


@dataclass(frozen=True)
class Drift:
    """A figure of a user's account that its entries and jobs do not explain, in cents."""

    user_id: UUID
    account: str
    kept: int
    """What the account says."""
    counted: int
    """What it should say."""


DRIFT = text(f"""
    with booked as (
        select user_id, sum(available_cents) as available, sum(held_cents) as held
        from credit_entries group by user_id
    ), living as (
        select hold.user_id, sum(hold.held_cents) as held
        from credit_entries as hold join generation_jobs as job on job.id = hold.job_id
        where hold.phase = 'hold' and job.status in ({ACTIVE_STATUSES})
        group by hold.user_id
    ), of_month as (
        select hold.user_id, sum(hold.held_cents - coalesce(ended.available_cents, 0)) as cost
        from credit_accounts as account
        join credit_entries as hold on hold.user_id = account.user_id and hold.phase = 'hold'
            and date_trunc('month', hold.at at time zone 'utc') = account.month
        left join credit_entries as ended on ended.job_id = hold.job_id and ended.phase in ('settle', 'release')
        group by hold.user_id
    )
    select account.user_id, wrong.account, wrong.kept, wrong.counted
    from credit_accounts as account
    left join booked using (user_id)
    left join living using (user_id)
    left join of_month using (user_id)
    cross join lateral (values
        ('available', available_cents, coalesce(booked.available, 0)),
        ('held', held_cents, coalesce(booked.held, 0)),
        ('held for living jobs', held_cents, coalesce(living.held, 0)),
        ('cost of the month', month_cents, coalesce(of_month.cost, 0))
    ) as wrong (account, kept, counted)
    where wrong.kept <> wrong.counted
    order by account.user_id, wrong.account
""")


async def ledger_drift(session: AsyncSession) -> Sequence[Drift]:
    """Where accounts, entries and living jobs disagree; empty when the books balance. Reads every entry."""
    return [
        Drift(user, account, int(kept), int(counted)) for user, account, kept, counted in await session.execute(DRIFT)
    ]


# Looked for only on accounts that hold something else than what their living jobs cost: the others have none.
ORPHANED_HOLDS = text(f"""
    select hold.job_id
    from credit_accounts as account
    join credit_entries as hold on hold.user_id = account.user_id and hold.phase = 'hold'
    join generation_jobs as job on job.id = hold.job_id and job.status in ({FINAL_STATUSES})
    where account.held_cents <> (
        select coalesce(sum(living.estimated_cost_cents), 0) from generation_jobs as living
        where living.user_id = account.user_id and living.status in ({ACTIVE_STATUSES})
    ) and not exists (
        select from credit_entries as ended
        where ended.job_id = hold.job_id and ended.phase in ('settle', 'release')
    )
""")


async def orphaned_holds(session: AsyncSession) -> Sequence[UUID]:
    """Ended generations whose credits are still held."""
    return (await session.scalars(ORPHANED_HOLDS)).all()
