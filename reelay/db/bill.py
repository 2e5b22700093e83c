"""What a provider has billed, beside what the ledger has charged. It is shown, and nothing is booked.

A request that was billed is matched with its job once, and stays matched: a job that is deleted takes its attempts
along. What a job's user was charged counts at the last of its requests that was billed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import BillReconciliation
from reelay.domain.bill import FIRST_DAYS, GRACE, LONGEST_DAYS, OVERLAP, BilledRequest
from reelay.domain.generation import ProviderName

NANO_USD_PER_CENT = 10_000_000
UNKNOWN_FOR_DAYS = 30
"""So long an unknown request counts in the metric."""

# One request may be billed in parts, at one moment even.
KEEP = text("""
    insert into billing_events as kept (provider, request_id, billed_at, endpoint, units, nano_usd)
    select :provider, request_id, billed_at, min(endpoint), sum(units), sum(nano_usd)
    from unnest(
        cast(:request_ids as text[]), cast(:billed_at as timestamptz[]), cast(:endpoints as text[]),
        cast(:units as numeric[]), cast(:nano_usd as numeric[])
    ) as billed (request_id, billed_at, endpoint, units, nano_usd)
    group by request_id, billed_at
    on conflict (provider, request_id, billed_at) do update
    set endpoint = excluded.endpoint, units = excluded.units, nano_usd = excluded.nano_usd
    where (kept.endpoint, kept.units, kept.nano_usd)
        is distinct from (excluded.endpoint, excluded.units, excluded.nano_usd)
""")
# By its attempt, which may have been at another endpoint than the job is now, and which a retry may have taken over
# since; or, where another backend has submitted it, by the job alone.
MATCH = text("""
    update billing_events as event
    set job_id = known.job_id, model = case when known.endpoint = event.endpoint then known.model end
    from billing_events as billed cross join lateral (
        select job.id as job_id, job.model, job.endpoint, 1 as rank
        from submission_attempts as attempt join generation_jobs as job on job.id = attempt.job_id
        where attempt.provider = billed.provider and attempt.request_id = billed.request_id
        union all
        select job.id, job.model, job.endpoint, 2 from generation_jobs as job
        where job.provider = billed.provider and job.fal_request_id = billed.request_id
        order by rank limit 1
    ) as known
    where (billed.job_id is null or billed.billed_at >= :begins) and event.job_id is distinct from known.job_id
        and event.provider = billed.provider and event.request_id = billed.request_id
        and event.billed_at = billed.billed_at
""")
MATCH_DELETED = text("""
    update billing_events as event set job_id = deleted.id
    from (select id, unnest(request_ids) as request_id from deleted_jobs) as deleted
    where event.job_id is null and event.request_id = deleted.request_id
""")
NOTE = text("""
    insert into bill_reconciliations as last (provider, complete_since, reconciled_at)
    values (:provider, :begins, :ends)
    on conflict (provider) do update
    set complete_since = case
            when excluded.complete_since <= last.reconciled_at
                then least(last.complete_since, excluded.complete_since)
            else excluded.complete_since
        end,
        reconciled_at = greatest(last.reconciled_at, excluded.reconciled_at)
""")
NOW = text("select now()")
UNKNOWN_NOW = text("""
    select count(distinct (provider, request_id)) from billing_events
    where job_id is null and billed_at >= now() - make_interval(days => :days)
""")

# A charge counts once: at the last of the job's events.
TOTALS = text(f"""
    select coalesce(event.model, event.endpoint) as model, count(distinct event.request_id) as requests,
        sum(event.nano_usd) / {NANO_USD_PER_CENT} as billed_cents,
        coalesce(sum(entry.charged_cents), 0) as charged_cents,
        coalesce(sum(entry.charged_cents), 0) - sum(event.nano_usd) / {NANO_USD_PER_CENT} as difference_cents
    from (
        select *, row_number() over (partition by job_id order by billed_at desc, request_id desc) as number
        from billing_events where billed_at >= :begins and billed_at < :ends
    ) as event
    left join (select distinct job_id from billing_events where billed_at >= :ends) as later
        on later.job_id = event.job_id
    left join credit_entries as entry
        on entry.job_id = event.job_id and entry.phase = 'settle' and event.number = 1 and later.job_id is null
    group by 1
    order by 1
""")
# Whole, also where a part of it was billed in another time.
BILLED_JOBS = f"""
    select event.job_id, min(coalesce(event.model, event.endpoint)) as model, max(event.billed_at) as billed_at,
        sum(event.nano_usd) / {NANO_USD_PER_CENT} as billed_cents,
        coalesce(min(entry.charged_cents), 0) as charged_cents,
        coalesce(min(entry.charged_cents), 0) - sum(event.nano_usd) / {NANO_USD_PER_CENT} as difference_cents
    from billing_events as event
    left join credit_entries as entry on entry.job_id = event.job_id and entry.phase = 'settle'
    where event.job_id in (
        select job_id from billing_events where billed_at >= :begins and billed_at < :ends and job_id is not null
    ) and not exists (
        select from generation_jobs where id = event.job_id and status in ({ACTIVE_STATUSES})
    )
    group by event.job_id
