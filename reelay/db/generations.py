"""What happens to a generation's row. Every change is guarded by the state before it, and says whether it happened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, Required, TypedDict, Unpack
from uuid import UUID

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel
from sqlalchemy import (
    CTE,
    ColumnElement,
    Row,
    Select,
    Text,
    TextClause,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from reelay.db.admission import Admission, Terms, admission_of, read_admission
from reelay.db.clips import ClipUpdate
from reelay.db.credits import END_OF_HOLD
from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import GenerationJob, JobEvent, MediaFileRow
from reelay.domain.failure import Failure
from reelay.domain.generation import (
    Candidate,
    Generation,
    JobType,
    Origin,
    ProviderName,
    Stage,
    Status,
    Submission,
    Timing,
    UncertainSubmitPolicy,
    WaitingFor,
)
from reelay.domain.identifiers import parse_uuid
from reelay.domain.messages import Sentence
from reelay.domain.money import Charge, Tariff
from reelay.domain.progress import progress_sentence

PROGRESS_CHANNEL = "generation_progress"
"""The channel that announces a measured progress: the user's id, the generation's, and the percent."""
UNSTARTED_PAGE = 100
STATE_COLUMNS = ("status", "stage", "progress_message", "waiting_for", "queue_position")
SUBMISSION_COLUMNS = ("attempts", "fal_request_id")
"""Which submission a generation follows: a change of it is one of its state."""
# What was held is the most that is charged; that is nothing for jobs that are not ours to charge.
CHARGED = """
    least(
        cast(:charged_cents as bigint),
        coalesce((select held_cents from credit_entries where job_id = job.id and phase = 'hold'), 0)
    )
"""
FILE_COLUMNS = [each.name for each in MediaFileRow.metadata.tables["video_files"].columns if each.name != "created_at"]
FILES = f"""
    file as (
        insert into video_files ({", ".join(FILE_COLUMNS)})
        select {", ".join(f"archived.{name}" for name in FILE_COLUMNS)}
        from moved cross join jsonb_populate_recordset(cast(null as video_files), cast(:files as jsonb)) as archived
    )
"""
UNSENT = """
    fal_request_id is null
    and not exists (select from submission_attempts where job_id = job.id and state not in ('refused', 'expired'))
"""
WITHOUT_RESULT = defer(GenerationJob.result_data, raiseload=True)  # type: ignore[arg-type]  # `col` is for values
"""For many rows at once: a page of transcripts would be hundreds of megabytes."""
SEARCHED = (
    col(GenerationJob.input_params)["prompt"].astext,
    col(GenerationJob.input_params)["text"].astext,
    col(GenerationJob.external_id),
    cast(col(GenerationJob.id), Text),
)
TIMING = TypeAdapter(Timing)
TARIFF: TypeAdapter[Tariff | None] = TypeAdapter(Tariff | None)
CANDIDATES = TypeAdapter(list[Candidate])
IS_FOLLOWED = "job.attempts_before = :own_attempts_before"
"""The row, `job`, follows this model and not the one at work beside it."""
IS_AT_PROVIDER = f"{IS_FOLLOWED} and job.stage not in ('{Stage.ARCHIVING}', '{Stage.FINISHING}')"
"""And this model's provider may be at work on it."""


async def insert_generation(session: AsyncSession, job: GenerationJob) -> bool:
    """Write a new generation down, and tell the row its `created_at`. False when one with its id, or with its external
    id of the same user, is there."""
    values = _new_values(job)
    connection = await session.connection()
    created_at = (await connection.execute(_insertion(tuple(values)), values)).scalar()
    if created_at is None:
        return False
    job.created_at = created_at
    return True


async def insert_admitted_generation(session: AsyncSession, job: GenerationJob, terms: Terms) -> Admission | None:
    """`insert_generation` and `admit_creation` by one statement, from which on the transaction is the job's user's.

    None when one with its id, or with its external id of the same user, is there.
    """
    values = _new_values(job)
    connection = await session.connection()
    statement = _admitted_insertion(tuple(values))
    row = (await connection.execute(statement, values | terms.values)).first()
    if row is None:
        return None
    job.created_at = row.created_at
    return read_admission(row, terms)


