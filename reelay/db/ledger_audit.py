"""The audit of the ledger: do accounts hold what their entries and living jobs say? It reads no entry that it knows.

Each account has a checkpoint, its sums up to an entry. An audit adds what has come since, and counts some accounts
again from their first entry: an entry that was changed behind the checkpoint is found when its account's turn comes.
`docs/decisions/024-incremental-audit.md` has the reasons and the measurements.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.credits import Drift
from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import LedgerAudit

DRIFT = TypeAdapter(Drift)
RECOUNTED, RECOUNTED_ACCOUNTS = 10_000, 500
"""Entries, and accounts, that an audit counts again at most; of an account that has more entries, all of them."""
SETTLED = timedelta(minutes=5)
"""No transaction that moves credits stays open for so long: of older entries none with a lower number can follow."""

# Two audits at once would add the same entries twice.
ALONE = text("lock table ledger_checkpoints in share row exclusive mode")

# The last entry that a checkpoint has counted: a value, so that a statement with it is planned for what it leaves.
COUNTED = text("select coalesce(max(through), 0) from ledger_checkpoints")
SETTLED_ENTRY = text("select coalesce(max(id), 0) from credit_entries where at < now() - cast(:settled as interval)")

RECOUNT = text("""
    with due as (
        select user_id from (
            select user_id, sum(entries) over (order by recounted_at, user_id) - entries as before
            from (select * from ledger_checkpoints order by recounted_at, user_id limit :accounts) as longest_ago
        ) as queue
        where before < :at_most
    ), recounted as (
        select due.user_id, counted.* from due cross join lateral (
            select count(*) as entries, coalesce(sum(available_cents), 0)::bigint as available_cents,
                coalesce(sum(held_cents), 0)::bigint as held_cents
            from credit_entries where user_id = due.user_id and id <= :counted
        ) as counted
    )
    update ledger_checkpoints as checkpoint
    set entries = recounted.entries, available_cents = recounted.available_cents, held_cents = recounted.held_cents,
        recounted_at = now()
    from recounted where checkpoint.user_id = recounted.user_id
""")

ADVANCE = text("""
    insert into ledger_checkpoints as checkpoint (user_id, through, entries, available_cents, held_cents)
    select user_id, max(id), count(*), sum(available_cents), sum(held_cents)
    from credit_entries where id > :counted and id <= :settled
    group by user_id
    on conflict (user_id) do update
    set through = excluded.through,
        entries = checkpoint.entries + excluded.entries,
        available_cents = checkpoint.available_cents + excluded.available_cents,
        held_cents = checkpoint.held_cents + excluded.held_cents
""")

# One statement, so that accounts, entries and jobs are of the same moment.
COMPARE = text(f"""
    with fresh as (
        select user_id, sum(available_cents)::bigint as available, sum(held_cents)::bigint as held
        from credit_entries where id > :counted
        group by user_id
    ), living as (
        select hold.user_id, sum(hold.held_cents)::bigint as held
        from credit_entries as hold join generation_jobs as job on job.id = hold.job_id
        where hold.phase = 'hold' and job.status in ({ACTIVE_STATUSES})
        group by hold.user_id
    ), figures as (
        select user_id, account.available_cents as available, account.held_cents as held,
            coalesce(checkpoint.available_cents, 0) + coalesce(fresh.available, 0) as counted_available,
            coalesce(checkpoint.held_cents, 0) + coalesce(fresh.held, 0) as counted_held,
            coalesce(living.held, 0) as living_held
        from credit_accounts as account
        left join ledger_checkpoints as checkpoint using (user_id)
        left join fresh using (user_id)
        left join living using (user_id)
    )
    select user_id, wrong.account, wrong.kept, wrong.counted
    from figures cross join lateral (values
        ('available', available, counted_available),
        ('held', held, counted_held),
        ('held for living jobs', held, living_held)
    ) as wrong (account, kept, counted)
    where (available <> counted_available or held <> counted_held or held <> living_held)
        and wrong.kept <> wrong.counted
    order by user_id, wrong.account
""")


@dataclass(frozen=True)
class Audit:
    at: datetime
    drift: Sequence[Drift]
    """Empty when the ledger balances."""


async def audit_ledger(
    session: AsyncSession, *, settled: timedelta = SETTLED, recounted: int = RECOUNTED
) -> Sequence[Drift]:
    """Compare, and keep the answer for those who read it. The session's transaction is the audit's alone."""
    await session.execute(ALONE)
    counted = await session.scalar(COUNTED)
    await session.execute(RECOUNT, {"at_most": recounted, "accounts": RECOUNTED_ACCOUNTS, "counted": counted})
    last = await session.scalar(SETTLED_ENTRY, {"settled": settled})
    await session.execute(ADVANCE, {"counted": counted, "settled": last})
    found = await session.execute(COMPARE, {"counted": await session.scalar(COUNTED)})
    drift = [Drift(user, account, int(kept), int(counted)) for user, account, kept, counted in found]
    values = {"at": func.now(), "drift": [asdict(each) | {"user_id": str(each.user_id)} for each in drift]}
    kept = upsert(LedgerAudit).values(only_row=True, **values)
    await session.execute(kept.on_conflict_do_update(index_elements=["only_row"], set_=values))
    return drift


async def latest_audit(session: AsyncSession) -> Audit | None:
    """None before the first one."""
    row = await session.get(LedgerAudit, True)
    return Audit(row.at, [DRIFT.validate_python(each) for each in row.drift]) if row else None