"""
DIFFERING = text(f"""
    select *, count(*) over () as total from ({BILLED_JOBS}) as job
    where abs(difference_cents) >= 1
    order by abs(difference_cents) desc, job_id
    limit :at_most
""")
UNKNOWN = text(f"""
    select provider, request_id, min(endpoint) as endpoint, sum(units) as units,
        sum(nano_usd) / {NANO_USD_PER_CENT} as billed_cents, max(billed_at) as billed_at, count(*) over () as total
    from billing_events
    where job_id is null and billed_at >= :begins and billed_at < :ends
    group by provider, request_id
    order by max(billed_at) desc, request_id
    limit :at_most
""")
# What costs nothing by our own count need not be billed.
UNBILLED = text("""
    select job.provider, job.fal_request_id as request_id, job.id as job_id, job.model, job.charged_cents,
        job.completed_at, count(*) over () as total
    from bill_reconciliations as last
    join generation_jobs as job on job.provider = last.provider
        and job.completed_at >= greatest(:begins, last.complete_since)
        and job.completed_at < least(:ends, last.reconciled_at - cast(:grace as interval))
    cross join lateral (
        select from submission_attempts
        where job_id = job.id and provider = job.provider and request_id = job.fal_request_id
        limit 1 -- so that it is looked up for each job, not joined
    ) as attempt
    where job.status = 'completed' and job.actual_cost_cents is distinct from 0 and not exists (
        select from billing_events as event
        where event.provider = job.provider and event.request_id = job.fal_request_id
    )
    order by job.completed_at desc, job.id
    limit :at_most
""")

Rows = Sequence[Row[Any]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The rows of the last three have `total`, how many there are; they are its first ones."""

    reconciled_at: datetime | None
    """When the bill was last read; None: never."""
    totals: Rows
    differing: Rows
    """Jobs whose request cost us a cent or more than their user was charged, or less."""
    unknown: Rows
    """Requests that were billed and are no job's."""
    unbilled: Rows
    """Requests that completed and were not billed."""


async def span_to_read(session: AsyncSession, provider: ProviderName, days: int | None) -> tuple[datetime, datetime]:
    """So many days, or what has come since the last pass, until now."""
    ends: datetime = (await session.execute(NOW)).scalar_one()
    if days is not None:
        return ends - timedelta(days=days), ends
    last = await session.get(BillReconciliation, provider)
    begins = last.reconciled_at - OVERLAP if last else ends - timedelta(days=FIRST_DAYS)
    return max(begins, ends - timedelta(days=LONGEST_DAYS)), ends


async def keep_events(session: AsyncSession, provider: ProviderName, events: Sequence[BilledRequest]) -> None:
    """Those that are kept already stay; an amount that was corrected is corrected."""
    values = {
        "provider": provider,
        "request_ids": [event.request_id for event in events],
        "billed_at": [event.billed_at for event in events],
        "endpoints": [event.endpoint for event in events],
        "units": [event.units for event in events],
        "nano_usd": [event.nano_usd for event in events],
    }
    await session.execute(KEEP, values)


async def match_events(session: AsyncSession, provider: ProviderName, begins: datetime, ends: datetime) -> Rows:
    """Find the jobs of what was billed, and note that the bill was read from `begins` to `ends`. What of that is no
    job's, the first of it."""
    await session.execute(MATCH, {"begins": begins})
    await session.execute(MATCH_DELETED)
    await session.execute(NOTE, {"provider": provider, "begins": begins, "ends": ends})
    return (await session.execute(UNKNOWN, {"begins": begins, "ends": ends, "at_most": 10})).all()


async def unknown_requests(session: AsyncSession) -> int:
    """How many were billed of late that are no job's."""
    return int((await session.execute(UNKNOWN_NOW, {"days": UNKNOWN_FOR_DAYS})).scalar_one())


async def compare_bill(session: AsyncSession, begins: datetime, ends: datetime, *, at_most: int) -> Comparison:
    """What was billed from `begins` until before `ends`; of each list `at_most` rows."""
    span = {"begins": begins, "ends": ends}
    lists = span | {"at_most": at_most}
    last = await session.get(BillReconciliation, ProviderName.FAL)
    return Comparison(
        reconciled_at=last.reconciled_at if last else None,
        totals=(await session.execute(TOTALS, span)).all(),
        differing=(await session.execute(DIFFERING, lists)).all(),
        unknown=(await session.execute(UNKNOWN, lists)).all(),
        unbilled=(await session.execute(UNBILLED, lists | {"grace": GRACE})).all(),
    )