def _new_values(job: GenerationJob) -> dict[str, Any]:
    """`new_...` for each column that the job has."""
    return {f"new_{name}": value for name, value in job.model_dump(exclude_none=True).items()}


@cache
def _insertion(names: tuple[str, ...]) -> Select[datetime]:
    """Its parameters are the names."""
    inserted, event = _inserted(names)
    return select(inserted.c.created_at).add_cte(event)


@cache
def _admitted_insertion(names: tuple[str, ...]) -> Select[Any]:
    """Its parameters are the names, and the terms' values."""
    # The row has its user from the transaction's identity, which is thus set before the row's policy asks for it.
    user_id = cast(bindparam("new_user_id", type_=Uuid), Text)
    inserted, event = _inserted(names, user_id=cast(func.set_config("app.user_id", user_id, literal(True)), Uuid))
    admission = admission_of(array([inserted.c.id])).lateral()
    return select(inserted.c.created_at, admission).join_from(inserted, admission, true()).add_cte(event)


def _inserted(names: tuple[str, ...], **expressions: ColumnElement[Any]) -> tuple[CTE, CTE]:
    """The row, and its event."""
    columns: dict[Any, Any] = {getattr(GenerationJob, name.removeprefix("new_")): bindparam(name) for name in names}
    columns |= {getattr(GenerationJob, name): expression for name, expression in expressions.items()}
    returned = (
        col(GenerationJob.user_id),
        col(GenerationJob.id),
        col(GenerationJob.status),
        col(GenerationJob.stage),
        col(GenerationJob.created_at),
    )
    inserted = upsert(GenerationJob).values(columns).on_conflict_do_nothing().returning(*returned).cte("inserted")
    created = select(
        inserted.c.user_id, inserted.c.id, inserted.c.status, inserted.c.stage, literal("Created").label("detail")
    )
    event = insert(JobEvent).from_select(["user_id", "job_id", "status", "stage", "detail"], created)
    return inserted, event.cte("event")


async def find_generation(session: AsyncSession, user_id: UUID, generation_id: UUID) -> GenerationJob | None:
    return (await session.scalars(_of_user(user_id).where(col(GenerationJob.id) == generation_id))).first()


async def find_generation_named(session: AsyncSession, user_id: UUID, name: str) -> GenerationJob | None:
    """The user's generation of that id, else the one that the user calls so."""
    if (own := parse_uuid(name)) and (found := await find_generation(session, user_id, own)):
        return found
    return (await session.scalars(_of_user(user_id).where(col(GenerationJob.external_id) == name))).first()


async def find_generation_by_request(session: AsyncSession, user_id: UUID, request_id: str) -> GenerationJob | None:
    """The user's generation of that id of a request, of whichever provider: the newest, as one
    may inherit it."""
    found = _of_user(user_id).where(col(GenerationJob.provider_request_id) == request_id)
    return (await session.scalars(found.order_by(col(GenerationJob.created_at).desc()).limit(1))).first()


def _of_user(user_id: UUID) -> Select[GenerationJob]:
    return select(GenerationJob).where(col(GenerationJob.user_id) == user_id)


async def find_anybodys_generation(session: AsyncSession, generation_id: UUID) -> GenerationJob | None:
    return await session.get(GenerationJob, generation_id)


async def generations_of(session: AsyncSession, ids: Sequence[UUID]) -> Sequence[GenerationJob]:
    """Anybody's, without `result_data`, in any order."""
    found = select(GenerationJob).options(WITHOUT_RESULT).where(col(GenerationJob.id).in_(ids))
    return (await session.scalars(found)).all()


async def find_anybodys_generation_by_request(
    session: AsyncSession, provider: ProviderName, request_id: str
) -> GenerationJob | None:
    statement = select(GenerationJob).where(
        col(GenerationJob.provider) == provider, col(GenerationJob.provider_request_id) == request_id
    )
    return (await session.scalars(statement.order_by(col(GenerationJob.created_at).desc()).limit(1))).first()


