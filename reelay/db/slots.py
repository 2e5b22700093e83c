"""Slots: the right to have one request at a provider's account, where that runs only so many at once.

A slot is held by the job's own row, from the moment it is granted (`slot_granted_at`) or sent (`attempts`) until the
row ends: whatever ends a job frees its slot in the same transaction, and none can leak. A model that is at work beside
the job's own holds one by the same row (`beside_provider`). Who waits is a row that is `waiting_for` a slot. Where
there is no limit nothing of this is read or written.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Boolean, RowMapping, Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import AttemptState, GenerationJob, LearnedLimit, SlotLimit, SubmissionAttempt
from reelay.domain.forecast import Span
from reelay.domain.generation import ACTIVE, Generation, Priority, ProviderName
from reelay.domain.learned_limit import FIRST_SLOTS, USUAL_QUEUE, Learned, Lesson
from reelay.domain.turns import Place, Share, SlotLimits, SlotsInUse, Turn, Turns, WaitingJob

# The condition of the index `generation_jobs_in_slots`.
HOLDS_SLOT = f"""
    status in ({ACTIVE_STATUSES}) and (attempts > 0 or slot_granted_at is not null)
"""
# That of `generation_jobs_beside`: another model is at work beside the job's own.
HOLDS_SLOT_BESIDE = f"status in ({ACTIVE_STATUSES}) and beside_provider is not null"
SET_LIMIT = text("""
    insert into slot_limits (provider, endpoint, slots, is_learned, slots_per_user)
    values (:provider, :endpoint, :slots, :is_learned, :slots_per_user)
    on conflict (provider, endpoint) do update set
        slots = excluded.slots, is_learned = excluded.is_learned, slots_per_user = excluded.slots_per_user,
        changed_at = now()
""")
# Until the transaction ends, nobody else gives a turn at this provider; what is read after it is what the last left.
LOCK_QUEUE = text("""
    insert into slot_queues as queue (provider) values (:provider)
    on conflict (provider) do update set provider = excluded.provider
    returning last_start
""")
HOLDS = text(f"select ({HOLDS_SLOT}) from generation_jobs where id = :job")
HOLDS_BESIDE = text(f"select ({HOLDS_SLOT_BESIDE}) from generation_jobs where id = :job")
IN_USE = text(f"""
    select user_id, endpoint, count(*) as jobs from (
        select user_id, endpoint from generation_jobs where provider = :provider and {HOLDS_SLOT}
        union all
        select user_id, beside_endpoint from generation_jobs where beside_provider = :provider and {HOLDS_SLOT_BESIDE}
    ) as held
    group by user_id, endpoint
""")
USE = text(f"""
    select provider, sum(jobs)::int as jobs, sum(waiting)::int as waiting from (
        select provider,
            count(*) filter (where {HOLDS_SLOT}) as jobs, count(*) filter (where waiting_for = 'slot') as waiting
        from generation_jobs where {HOLDS_SLOT} or waiting_for = 'slot'
        group by provider
        union all
        select beside_provider, count(*), 0 from generation_jobs where {HOLDS_SLOT_BESIDE} group by beside_provider
    ) as used
    group by provider
""")
# The oldest of each user, endpoint, priority and place are enough: whoever comes after them has to wait for them.
FIRST_WAITING = text("""
    select id, user_id, endpoint, priority, slot_place as place, created_at as since from (
        select id, user_id, endpoint, priority, slot_place, created_at, row_number() over (
            partition by user_id, endpoint, priority, slot_place order by created_at, id
        ) as number
        from generation_jobs
        where provider = :provider and status = 'pending' and slot_granted_at is null and attempts = 0
            and not slot_withheld and (waiting_for = 'slot' or id = :arriving)
    ) as waiting
    where number <= :at_most
""")
SHARES = text("""
    select users.id as user_id, slot_weight as weight, coalesce(next_start, '-infinity') as next_start
    from users left join slot_shares on user_id = users.id and provider = :provider
    where users.id = any (:users)
""")
GRANT = text("""
    with turn as (
        select * from unnest(cast(:jobs as uuid[]), cast(:users as uuid[]), cast(:next_starts as float8[]))
            as turn (job_id, user_id, next_start)
    ), share as (
        insert into slot_shares (provider, user_id, next_start)
        select :provider, user_id, max(next_start) from turn group by user_id
        on conflict (provider, user_id) do update set next_start = excluded.next_start
    ), queue as (
        update slot_queues set last_start = :last_start where provider = :provider
    )
    update generation_jobs set slot_granted_at = now() from turn
    where id = turn.job_id and status = 'pending' and slot_granted_at is null
    returning id
