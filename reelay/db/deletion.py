"""Deleting jobs, their media and their users.

Rows go in one transaction, which also writes down what is then still to be deleted in the archive and at the provider:
an erasure. It goes once nothing is left, so that whatever dies in between, no file is forgotten. A job leaves its
entries in the ledger and a row without content, by which the books stay whole and its id is not used again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.credits import end_hold
from reelay.db.statuses import FINAL_STATUSES
from reelay.db.tables import DeletedJob, DepartedUser, GenerationJob, User
from reelay.domain.generation import ACTIVE

TRY_AGAIN_AFTER = timedelta(minutes=5)
"""An erasure that failed, or whose worker died: twice as long each time, up to a day."""
ANONYMOUS = "deleted user "
"""The beginning of the name that the books of a deleted user are kept under."""

# First of all, as whoever ends a job or deletes a clip does: jobs in the order of their ids, then clips.
LOCK_JOBS = text("select from generation_jobs where id = any (:ids) order by id for update")
# Ended jobs whose credits are settled. An open hold is ended by the caller, or by the reconciliation.
DELETE_JOBS = text(f"""
    with job as materialized (
        select job.* from generation_jobs as job
        where job.id = any (:ids) and job.status in ({FINAL_STATUSES}) and not exists (
            select from credit_entries as hold where hold.job_id = job.id and hold.phase = 'hold' and not exists (
                select from credit_entries as ended
                where ended.job_id = job.id and ended.phase in ('settle', 'release')
            )
        )
        order by job.id for update of job
    ), books as (
        insert into deleted_jobs (
            id, user_id, job_type, provider, model, status, created_at, completed_at, actual_cost_cents, charged_cents,
            request_ids
        )
        select
            id, user_id, job_type, provider, model, status, created_at, completed_at, actual_cost_cents, charged_cents,
            array(
                select request_id from submission_attempts where job_id = job.id and request_id is not null
                union
                select job.fal_request_id where job.fal_request_id is not null
            )
        from job
    ), left_over as (
        insert into erasures (prefix, provider, request_ids)
        select job.user_id || '/' || job.id, job.provider, array(
            select request_id from submission_attempts as attempt
            where attempt.job_id = job.id and attempt.provider = job.provider and attempt.request_id is not null
            union
            select job.fal_request_id where job.fal_request_id is not null
        )
        from job
        union all -- at providers that it fell back from
        select null, attempt.provider, array_agg(attempt.request_id)
        from job join submission_attempts as attempt on attempt.job_id = job.id
        where attempt.provider <> job.provider and attempt.request_id is not null
        group by job.id, attempt.provider
    ), deliveries as (
        delete from webhook_deliveries where job_id in (select id from job)
    )
    delete from generation_jobs where id in (select id from job) returning id
""")
# A clip's address leads nowhere once its file is deleted.
CLEAR_CLIPS = text("""
    update campaign_clips as clip
    set video = case when video ->> 'raw_url' like gone.files then video - array['raw_url', 'generated_at']
            else video end,
        first_frame = case when first_frame ->> 'image_url' like gone.files
            then first_frame - array['image_url', 'generated_at'] else first_frame end,
        audio = (case when audio ->> 'voice_url' like gone.files then audio - 'voice_url' else audio end)
            - (case when audio ->> 'ambient_url' like gone.files then 'ambient_url' else '' end),
        final = case when final ->> 'url' like gone.files then final - array['url', 'generated_at'] else final end,
        updated_at = now()
    from (
        select user_id, clip_id, '%/api/media/' || id || '/%' as files from generation_jobs
        where id = any (:ids) and clip_id is not null
    ) as gone
    where clip.user_id = gone.user_id and clip.id = gone.clip_id
""")
DELETE_MEDIA = text(f"""
    with job as (
        update generation_jobs set result_url = null
        where id = any (:ids) and status in ({FINAL_STATUSES})
        returning id, user_id
    ), left_over as (
        insert into erasures (prefix) select user_id || '/' || id from job
    )
    delete from video_files where job_id in (select id from job)
""")
EXPIRED_JOBS = text("""
    select id from generation_jobs where completed_at < now() - cast(:kept as interval)
    order by completed_at limit :at_most
""")
DELETE_EXPIRED_PIPELINES = text("""
    delete from pipelines where id in (
        select id from pipelines where completed_at < now() - cast(:kept as interval)
        order by completed_at limit :at_most
    )
""")
DELETE_EMPTY_BATCHES = text("""
    delete from batches where id in (
        select id from batches
        where created_at < now() - cast(:kept as interval)
            and not exists (select from generation_jobs where batch_id = batches.id)
        limit :at_most
    )