class JobFilters(TypedDict, total=False):
    """Of a list of generations; what is left out is not asked for."""

    statuses: Sequence[Status]
    job_types: Sequence[JobType]
    model: str | None
    campaign_id: UUID | None
    clip_id: UUID | None
    batch_id: UUID | None
    created_after: datetime | None
    """Then or later."""
    created_before: datetime | None
    search: str | None
    """Contained in the prompt, the text, the external id or the id, in capitals or not."""
    metadata: Sequence[tuple[str, str]]
    """Keys, and what stands under them; of what is no string, its JSON."""
    before: tuple[datetime, UUID] | None
    """Only older ones (created_at, id)."""


async def newest_generations(
    session: AsyncSession, user_id: UUID, *, limit: int, **filters: Unpack[JobFilters]
) -> Sequence[GenerationJob]:
    """The user's generations, newest first.

    Without `result_data`: a page of transcripts would be hundreds of megabytes.
    """
    return await _newest(session, _of_user(user_id), limit, filters)


async def oldest_generations(
    session: AsyncSession,
    user_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    **filters: Unpack[JobFilters],
) -> Sequence[GenerationJob]:
    """The user's generations, oldest first, younger than `after` (created_at, id), without `result_data`."""
    order = (col(GenerationJob.created_at), col(GenerationJob.id))
    statement = _filtered(_of_user(user_id), filters)
    if after:
        statement = statement.where(tuple_(*order) > tuple_(*after))
    return (await session.scalars(statement.order_by(*order).limit(limit))).all()


async def newest_of_all_generations(
    session: AsyncSession, *, limit: int, **filters: Unpack[JobFilters]
) -> Sequence[GenerationJob]:
    """Everybody's, for operators."""
    return await _newest(session, select(GenerationJob), limit, filters)


async def _newest(
    session: AsyncSession, statement: Select[GenerationJob], limit: int, filters: JobFilters
) -> Sequence[GenerationJob]:
    newest_first = (col(GenerationJob.created_at).desc(), col(GenerationJob.id).desc())
    return (await session.scalars(_filtered(statement, filters).order_by(*newest_first).limit(limit))).all()


def _filtered(statement: Select[GenerationJob], filters: JobFilters) -> Select[GenerationJob]:
    statement = statement.options(WITHOUT_RESULT)
    if statuses := filters.get("statuses"):
        statement = statement.where(col(GenerationJob.status).in_(statuses))
    if job_types := filters.get("job_types"):
        statement = statement.where(col(GenerationJob.job_type).in_(job_types))
    equal = {
        col(GenerationJob.model): filters.get("model"),
        col(GenerationJob.campaign_id): filters.get("campaign_id"),
        col(GenerationJob.clip_id): filters.get("clip_id"),
        col(GenerationJob.batch_id): filters.get("batch_id"),
    }
    statement = statement.where(*(column == value for column, value in equal.items() if value is not None))
    if created_after := filters.get("created_after"):
        statement = statement.where(col(GenerationJob.created_at) >= created_after)
    if created_before := filters.get("created_before"):
        statement = statement.where(col(GenerationJob.created_at) < created_before)
    for key, value in filters.get("metadata", ()):
        statement = statement.where(col(GenerationJob.metadata_)[key].astext == value)
    if search := filters.get("search"):
        statement = statement.where(or_(*(func.strpos(func.lower(text), func.lower(search)) > 0 for text in SEARCHED)))
    if before := filters.get("before"):
        created_at, generation_id = before
        same_moment = and_(col(GenerationJob.created_at) == created_at, col(GenerationJob.id) < generation_id)
        statement = statement.where(or_(col(GenerationJob.created_at) < created_at, same_moment))
    return statement


async def timeline(session: AsyncSession, user_id: UUID, generation_id: UUID) -> Sequence[JobEvent]:
    statement = select(JobEvent).where(col(JobEvent.user_id) == user_id, col(JobEvent.job_id) == generation_id)
    return (await session.scalars(statement.order_by(col(JobEvent.id)))).all()


async def files_of(session: AsyncSession, user_id: UUID, generation_ids: Sequence[UUID]) -> Sequence[MediaFileRow]:
    statement = select(MediaFileRow).where(
        col(MediaFileRow.user_id) == user_id, col(MediaFileRow.job_id).in_(generation_ids)
    )
    return (await session.scalars(statement.order_by(col(MediaFileRow.position)))).all()