""")
# Of all that wait, in any order.
WAITING = text("""
    select id, user_id, endpoint, priority, slot_place as place, created_at as since, model from generation_jobs
    where provider = :provider and status = 'pending' and waiting_for = 'slot' and slot_granted_at is null
        and not slot_withheld
""")
AT_WORK = text(f"""
    select model, coalesce(submitted_at, stage_at) as since from generation_jobs
    where provider = :provider and {HOLDS_SLOT}
""")
LAST_START = text("select last_start from slot_queues where provider = :provider")
DURATIONS = text("select model, usual, fast, slow from usual_durations()")
WAITED_FOR = text("select distinct provider from generation_jobs where waiting_for = 'slot' and not slot_withheld")
# Granted some time ago, and still not submitted: the signal was lost, or the run has not come to it yet.
CALL_AGAIN = text("""
    update generation_jobs set slot_granted_at = now()
    where waiting_for = 'slot' and slot_granted_at < now() - cast(:unanswered_for as interval)
    returning id
""")
# Of the jobs that wait for a slot, and were not granted one.
CHANGE_WAIT = text("""
    update generation_jobs
    set slot_withheld = coalesce(:withheld, slot_withheld), slot_place = coalesce(:place, slot_place)
    where id = :job and status = 'pending' and waiting_for = 'slot' and slot_granted_at is null
    returning user_id
""").bindparams(bindparam("withheld", type_=Boolean), bindparam("place", type_=Text))
WITHHELD = text("""
    select id from generation_jobs
    where provider = :provider and status = 'pending' and waiting_for = 'slot' and slot_withheld
    order by created_at, id
""")
LEARNED = text("select distinct on (provider) provider, slots from learned_limits order by provider, id desc")
CHANGE_LEARNED = text("""
    insert into learned_limits (provider, slots, lesson)
    select :provider, :slots, :lesson
    where coalesce((select max(id) from learned_limits where provider = :provider), 0) = :after
    returning id
""")
FORGET_LEARNED = text("""
    delete from learned_limits where provider = :provider and id <= (
        select id from learned_limits where provider = :provider order by id desc offset :kept limit 1
    )
""")
# In the provider's queue although a slot was free, by what it said of them last.
QUEUED_THERE = text("""
    select provider, count(*)::int as jobs from generation_jobs
    where waiting_for = 'queue' and status = 'submitted' and stage_at < now() - cast(:usual as interval)
    group by provider
""")
CHANGES_KEPT = 500
"""Of a learned limit."""
AT_MOST_AT_ONCE = 1000
"""Turns of one transaction."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which requests at a provider are looked at."""

    after: datetime
    for_at_least: timedelta
    """So long ago, at least, they were sent."""
    at_most: int


async def read_slot_limits(
    session: AsyncSession, defaults: Mapping[ProviderName, int | Learned | None]
) -> dict[ProviderName, SlotLimits]:
    """The limits of the accounts; `defaults` where none was set while running."""
    account: dict[str, int | Learned | None] = {str(name): limit for name, limit in defaults.items()}
    per_user: dict[str, int | None] = {}
    endpoints: dict[str, dict[str, int]] = {}
    for limit in await slot_limits(session):
        if not limit.endpoint:
            account[limit.provider] = Learned.AUTO if limit.is_learned else limit.slots
            per_user[limit.provider] = limit.slots_per_user
        elif limit.slots is not None:
            endpoints.setdefault(limit.provider, {})[limit.endpoint] = limit.slots
    learned = await _learned(session) if Learned.AUTO in account.values() else {}
    return {
        name: SlotLimits(
            learned.get(name, FIRST_SLOTS) if (slots := account.get(name)) is Learned.AUTO else slots,
            per_user.get(name),
            endpoints.get(name, {}),
            is_learned=slots is Learned.AUTO,
        )
        for name in ProviderName
    }


async def _learned(session: AsyncSession) -> dict[ProviderName, int]:
    return {ProviderName(row.provider): row.slots for row in await session.execute(LEARNED)}


async def learned_limits(session: AsyncSession, provider: ProviderName, *, limit: int) -> Sequence[LearnedLimit]:
    """What the provider's limit was learned to be, the newest first."""
    changes = select(LearnedLimit).where(col(LearnedLimit.provider) == provider)
    return (await session.scalars(changes.order_by(col(LearnedLimit.id).desc()).limit(limit))).all()