""")
EXPIRED_MEDIA = text(f"""
    select distinct job_id from (
        select job_id from video_files join generation_jobs as job on job.id = job_id
        where video_files.created_at < now() - cast(:kept as interval) and file_url is null
            and job.status in ({FINAL_STATUSES})
        order by video_files.created_at limit :at_most
    ) as old
""")
DELETE_EXPIRED_EVENTS = text(f"""
    delete from job_events where id in (
        select event.id from job_events as event join generation_jobs as job on job.id = event.job_id
        where event.at < now() - cast(:kept as interval) and job.status in ({FINAL_STATUSES})
        order by event.at limit :at_most
    )
""")
CLAIM_ERASURES = text("""
    update erasures set tries = tries + 1, next_try_at = now() + cast(:try_again as interval) * least(2 ^ tries, 288)
    where id in (
        select id from erasures where next_try_at <= now() order by next_try_at limit :at_most for update skip locked
    )
    returning id, prefix, provider, request_ids
""")
FORGET_ERASURES = text("delete from erasures where id = any (:ids)")
NARROW_ERASURES = text("update erasures set prefix = null where id = any (:ids) and request_ids <> '{}'")
FORGET_NARROW_ERASURES = text("delete from erasures where id = any (:ids) and request_ids = '{}'")
BLAME_ERASURES = text("""
    update erasures set trouble = given.trouble
    from unnest(cast(:ids as bigint[]), cast(:troubles as text[])) as given (id, trouble) where erasures.id = given.id
""")
JOBS_OF_USER = text(
    "select id from generation_jobs where user_id = :user_id and status <> all (:active) limit :at_most"
)
# Everything that is left of a user is moved to a user without a name, or goes with the user's row.
ANONYMISE = (
    "insert into users (id, name, created_at, disabled_at, deleted_at)"
    " select cast(:new as uuid), cast(:name as text), created_at, disabled_at, deleted_at from users where id = :old",
    "update credit_accounts as account"
    " set available_cents = theirs.available_cents, held_cents = theirs.held_cents"
    " from credit_accounts as theirs where account.user_id = :new and theirs.user_id = :old",
    "update credit_entries set user_id = :new, reference = case when reference is not null then 'entry ' || id end"
    " where user_id = :old",
    "update deleted_jobs set user_id = :new where user_id = :old",
    "insert into erasures (prefix) values (cast(cast(:old as uuid) as text))",
    "delete from departed_users where departed_at < now() - interval '1 year'",
    "insert into departed_users (user_hash, departed_at)"
    " select sha256(convert_to(id::text, 'UTF8')), deleted_at from users where id = :old"
    " on conflict (user_hash) do update set departed_at = excluded.departed_at",
    "delete from users where id = :old",
)


@dataclass(frozen=True)
class Erasure:
    """What is still to be deleted outside the database."""

    id: int
    prefix: str | None
    """Of keys in the archive."""
    provider: str | None
    request_ids: Sequence[str]


async def delete_jobs(session: AsyncSession, ids: Sequence[UUID]) -> int:
    """Those that have ended, with all their rows. How many went."""
    await session.execute(LOCK_JOBS, {"ids": list(ids)})
    await session.execute(CLEAR_CLIPS, {"ids": list(ids)})
    return len((await session.execute(DELETE_JOBS, {"ids": list(ids)})).all())


async def delete_job(session: AsyncSession, user_id: UUID, generation_id: UUID) -> Erasure | None:
    """What is left to be deleted of the user's job, whose rows are; None where it has not ended, or is not there."""
    owned = select(col(GenerationJob.id)).where(
        col(GenerationJob.id) == generation_id, col(GenerationJob.user_id) == user_id
    )
    if await session.scalar(owned.with_for_update()) is None:
        return None
    await end_hold(session, generation_id)
    if not await delete_jobs(session, [generation_id]):
        return None
    row = (await session.execute(ERASURE_OF, {"prefix": f"{user_id}/{generation_id}"})).one()
    return Erasure(*row)


ERASURE_OF = text("""
    select id, prefix, provider, request_ids from erasures
    where id = (select max(id) from erasures where prefix = :prefix)
""")


async def is_deleted(session: AsyncSession, user_id: UUID, generation_id: UUID) -> bool:
    """Whether the user had a job of that id."""
    found = exists().where(col(DeletedJob.id) == generation_id, col(DeletedJob.user_id) == user_id)
    return bool(await session.scalar(select(found)))


async def delete_expired_jobs(session: AsyncSession, *, kept: timedelta, at_most: int) -> int:
    """Of those that ended so long ago, the oldest; pipelines; and batches of which no job is left. How many jobs
    went."""
    values = {"kept": kept, "at_most": at_most}
    await session.execute(DELETE_EXPIRED_PIPELINES, values)
    ids = (await session.scalars(EXPIRED_JOBS, values)).all()
    deleted = await delete_jobs(session, ids) if ids else 0
    await session.execute(DELETE_EMPTY_BATCHES, values)
    return deleted