class Columns(TypedDict, total=False):
    """What a change of state may write beside the state itself."""

    attempts: int
    fal_request_id: str
    fal_status_url: str
    fal_response_url: str
    progress_percent: int
    result_url: str | None
    provider_url: str | None
    result_data: dict[str, Any]
    error_code: str
    error_message: str
    actual_cost_cents: int
    charged_cents: int


Moment = Literal["submitted_at", "completed_at"]


class Move(Columns, total=False):
    """A change of state."""

    status: Required[Status]
    stage: Required[Stage]
    detail: Required[str]
    """For operators, in the event alone: users see the row."""
    provider: Required[ProviderName | None]
    message: str | None
    """For users; else the sentence for where the generation is."""
    data: dict[str, Any] | None
    """Of the event."""
    stamped: Moment | None
    """The column that gets the time of the transaction."""
    waiting_for: WaitingFor | None
    """None: what it waited for is over."""
    queue_position: int | None


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What belongs to a change of state, as parts of its statement, of which `moved` has the row if that changed."""

    first: str = ""
    """Before it."""
    source: str = ""
    """The one of these which has to have a row."""
    only_if: str = ""
    """A condition on the row, which is `job`."""
    then: tuple[str, ...] = ()
    """After it."""
    answer: str = "select id from moved"


async def advance_generation(
    session: AsyncSession,
    generation_id: UUID,
    *,
    only_if: str = "",
    of: Generation | None = None,
    polled: Generation | None = None,
    **move: Unpack[Move],
) -> bool:
    """Move a living generation on and write the event.

    False when nothing changed: it is there already (an activity that ran twice), it has ended, or the condition does
    not hold. `of`: whose step it is. Where the row follows another model that is at work beside it, it stays as it is.
    `polled`: whose poll it is. Nobody may wait for that any more: where the row is elsewhere, it stays as it is.
    """
    own = follows(of) or _own(polled)
    conditions = (only_if, own and (IS_AT_PROVIDER if polled else IS_FOLLOWED))
    transition = Transition(only_if=" and ".join(f"({part})" for part in conditions if part))
    return await run_transition(session, generation_id, transition, own, **move) is not None


async def run_transition(
    session: AsyncSession,
    generation_id: UUID,
    transition: Transition,
    parameters: Mapping[str, Any],
    *,
    status: Status,
    stage: Stage,
    detail: str,
    provider: ProviderName | None,
    message: str | None = None,
    data: dict[str, Any] | None = None,
    stamped: Moment | None = None,
    waiting_for: WaitingFor | None = None,
    queue_position: int | None = None,
    **columns: Unpack[Columns],
) -> Row[Any] | None:
    """A `Move` with all that belongs to it, in one statement. Its answer."""
    message = message or progress_sentence(
        status, stage, provider, waiting_for=waiting_for, queue_position=queue_position
    )
    waits = {"waiting_for": waiting_for, "queue_position": queue_position}
    facts = {to_camel(name): value for name, value in waits.items() if value is not None}
    values = {
        "job": generation_id,
        "status": status,
        "stage": stage,
        "progress_message": str(message),
        **waits,
        **columns,
        "detail": detail,
        "data": (data or {}) | facts,
        **parameters,
    }
    as_json = {name: json.dumps(value) for name, value in values.items() if isinstance(value, dict | list)}
    statement = _transition(transition, tuple(columns), stamped)
    return (await (await session.connection()).execute(statement, values | as_json)).first()


@cache  # what is one text each time, SQLAlchemy does not prepare again
def _transition(transition: Transition, columns: tuple[str, ...], stamped: Moment | None) -> TextClause:
    compared = [*STATE_COLUMNS, *(name for name in columns if name in SUBMISSION_COLUMNS)]
    values = {name: f":{name}" for name in (*STATE_COLUMNS, *columns)}
    if "charged_cents" in columns:
        values |= {"charged_cents": CHARGED, "credits_deducted": f"{CHARGED} > 0"}
    values |= {name: "now()" for name in ("stage_at", stamped) if name}
    moved = f"""
        moved as (
            update generation_jobs as job set {", ".join(f"{name} = {value}" for name, value in values.items())}
            {transition.source and f"from {transition.source}"}
            where job.id = :job and job.status in ({ACTIVE_STATUSES})
                and ({", ".join(f"job.{name}" for name in compared)})
                    is distinct from ({", ".join(f":{name}" for name in compared)})
                {transition.only_if and f"and ({transition.only_if})"}
            returning job.user_id, job.id, job.status, job.stage, job.clip_id, job.charged_cents
        )
    """
    event = """
        event as (
            insert into job_events (user_id, job_id, status, stage, detail, data)
            select user_id, id, status, stage, :detail, cast(:data as jsonb) from moved
        )
    """
    parts = [part for part in (transition.first, moved, event, *transition.then) if part]
    return text(f"with {', '.join(parts)} {transition.answer}")


def follows(generation: Generation | None) -> dict[str, Any]:
    """The parameters of `IS_FOLLOWED`. None for a generation that no other model may be at work on as well."""
    return _own(generation) if generation and generation.hedge_after is not None else {}


def _own(generation: Generation | None) -> dict[str, Any]:
    return {"own_attempts_before": generation.attempts_before} if generation else {}


async def record_wait(
    session: AsyncSession, generation: Generation, waiting_for: WaitingFor, reason: str, *, is_poll: bool = False
) -> bool:
    """What a living generation waits for, and in its timeline why."""
    job = await session.get(GenerationJob, generation.id, with_for_update=True)
    return job is not None and await advance_generation(
        session,
        generation.id,
        status=Status(job.status),
        stage=Stage(job.stage),
        detail=reason,
        provider=ProviderName(job.provider),
        waiting_for=waiting_for,
        of=generation,
        polled=generation if is_poll else None,
    )


async def record_progress(
    session: AsyncSession,
    generation_id: UUID,
    percent: int,
    *,
    only_if: str = "true",
    polled: Generation | None = None,
) -> bool:
    """Write a measured progress down, and notify its streams. It only grows, and an ended generation stays as it is.

    Without an event: it is nothing to resume. False when nothing changed. `polled`: as of `advance_generation`.
    """
    statement = f"""
        with moved as (
            update generation_jobs as job set progress_percent = :progress_percent
            where id = :job and status in ({ACTIVE_STATUSES}) and progress_percent < :progress_percent and ({only_if})
                and {IS_AT_PROVIDER if polled else "true"}
            returning user_id, id
        )
        select pg_notify('{PROGRESS_CHANNEL}', concat_ws(' ', user_id, id, cast(:progress_percent as integer)))
        from moved
    """
    values = {"job": generation_id, "progress_percent": percent, **_own(polled)}
    return (await session.execute(text(statement), values)).first() is not None


async def fall_back(session: AsyncSession, generation: Generation, attempts: int, failure: Failure) -> bool:
    """Give the row the model and input of its next fallback, after so many attempts. Its slot is free.

    False when it has happened before, or the generation has ended.
    """
    job = await session.get(GenerationJob, generation.id, with_for_update=True)
    is_before = job and (job.attempts_before, job.model) == (generation.attempts_before, generation.model)
    if job is None or not is_before or Status(job.status).is_final:
        return False
    after = generation.fall_back(attempts=attempts)
    await make_row_that_of(session, after, candidate=len(job.candidates or ()) - len(after.fallbacks) - 1, attempts=0)
    named = {"from": generation.model, "to": after.model, "provider": after.provider, "code": failure.code}
    return await advance_generation(
        session,
        generation.id,
        status=Status.PENDING,
        stage=Stage.SUBMITTING,
        detail=f"{failure.message}. Falling back from {generation.model} to {after.model} at {after.provider}",
        provider=after.provider,
        message=Sentence("fell_back", model=after.model),
        data={"fallback": named},
    )


async def make_row_that_of(
    session: AsyncSession,
    generation: Generation,
    *,
    candidate: int,
    attempts: int,
    submission: Submission | None = None,
) -> None:
    """From now on the row's columns are those of that one of its candidates."""
    values: dict[Any, Any] = {
        "candidate": candidate,
        "attempts": attempts,
        "attempts_before": generation.attempts_before,
        "job_type": generation.job_type,
        "provider": generation.provider,
        "model": generation.model,
        "endpoint": generation.endpoint,
        "arguments": generation.arguments,
        "timing": TIMING.dump_python(generation.timing, mode="json"),
        "tariff": TARIFF.dump_python(generation.tariff, mode="json"),
        "outputs": None if generation.outputs is None else list(generation.outputs),
        "input_references": list(generation.references),
        "provider_request_id": submission.request_id if submission else None,
        "provider_status_url": submission.status_url if submission else None,
        "provider_response_url": submission.response_url if submission else None,
        "progress_percent": 0,
        "slot_granted_at": None,
    }
    columns = {getattr(GenerationJob, name): value for name, value in values.items()}
    await session.execute(update(GenerationJob).where(col(GenerationJob.id) == generation.id).values(columns))


