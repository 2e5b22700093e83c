"""Operators' figures: generations, submissions and webhooks of a window, and what is open now.

The windows are read by their indexes alone; `docs/decisions/016-operators-figures.md` has the measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.statuses import ACTIVE_STATUSES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A stretch of time that ends now, and the slices that it is divided into."""

    length: timedelta
    slice: timedelta
    ends: datetime

    @property
    def begins(self) -> datetime:
        """The beginning of a slice: the oldest one is whole."""
        return self.ends - (self.ends - EPOCH) % self.slice - self.length + self.slice

    @property
    def slices(self) -> list[datetime]:
        return [self.begins + number * self.slice for number in range(int(self.length / self.slice))]


# One pass over the window. A percentile is of those that completed, from creation to end.
ENDED = text("""
    select
        provider, model,
        count(*) filter (where status = 'completed') as completed,
        count(*) filter (where status = 'failed') as failed,
        count(*) filter (where status = 'canceled') as canceled,
        percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from completed_at - created_at))
            filter (where status = 'completed') as seconds
    from generation_jobs
    where completed_at >= :begins and completed_at < :ends
    group by provider, model
    order by count(*) desc, provider, model
""")

BY_SLICE = text("""
    select date_bin(:slice, completed_at, :begins) as at, status, error_code, count(*) as jobs
    from generation_jobs
    where completed_at >= :begins and completed_at < :ends
    group by 1, 2, 3
    order by 1, 2, 3
""")

CREATED = text("select count(*) from generation_jobs where created_at >= :begins and created_at < :ends")

WEBHOOKS = text("""
    select
        date_bin(:slice, received_at, :begins) as at, verdict, count(*) as deliveries,
        percentile_cont(array[0.5, 0.95]) within group (order by took_ms) as milliseconds
    from webhook_deliveries
    where received_at >= :begins and received_at < :ends
    group by grouping sets ((1, 2), (1))
    order by 1, 2
""")

# An attempt that has an answer beside its acceptance was in doubt before: it was adopted.
UNCERTAIN = text("""
    select
        count(*) filter (where state not in ('refused', 'expired')) as doubted,
        count(*) filter (where state = 'accepted') as adopted
    from submission_attempts
    where answer is not null and sent_at >= :begins and sent_at < :ends
""")

RESCUED = text("""
    select provider, count(*) as jobs from submission_attempts
    where ended_by_poll_at is not null and ended_by_poll_at >= :begins and ended_by_poll_at < :ends
    group by provider order by provider
""")

ACTIVE_STAGES = text(f"""
    select stage, count(*) as jobs from generation_jobs
    where status in ({ACTIVE_STATUSES}) and not is_planned group by stage order by stage
""")

INBOX = text("""
    select count(*) as waiting, coalesce(extract(epoch from now() - min(received_at)), 0)::float8 as oldest_seconds
    from webhook_deliveries where next_try_at is not null
""")

UNCERTAIN_NOW = text(f"""
    select count(*) from submission_attempts as attempt join generation_jobs as job on job.id = attempt.job_id
    where attempt.state = 'uncertain' and job.status in ({ACTIVE_STATUSES})
""")

PARKED = text("select count(*) from provider_accounts where parked_at is not null")

CREDITS = text("""
    select
        coalesce(sum(available_cents), 0)::bigint as available_cents, coalesce(sum(held_cents), 0)::bigint as held_cents
    from credit_accounts
""")

# What its timeline says last, but for what the provider printed.
LAST_DETAIL = """coalesce((
        select detail from job_events where job_id = job.id and not data ? 'lines' order by id desc limit 1
    ), '') as detail"""