async def delete_expired_media(session: AsyncSession, *, kept: timedelta, at_most: int) -> int:
    """The files of ended jobs that were archived so long ago. Their jobs stay. How many jobs lost theirs."""
    ids = (await session.scalars(EXPIRED_MEDIA, {"kept": kept, "at_most": at_most})).all()
    if ids:
        await session.execute(LOCK_JOBS, {"ids": list(ids)})
        await session.execute(CLEAR_CLIPS, {"ids": list(ids)})
        await session.execute(DELETE_MEDIA, {"ids": list(ids)})
    return len(ids)


async def delete_expired_events(session: AsyncSession, *, kept: timedelta, at_most: int) -> int:
    """Of the timelines of ended jobs."""
    result = await session.execute(DELETE_EXPIRED_EVENTS, {"kept": kept, "at_most": at_most})
    return int(result.rowcount)  # type: ignore[attr-defined]


async def claim_erasures(session: AsyncSession, *, at_most: int) -> list[Erasure]:
    """Those that are due. Nobody else gets them for some minutes."""
    rows = await session.execute(CLAIM_ERASURES, {"at_most": at_most, "try_again": TRY_AGAIN_AFTER})
    return [Erasure(*row) for row in rows]


async def forget_erasures(session: AsyncSession, ids: Sequence[int]) -> None:
    """Nothing is left."""
    await session.execute(FORGET_ERASURES, {"ids": list(ids)})


async def forget_files_of(session: AsyncSession, ids: Sequence[int]) -> None:
    """What is in the archive is deleted; what the provider stores may not be."""
    await session.execute(NARROW_ERASURES, {"ids": list(ids)})
    await session.execute(FORGET_NARROW_ERASURES, {"ids": list(ids)})


async def blame_erasures(session: AsyncSession, troubles: Mapping[int, str]) -> None:
    """Why they are still there, for operators; by their ids."""
    if troubles:
        values = {"ids": list(troubles), "troubles": [trouble[:500] for trouble in troubles.values()]}
        await session.execute(BLAME_ERASURES, values)


async def mark_user_deleted(session: AsyncSession, user: User) -> None:
    """No key or token is taken any more; what the user has is deleted step by step."""
    now = func.now()
    statement = (
        update(User)
        .where(col(User.id) == user.id)
        .values(deleted_at=func.coalesce(col(User.deleted_at), now), disabled_at=func.coalesce(User.disabled_at, now))
    )
    await session.execute(statement)


async def users_to_delete(session: AsyncSession) -> Sequence[User]:
    """Those who are marked, and have not become anonymous yet."""
    statement = select(User).where(col(User.deleted_at).is_not(None), ~col(User.name).startswith(ANONYMOUS))
    return (await session.scalars(statement.order_by(col(User.deleted_at)))).all()


async def has_departed(session: AsyncSession, user_id: UUID, issued_at: datetime) -> bool:
    """Whether the user of that id was deleted after this moment."""
    user_hash = sha256(str(user_id).encode()).digest()
    departed = exists().where(col(DepartedUser.user_hash) == user_hash, col(DepartedUser.departed_at) >= issued_at)
    return bool(await session.scalar(select(departed)))


async def active_jobs_of(session: AsyncSession, user_id: UUID) -> Sequence[GenerationJob]:
    statement = select(GenerationJob).where(
        col(GenerationJob.user_id) == user_id, col(GenerationJob.status).in_(ACTIVE)
    )
    return (await session.scalars(statement)).all()


async def delete_jobs_of(session: AsyncSession, user_id: UUID, *, at_most: int) -> int:
    """The ended ones. How many went."""
    values = {"user_id": user_id, "active": list(ACTIVE), "at_most": at_most}
    ids = (await session.scalars(JOBS_OF_USER, values)).all()
    for generation_id in ids:
        await end_hold(session, generation_id)
    return await delete_jobs(session, ids) if ids else 0


async def anonymise_user(session: AsyncSession, user_id: UUID) -> bool:
    """Delete the user with all that is left but the books, which name nobody then. False while there are jobs."""
    await session.execute(text("select from users where id = :id for update"), {"id": user_id})
    if await session.scalar(select(exists().where(col(GenerationJob.user_id) == user_id))):
        return False
    new = uuid4()
    values = {"old": user_id, "new": new, "name": f"{ANONYMOUS}{new}"}
    for statement in ANONYMISE:
        await session.execute(text(statement), values)
    return True