async def complete_generation(
    session: AsyncSession,
    generation_id: UUID,
    *,
    files: Sequence[MediaFileRow],
    result_url: str | None,
    charge: Charge,
    overtaken_cents: int = 0,
    clip: ClipUpdate | None = None,
    message: str | None = None,
) -> bool:
    """The end, with everything that belongs to it. `message`: what its provider says of it to users. `overtaken_cents`:
    for another model that was beside it.

    A clip that was deleted meanwhile is no reason to fail: the media stays in the gallery.
    """
    rows = [{**file.model_dump(mode="json"), "metadata": file.metadata_} for file in files]
    return await _end_generation(
        session,
        generation_id,
        then=(FILES, clip.statement) if clip else (FILES,),
        parameters={"files": rows, **(clip.parameters if clip else {})},
        status=Status.COMPLETED,
        detail=message or "Completed",
        message=message,
        data=_remarks(charge),
        progress_percent=100,
        result_url=result_url,
        actual_cost_cents=charge.cost_cents + overtaken_cents,
        charged_cents=charge.charged_cents + overtaken_cents,
    )


def _remarks(charge: Charge) -> dict[str, Any]:
    """What an operator may want to check."""
    overrun = {"overrunCents": charge.overrun_cents} if charge.overrun_cents else {}
    return overrun | ({"doubtfulCost": charge.doubt} if charge.doubt else {})