# The oldest first: what has waited longest is the most urgent. Each `need` is an `ActionRequired`.
OPEN_ACTIONS = text(f"""
    select job.*, {LAST_DETAIL} from (
        select
            id, user_id, provider, model, stage, fal_request_id as provider_request_id,
            created_at as since,
            case
                when origin = 'external' and attempts = 0 and fal_request_id is null
                    and created_at < now() - interval '5 minutes' then 'external'
                when case
                    when submitted_at is null
                        then created_at + coalesce((timing ->> 'submission_window')::interval, interval '1 day')
                    else submitted_at + (timing ->> 'deadline')::interval
                end + interval '10 minutes' < now() then 'overdue'
                when stage = 'archiving' and stage_at < now() - interval '15 minutes' then 'archive_stuck'
                when stage = 'submitting' and waiting_for = 'account' then 'account_parked'
                when stage = 'uncertain' then 'uncertain'
                when stage = 'reserving' and created_at < now() - interval '5 minutes' then 'not_started'
            end as need
        from generation_jobs where status in ({ACTIVE_STATUSES}) and not is_planned
    ) as job
    where need is not null
    order by since
    limit :at_most
""")

ENDED_ACTIONS = text(f"""
    select
        id, user_id, provider, model, stage, fal_request_id as provider_request_id,
        completed_at as since, {LAST_DETAIL}, error_code as need
    from generation_jobs as job
    where error_code in ('unknown_outcome', 'provider_unauthorized', 'archive_failed', 'internal_error', 'run_stopped')
        and completed_at >= :begins and completed_at < :ends
    order by completed_at desc
    limit :at_most
""")

Rows = Sequence[Row[Any]]


@dataclass(frozen=True)
class WindowFigures:
    """The figures of a window, as the statements return them."""

    ended: Rows
    course: Rows
    created: int
    webhooks: Rows
    doubted: int
    adopted: int
    rescued: Mapping[str, int]
    """Requests whose end a poll found before their webhook came, by provider."""


@dataclass(frozen=True)
class CurrentState:
    """What is open at this moment."""

    active: Mapping[str, int]
    """Living generations by stage."""
    inbox: int
    inbox_oldest_seconds: float
    uncertain: int
    parked: int
    available_cents: int
    held_cents: int


async def read_window_figures(session: AsyncSession, window: Window) -> WindowFigures:
    """Its statements see the same moment: the window ends before they begin."""
    span: dict[str, object] = {"begins": window.begins, "ends": window.ends}
    sliced = span | {"slice": window.slice}
    doubted = (await session.execute(UNCERTAIN, span)).one()
    return WindowFigures(
        ended=await _rows(session, ENDED, span),
        course=await _rows(session, BY_SLICE, sliced),
        created=await _count(session, CREATED, span),
        webhooks=await _rows(session, WEBHOOKS, sliced),
        doubted=doubted.doubted,
        adopted=doubted.adopted,
        rescued={row.provider: row.jobs for row in await _rows(session, RESCUED, span)},
    )


async def read_current_state(session: AsyncSession) -> CurrentState:
    inbox = (await session.execute(INBOX)).one()
    credits = (await session.execute(CREDITS)).one()
    return CurrentState(
        active={row.stage: row.jobs for row in await _rows(session, ACTIVE_STAGES, {})},
        inbox=inbox.waiting,
        inbox_oldest_seconds=inbox.oldest_seconds,
        uncertain=await _count(session, UNCERTAIN_NOW, {}),
        parked=await _count(session, PARKED, {}),
        available_cents=credits.available_cents,
        held_cents=credits.held_cents,
    )


async def action_required(session: AsyncSession, window: Window, *, at_most: int) -> Rows:
    """Living generations that hang, then those that ended in the window so that an operator has to act."""
    living = await _rows(session, OPEN_ACTIONS, {"at_most": at_most})
    span = {"begins": window.begins, "ends": window.ends, "at_most": at_most - len(living)}
    return [*living, *await _rows(session, ENDED_ACTIONS, span)]


async def _rows(session: AsyncSession, statement: TextClause, params: Mapping[str, object]) -> Rows:
    return (await session.execute(statement, params)).all()


async def _count(session: AsyncSession, statement: TextClause, params: Mapping[str, object]) -> int:
    return int((await session.execute(statement, params)).scalar_one())