async def change_learned_limit(
    session: AsyncSession, provider: ProviderName, slots: int, lesson: Lesson, *, after: int | None
) -> bool:
    """`after`: the id of the change that this one follows. False when there was another meanwhile."""
    await session.execute(LOCK_QUEUE, {"provider": provider})
    change = {"provider": provider, "slots": slots, "lesson": lesson, "after": after or 0}
    changed = (await session.execute(CHANGE_LEARNED, change)).first() is not None
    if changed:
        await session.execute(FORGET_LEARNED, {"provider": provider, "kept": CHANGES_KEPT})
    return changed


async def newest_at(session: AsyncSession, provider: ProviderName, sent: Window) -> Sequence[SubmissionAttempt]:
    """Accepted requests of jobs that are at the provider: those that were sent in that time, first those of which it
    said that others are ahead."""
    statement = (
        select(SubmissionAttempt)
        .join(GenerationJob, col(GenerationJob.id) == col(SubmissionAttempt.job_id))
        .where(
            col(SubmissionAttempt.provider) == provider,
            col(SubmissionAttempt.state) == AttemptState.ACCEPTED,
            col(SubmissionAttempt.sent_at) > sent.after,
            col(SubmissionAttempt.sent_at) < func.now() - sent.for_at_least,
            col(GenerationJob.status).in_(ACTIVE),
            col(GenerationJob.provider) == provider,
            col(GenerationJob.provider_request_id) == col(SubmissionAttempt.request_id),
        )
        .order_by(func.coalesce(col(SubmissionAttempt.queue_position), 0).desc(), col(SubmissionAttempt.sent_at).desc())
        .limit(sent.at_most)
    )
    return (await session.scalars(statement)).all()


async def slot_limits(session: AsyncSession) -> Sequence[SlotLimit]:
    """Those that were set while running."""
    ordered = select(SlotLimit).order_by(col(SlotLimit.provider), col(SlotLimit.endpoint))
    return (await session.scalars(ordered)).all()


async def set_slot_limit(session: AsyncSession, limit: SlotLimit) -> None:
    await session.execute(SET_LIMIT, limit.model_dump(exclude={"changed_at"}))


async def slot_use(session: AsyncSession) -> Mapping[ProviderName, tuple[int, int]]:
    """By provider: jobs that hold a slot, or would if there were a limit, and jobs that wait for one."""
    return {ProviderName(row.provider): (row.jobs, row.waiting) for row in await session.execute(USE)}


async def queued_there(session: AsyncSession) -> Mapping[ProviderName, int]:
    """By provider: jobs that are in its own queue for longer than usual."""
    rows = await session.execute(QUEUED_THERE, {"usual": USUAL_QUEUE})
    return {ProviderName(row.provider): row.jobs for row in rows}


async def highest_priority(session: AsyncSession) -> Priority:
    """That the session's user may ask for."""
    return Priority((await session.execute(select(func.highest_priority()))).scalar_one())


async def grant_slots(
    session: AsyncSession, provider: ProviderName, limits: SlotLimits, *, arriving: UUID | None = None
) -> Sequence[UUID]:
    """Give as many turns as there are free slots: to those who wait, and to a job that is `arriving`.

    Until the transaction ends, nobody else gives turns at this provider.
    """
    last_start = float((await session.execute(LOCK_QUEUE, {"provider": provider})).scalar_one())
    in_use = [SlotsInUse(**row) for row in (await session.execute(IN_USE, {"provider": provider})).mappings()]
    turns = Turns(limits, in_use, last_start=last_start)
    at_most = AT_MOST_AT_ONCE if turns.free is None else min(turns.free, AT_MOST_AT_ONCE)
    if not at_most or not (waiting := await _first_waiting(session, provider, arriving, at_most=at_most)):
        return []
    chosen = turns.choose(waiting, await _shares(session, provider, {job.user_id for job in waiting}))
    return await _grant(session, provider, chosen, last_start=turns.last_start)