async def fail_generation(
    session: AsyncSession,
    generation_id: UUID,
    failure: Failure,
    *,
    reason: str,
    message: str | None = None,
    charge: Charge | None = None,
    beside_cents: int = 0,
) -> bool:
    """`reason`: why, for users; the failure is for operators. `message`: what its provider says of it to users.
    `charge`: of a result that is not kept; `beside_cents`: of that of a model beside it. All others cost nothing.
    """
    charge = charge or (Charge(cost_cents=0, charged_cents=0) if beside_cents else None)
    columns: Columns = {
        "progress_percent": 0,
        "error_code": failure.code,
        "error_message": str(reason),
        "actual_cost_cents": charge.cost_cents + beside_cents if charge else 0,
    }
    if charge:
        columns["charged_cents"] = charge.charged_cents + beside_cents
    return await _end_generation(
        session,
        generation_id,
        status=Status.FAILED,
        detail=failure.message,
        message=message,
        data={"code": failure.code} | (_remarks(charge) if charge else {}),
        **columns,
    )


async def cancel_generation(session: AsyncSession, generation_id: UUID, detail: str) -> bool:
    return await _end_generation(
        session,
        generation_id,
        status=Status.CANCELED,
        detail=detail,
        progress_percent=0,
        actual_cost_cents=0,
    )


async def cancel_unsubmitted(session: AsyncSession, user_id: UUID, generation_id: UUID) -> bool:
    """Cancel a living generation of the user's for which nothing was sent to a provider. False when something may have
    been, or when it has ended.

    Nothing is sent for it from then on: `open_attempt` waits for the same lock.
    """
    of_user = select(col(GenerationJob.id)).where(
        col(GenerationJob.id) == generation_id, col(GenerationJob.user_id) == user_id
    )
    if await session.scalar(of_user.with_for_update(key_share=True)) is None:
        return False
    return await _end_generation(
        session,
        generation_id,
        status=Status.CANCELED,
        detail="Canceled",
        only_if=UNSENT,
        progress_percent=0,
        actual_cost_cents=0,
    )


