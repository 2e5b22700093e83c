"""Operators see every job of every user, cancel, retry or poll any in its user's place, and say how it waits."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Self
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.users import UserFilter
from api.context import Context, RequestContext
from api.generations import routes as generations
from api.generations.any_job import JobContext, in_place_of
from api.generations.create import CreateOptionsDep
from api.generations.filters import Filters
from api.generations.read import JobName, find_job, job_view, listed_views
from api.generations.routes import CREATED
from api.generations.schemas import EventView, History, JobView, RetryRequest
from api.http.pagination import Page, PageSize, split_page
from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from reelay import operators
from reelay.db.audit_log import Actor
from reelay.db.generations import (
    newest_generations,
    newest_of_all_generations,
    timeline,
)
from reelay.db.tables import GenerationJob
from reelay.db.users import find_user, names_of
from reelay.domain.turns import Place

router = APIRouter(
    prefix="/api/admin/jobs",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)


class OperatorJobView(JobView):
    """A job, with whose it is and what its user is not told."""

    user_id: UUID
    """The id of its user."""
    user: str
    """The name of its user."""
    cause: str
    """What happened last or why it failed, in English, with accounts, keys and causes."""
    held: bool
    """Whether an operator holds it back: it waits for a slot, and gets none until it is released."""
    place: Place
    """Where an operator has it wait for its slot."""

    @classmethod
    def from_view(cls, view: JobView, row: GenerationJob, user: str) -> Self:
        cause = row.error_message or row.progress_message
        more = {"user_id": row.user_id, "user": user, "cause": cause, "held": row.slot_withheld}
        return cls(**view.model_dump(), **more, place=row.slot_place)


class Move(Wire):
    """Where a job is to wait for its slot."""

    place: Place
    """Before all others, behind them, or where its priority and its user's share put it."""


class OperatorJobList(Page):
    """A page of everybody's jobs, newest first."""

    data: list[OperatorJobView]
    """The jobs, each without its `resultData`."""


@router.get("")
async def list_everybodys_jobs(
    context: Context,
    filters: Filters,
    user: UserFilter = None,
    limit: PageSize = 20,
) -> OperatorJobList:
    """The jobs of all users, newest first, each without its `resultData`."""
    async with context.services.service_sessions() as session:
        if user is None:
            found = await newest_of_all_generations(session, limit=limit + 1, **filters)
        elif owner := await find_user(session, user):
            found = await newest_generations(session, owner.id, limit=limit + 1, **filters)
        else:
            found = []
        page, next_cursor = split_page(found, limit, lambda row: (row.created_at, row.id))
        data = await views_of(context, session, page)
    return OperatorJobList(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)


async def views_of(
    context: RequestContext, session: AsyncSession, rows: Sequence[GenerationJob]
) -> list[OperatorJobView]:
    """As in the users' own lists."""
    of_user: dict[UUID, list[GenerationJob]] = {}
    for row in rows:
        of_user.setdefault(row.user_id, []).append(row)
    names = await names_of(session, of_user)
    views: dict[UUID, OperatorJobView] = {}
    for user_id, jobs in of_user.items():
        shown = await listed_views(in_place_of(context, user_id), session, jobs)
        for job, view in zip(jobs, shown, strict=True):
            views[job.id] = OperatorJobView.from_view(view, job, names[user_id])
    return [views[row.id] for row in rows]


@router.get("/{job_id}")
async def read_anybodys_job(job_id: JobName, context: JobContext) -> OperatorJobView:
    """The job now, whosever it is."""
    return await operator_view(context, job_id)


async def operator_view(context: RequestContext, job_id: JobName) -> OperatorJobView:
    view, row = await job_view(context, job_id), await find_job(context, job_id)
    async with context.services.service_sessions() as session:
        names = await names_of(session, [row.user_id])
    return OperatorJobView.from_view(view, row, names[row.user_id])


@router.get("/{job_id}/history")
async def read_job_history(job_id: JobName, context: JobContext) -> History:
    """The timeline of anybody's job, in English, with the causes."""
    row = await find_job(context, job_id)
    async with context.transaction() as session:
        events = await timeline(session, row.user_id, row.id)
    return History(data=[EventView.from_row(event, event.detail) for event in events])


@router.post("/{job_id}/hold")
async def hold_anybodys_job(job_id: JobName, context: JobContext) -> OperatorJobView:
    """Hold a job back that waits for a slot: it gets none until it is released. 409 where it does not wait for one."""
    return await change_wait(context, job_id, operators.hold_job)


@router.post("/{job_id}/release")
async def release_anybodys_job(job_id: JobName, context: JobContext) -> OperatorJobView:
    """Put a job that is held back in line again."""
    return await change_wait(context, job_id, operators.release_job)


@router.post("/{job_id}/move")
async def move_anybodys_job(job_id: JobName, body: Move, context: JobContext) -> OperatorJobView:
    """Have a job that waits for a slot go first, or last. 409 where it does not wait for one."""
    return await change_wait(context, job_id, partial(operators.move_job, place=body.place))


async def change_wait(
    context: RequestContext, job_id: JobName, change: Callable[[AsyncSession, Actor, UUID], Awaitable[None]]
) -> OperatorJobView:
    row = await find_job(context, job_id)
    async with context.services.service_sessions.begin() as session:
        await change(session, context.caller.actor, row.id)
    return await operator_view(context, str(row.id))


@router.post("/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel_anybodys_job(job_id: JobName, context: JobContext) -> JobView:
    """Cancel the job, also at the provider as far as possible. A job that has ended stays as it is."""
    return await generations.cancel_job(job_id, context)


@router.post("/{job_id}/poll", status_code=status.HTTP_202_ACCEPTED)
async def poll_anybodys_job(job_id: JobName, context: JobContext) -> JobView:
    """Ask the provider now instead of at the next interval. The answer is the job as it is meanwhile."""
    return await generations.poll_job(job_id, context)


@router.post("/{job_id}/retry", **CREATED)
async def retry_anybodys_job(
    job_id: JobName, context: JobContext, options: CreateOptionsDep, body: RetryRequest = generations.UNCHANGED_JOB
) -> Response:
    """Create a new job of the same user from one that failed or was canceled, at that user's cost: with its input, or
    with what the body changes of it."""
    return await generations.retry_job(job_id, context, options, body)