async def has_spare_slot(session: AsyncSession, generation: Generation, limits: SlotLimits) -> bool:
    """Whether its model beside the one that the row follows has a slot, or there is one that nobody waits for. Until
    the transaction ends, nobody else gives that away."""
    if await session.scalar(HOLDS_BESIDE, {"job": generation.id}):
        return True
    provider = generation.provider
    last_start = float((await session.execute(LOCK_QUEUE, {"provider": provider})).scalar_one())
    in_use = [SlotsInUse(**row) for row in (await session.execute(IN_USE, {"provider": provider})).mappings()]
    turns = Turns(limits, in_use, last_start=last_start)
    waiting = await _first_waiting(session, provider, None, at_most=AT_MOST_AT_ONCE)
    return not turns.has_slot_for_any(waiting) and turns.has_slot(generation.user_id, generation.endpoint)


async def change_wait(
    session: AsyncSession, generation_id: UUID, *, withheld: bool | None = None, place: Place | None = None
) -> UUID | None:
    """Of a job that waits for a slot: the user whose it is. None where it does not wait (any more)."""
    changed = await session.execute(CHANGE_WAIT, {"job": generation_id, "withheld": withheld, "place": place})
    owner: UUID | None = changed.scalar()
    return owner


async def withheld_at(session: AsyncSession, provider: ProviderName) -> Sequence[UUID]:
    """Jobs that wait, and get no turn until an operator releases them, the oldest first."""
    return (await session.scalars(WITHHELD, {"provider": provider})).all()


async def holds_slot(session: AsyncSession, generation_id: UUID) -> bool:
    return bool(await session.scalar(HOLDS, {"job": generation_id}))


async def providers_waited_for(session: AsyncSession) -> Sequence[ProviderName]:
    return [ProviderName(name) for name in await session.scalars(WAITED_FOR)]


async def call_again(session: AsyncSession, *, unanswered_for: timedelta) -> Sequence[UUID]:
    """Jobs that have a slot and do not seem to know it."""
    return (await session.scalars(CALL_AGAIN, {"unanswered_for": unanswered_for})).all()


@dataclass(frozen=True, kw_only=True)
class Line:
    """Who waits at a provider, in the order of their turns, and since when those are there who hold its slots."""

    waiting: Sequence[tuple[UUID, str]]
    """Job and model."""
    at_work: Sequence[tuple[str, datetime]]
    """Model, and when it was sent."""


async def line_at(session: AsyncSession, provider: ProviderName, limits: SlotLimits) -> Line:
    of_provider = {"provider": provider}
    last_start = await session.scalar(LAST_START, of_provider) or 0.0
    rows = (await session.execute(WAITING, of_provider)).mappings().all()
    models = {row["id"]: row["model"] for row in rows}
    waiting = [_waiting_job(row) for row in rows]
    at_work = [(row.model, row.since) for row in await session.execute(AT_WORK, of_provider)]
    shares = await _shares(session, provider, {job.user_id for job in waiting})
    ordered = Turns(limits, [], last_start=last_start).order(waiting, shares)
    return Line(waiting=[(job.id, models[job.id]) for job in ordered], at_work=at_work)


async def usual_durations(session: AsyncSession) -> Mapping[str, Span]:
    """By model, from the submission to the end, of everybody's jobs that completed lately. Any role may ask."""
    return {row.model: Span(row.usual, row.fast, row.slow) for row in await session.execute(DURATIONS)}


async def _first_waiting(
    session: AsyncSession, provider: ProviderName, arriving: UUID | None, *, at_most: int
) -> list[WaitingJob]:
    params = {"provider": provider, "arriving": arriving, "at_most": at_most}
    return [_waiting_job(row) for row in (await session.execute(FIRST_WAITING, params)).mappings()]


def _waiting_job(row: RowMapping) -> WaitingJob:
    return WaitingJob(
        id=row["id"],
        user_id=row["user_id"],
        endpoint=row["endpoint"],
        priority=Priority(row["priority"]),
        since=row["since"],
        place=Place(row["place"]),
    )


async def _shares(session: AsyncSession, provider: ProviderName, users: Collection[UUID]) -> dict[UUID, Share]:
    rows = await session.execute(SHARES, {"provider": provider, "users": list(users)})
    return {row.user_id: Share(row.weight, row.next_start) for row in rows}


async def _grant(
    session: AsyncSession, provider: ProviderName, turns: Sequence[Turn], *, last_start: float
) -> Sequence[UUID]:
    if not turns:
        return []
    granted = {
        "provider": provider,
        "jobs": [turn.job_id for turn in turns],
        "users": [turn.user_id for turn in turns],
        "next_starts": [turn.next_start for turn in turns],
        "last_start": last_start,
    }
    return (await session.scalars(GRANT, granted)).all()