class End(Columns, total=False):
    """A `Move` to the end."""

    status: Required[Status]
    detail: Required[str]
    message: str | None
    data: dict[str, Any] | None


async def _end_generation(
    session: AsyncSession,
    generation_id: UUID,
    *,
    only_if: str = "",
    then: tuple[str, ...] = (),
    parameters: Mapping[str, Any] | None = None,
    **end: Unpack[End],
) -> bool:
    """The row's last change, and with it the end of its hold."""
    transition = Transition(only_if=only_if, then=(END_OF_HOLD, *then))
    ended = await run_transition(
        session,
        generation_id,
        transition,
        parameters or {},
        stage=Stage.DONE,
        provider=None,
        stamped="completed_at",
        **end,
    )
    return ended is not None


def generation_of(job: GenerationJob) -> Generation:
    """The workflow's input, from the row alone: a generation can be started by whoever finds its row."""
    candidates = CANDIDATES.validate_python(job.candidates or [])
    present, fallbacks = candidates[job.candidate : job.candidate + 1], candidates[job.candidate + 1 :]
    generation = Generation(
        id=job.id,
        user_id=job.user_id,
        job_type=JobType(job.job_type),
        provider=ProviderName(job.provider),
        model=job.model,
        endpoint=job.endpoint,
        arguments=job.arguments,
        timing=TIMING.validate_python(job.timing),
        uncertain_submit_policy=UncertainSubmitPolicy(job.uncertain_submit_policy),
        clip_id=job.clip_id,
        held_cents=present[0].price_cents if present else job.estimated_cost_cents,
        references=tuple(job.input_references),
        tariff=TARIFF.validate_python(job.tariff),
        outputs=None if job.outputs is None else tuple(job.outputs),
        fallbacks=tuple(fallbacks),
        attempts_before=job.attempts_before,
    )
    return _with_hedge(job, generation, candidates) if job.hedge_after_seconds is not None else generation


def _with_hedge(job: GenerationJob, generation: Generation, candidates: Sequence[Candidate]) -> Generation:
    """Both models, whichever the row follows, if both are at work or may come to be."""
    if job.beside_provider is None and job.candidate:
        return generation
    first = generation.made_by(candidates[0], fallbacks=candidates[1:], attempts_before=0)
    hedged = replace(first, hedge_after=timedelta(seconds=job.hedge_after_seconds or 0))
    return hedged if job.beside_provider or job.hedged_at is None else hedged.without_hedge()


async def unstarted_generations(
    session: AsyncSession, *, older_than: timedelta, after: tuple[datetime, UUID] | None = None
) -> Sequence[GenerationJob]:
    """A page of the rows of ours that no workflow has touched since they were created: the oldest, beyond `after`."""
    created = (col(GenerationJob.created_at), col(GenerationJob.id))
    statement = (
        select(GenerationJob)
        .where(
            col(GenerationJob.status) == Status.PENDING,
            col(GenerationJob.stage) == Stage.RESERVING,
            col(GenerationJob.origin) == Origin.REELAY,
            ~col(GenerationJob.is_planned),
            col(GenerationJob.provider) != ProviderName.REELAY,
            col(GenerationJob.created_at) < func.now() - older_than,
        )
        .order_by(*created)
        .limit(UNSTARTED_PAGE)
    )
    if after:
        statement = statement.where(tuple_(*created) > tuple_(*after))
    return (await session.scalars(statement)).all()


@dataclass(frozen=True)
class StoredFile:
    key: str
    content_type: str
    version: str
    """Changes with the bytes."""


async def find_stored_file(session: AsyncSession, user_id: UUID, generation_id: UUID, name: str) -> StoredFile | None:
    """The archived file or poster of that name."""
    of_job = select(MediaFileRow).where(col(MediaFileRow.user_id) == user_id, col(MediaFileRow.job_id) == generation_id)
    named = of_job.where(or_(col(MediaFileRow.name) == name, col(MediaFileRow.poster_name) == name))
    row = (await session.scalars(named)).first()
    if row is None or row.file_url:
        return None
    if row.name == name:
        return StoredFile(row.file_path, row.format, row.sha256)
    return StoredFile(row.poster_path or "", "image/jpeg", row.sha256)
