"""Creating a pipeline: every step validated and priced before anything is bought, and its price held for the whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from api.context import RequestContext
from api.generations import create
from api.generations.create import JobSpec
from api.generations.references import settle_references
from api.generations.schemas import CreateRequest
from api.http.dry_run import DryRun
from api.http.idempotency import ensure_same_request, fingerprint, id_for
from api.http.problems import ConfirmationRequired, Conflict, InvalidParams, field_error
from api.notifications.addresses import check_webhook_url
from api.pipelines.kinds import MIXED, can_take, made_by, wanted_by
from api.pipelines.schemas import GenerationStep, MixStep, PipelineRequest
from reelay.catalog.model import JobKind
from reelay.db.clips import find_clip
from reelay.db.generations import TARIFF, TIMING, insert_generation
from reelay.db.inputs import Unusable, find_input_file, input_sums
from reelay.db.pipelines import content_key, find_reusable, insert_pipeline, resume_pipeline, write_steps
from reelay.db.tables import GenerationJob, PipelineRow, PipelineStepRow
from reelay.domain.generation import JobType, ProviderName, Timing
from reelay.domain.messages import Sentence
from reelay.domain.pipeline import StepStatus, in_order, steps_named_in, with_jobs
from reelay.domain.references import parse_reference, value_at

MIX_MODEL, MIX_ENDPOINT = "mix", "reelay/mix"
MIX_TIMING = Timing(
    expected=timedelta(seconds=30),
    patience=timedelta(0),
    poll_interval=timedelta(seconds=5),
    adoption_window=timedelta(0),
    deadline=timedelta(hours=1),
)

BESIDE_INPUT = {"model", "input", "priority", "maxCostCents"}

Steps = Mapping[str, GenerationStep | MixStep]
FieldError = dict[str, Any]


@dataclass(frozen=True)
class PlannedPipeline:
    row: PipelineRow
    steps: Sequence[PipelineStepRow]
    cents: Mapping[str, int]
    """What is held for each step that is not reused."""
    jobs_to_hold: Sequence[GenerationJob]
    is_new: bool = True


async def create_pipeline(
    context: RequestContext,
    key: str | None,
    request: PipelineRequest,
    *,
    rerun_of: UUID | None = None,
    is_dry_run: bool = False,
) -> PlannedPipeline:
    """Raises: InvalidParams with everything that is wrong, PriceUnknown, ConfirmationRequired, InsufficientCredits,
    KeyBudgetSpent, KeyReused, Conflict, RateLimited.
    """
    content = fingerprint([request.model_dump(mode="json"), str(rerun_of)]) if key else None
    row = new_row(context, id_for(key), request, content, rerun_of=rerun_of)
    (planned,) = await create_together(
        context, {"": (row, request.steps)}, budget_cents=request.budget_cents, is_dry_run=is_dry_run
    )
    return planned


def new_row(
    context: RequestContext,
    pipeline_id: UUID,
    request: PipelineRequest,
    content: bytes | None,
    *,
    rerun_of: UUID | None = None,
) -> PipelineRow:
    """Raises: InvalidParams."""
    if request.webhook_url is not None:
        check_webhook_url(context.services.settings, request.webhook_url, field="webhookUrl")
    return PipelineRow(
        id=pipeline_id,
        user_id=context.user_id,
        clip_id=request.clip_id,
        name=request.name,
        steps={name: step.model_dump(mode="json", by_alias=True) for name, step in request.steps.items()},
        approvals=request.approvals,
        budget_cents=request.budget_cents,
        reuse=request.reuse,
        rerun_of=rerun_of,
        metadata_=request.metadata,
        webhook_url=request.webhook_url,
        request_fingerprint=content,
    )


async def create_together(
    context: RequestContext,
    wanted: Mapping[str, tuple[PipelineRow, Steps]],
    *,
    budget_cents: int | None,
    is_dry_run: bool,
) -> list[PlannedPipeline]:
    """All of them, or none; by the place in the request that what is wrong with one is told of.

    Raises: what `create_pipeline` does.
    """
    limits = context.services.limits
    stored_bytes = await limits.stored_bytes(context.user_id)
    planned: list[PlannedPipeline] = []
    errors: list[FieldError] = []
    try:
        async with context.transaction() as session:
            for place, (row, steps) in wanted.items():
                if is_dry_run:
                    row.id = uuid4()
                try:
                    planned.append(await _write(context, session, row, steps))
                except InvalidParams as invalid:
                    if not place:
                        raise
                    errors += [{**error, "field": f"{place}.{error['field']}"} for error in invalid.errors]
            if errors:
                raise InvalidParams(Sentence("input_invalid"), errors=errors)
            if is_dry_run:
                require_within_budget(context, budget_cents, total_cents(planned), is_confirmed=True)
                raise DryRun
            if new := [each for each in planned if each.is_new]:
                limits.admit_storage(stored_bytes)
                await hold_within_budget(context, session, new, budget_cents)
    except DryRun:
        pass
    return planned


async def _write(context: RequestContext, session: AsyncSession, row: PipelineRow, steps: Steps) -> PlannedPipeline:
    """Raises: InvalidParams, PriceUnknown, KeyReused, Conflict."""
    stored, is_new = await insert_pipeline(session, row)
    if not is_new:
        return PlannedPipeline(ensure_same_request(stored, row), [], {}, [], is_new=False)
    if row.clip_id and await find_clip(session, context.user_id, row.clip_id) is None:
        error = field_error("clipId", Sentence("field_not_yours"), str(row.clip_id))
        raise InvalidParams(Sentence("belongings_invalid"), errors=[error])
    return await write_plan(context, session, stored, steps, kept={})


async def write_plan(
    context: RequestContext, session: AsyncSession, pipeline: PipelineRow, steps: Steps, *, kept: Mapping[str, UUID]
) -> PlannedPipeline:
    """The jobs of all steps but those that are kept; `hold_within_budget` comes next.

    Raises: InvalidParams, PriceUnknown, Conflict.
    """
    errors = [*plan_errors(steps), *approval_errors(pipeline, steps)]
    if errors:
        raise InvalidParams(Sentence("request_invalid"), errors=errors)
    plan = _Plan(context, session, pipeline, steps, kept)
    for name in in_order({name: needs_of(step) for name, step in steps.items()}):
        if name not in kept:
            await plan.add(name, steps[name])
    plan.require_valid()
    rows = [plan.rows[name] for name in steps if name in plan.rows]
    await write_steps(session, rows)
    await resume_pipeline(session, pipeline, sum(plan.cents.values()))
    await session.refresh(pipeline)
    return PlannedPipeline(pipeline, rows, plan.cents, plan.jobs_to_hold)


async def hold_within_budget(
    context: RequestContext, session: AsyncSession, planned: Sequence[PlannedPipeline], budget_cents: int | None
) -> None:
    """Raises: InvalidParams, ConfirmationRequired, RateLimited, InsufficientCredits."""
    require_within_budget(context, budget_cents, total_cents(planned))
    await create.admit_and_hold(session, context, [job for each in planned for job in each.jobs_to_hold])


class _Plan:
    """The steps as they are written, each behind those that it needs."""

    def __init__(
        self,
        context: RequestContext,
        session: AsyncSession,
        pipeline: PipelineRow,
        steps: Steps,
        kept: Mapping[str, UUID],
    ) -> None:
        self.rows: dict[str, PipelineStepRow] = {}
        self.cents: dict[str, int] = {}
        self.jobs_to_hold: list[GenerationJob] = []
        self._context = context
        self._session = session
        self._pipeline = pipeline
        self._positions = {name: position for position, name in enumerate(steps)}
        self._job_ids = {name: kept.get(name) or uuid4() for name in steps}
        self._made = {name: made_by(context.services, step) for name, step in steps.items()}
        self._is_there = set(kept)
        """Steps whose files are there already."""
        self._errors: list[FieldError] = []
        self._unfinished: list[str] = []

    async def add(self, name: str, step: GenerationStep | MixStep) -> None:
        needs = needs_of(step)
        try:
            if isinstance(step, MixStep):
                job = await self._mix(name, step)
            else:
                job = await self._generation(name, step)
        except InvalidParams as invalid:
            self._errors += in_step(name, invalid.errors, is_mix=isinstance(step, MixStep))
            return
        reused = await self._reusable(job) if needs <= self._is_there and self._pipeline.reuse else None
        if reused:
            self._job_ids[name] = reused.id
            self._is_there.add(name)
        else:
            self.cents[name] = job.estimated_cost_cents
            await insert_generation(self._session, job)
            if job.estimated_cost_cents:
                self.jobs_to_hold.append(job)
        self.rows[name] = PipelineStepRow(
            pipeline_id=self._pipeline.id,
            id=name,
            user_id=self._pipeline.user_id,
            position=self._positions[name],
            status=StepStatus.REUSED if reused else StepStatus.WAITING,
            needs=sorted(needs),
            job_id=self._job_ids[name],
        )

    def require_valid(self) -> None:
        """Raises: InvalidParams, Conflict."""
        if self._errors:
            raise InvalidParams(Sentence("input_invalid"), errors=self._errors)
        if self._unfinished:
            references = ", ".join(dict.fromkeys(self._unfinished))
            raise Conflict(Sentence("input_unfinished", references=references))

    async def _generation(self, name: str, step: GenerationStep) -> GenerationJob:
        inputs = with_jobs(step.input, self._job_ids)
        kind = JobKind(step.kind) if step.kind else None
        model = await create.resolve_model(self._context.services, kind, step.model, inputs)
        request = CreateRequest(
            clip_id=self._pipeline.clip_id, confirm=True, priority=step.priority, max_cost_cents=step.max_cost_cents
        )
        job = create.new_job(self._context, None, JobSpec(model=model, inputs=inputs, request=request))
        checked = await settle_references(
            self._session, self._context, [(model, inputs)], job, awaited=set(self._job_ids.values())
        )
        named = {value_at(job.arguments, place): place for place in job.input_references}
        errors = [*checked.errors, *await create.validate_priority(self._session, request)]
        for needed in sorted(steps_named_in(step.input)):
            place = named.get(f"job:{self._job_ids[needed]}")
            field = model.spelling_of(place, inputs) if place else "input"
            if place is None or not can_take(wanted_by(place), self._made[needed]):
                errors.append(field_error(field, Sentence("field_step_does_not_fit"), f"step:{needed}"))
        if errors:
            raise InvalidParams(Sentence("input_invalid"), errors=errors)
        self._unfinished += checked.unfinished
        return self._planned(name, job)

    async def _mix(self, name: str, step: MixStep) -> GenerationJob:
        given = step.model_dump(mode="json", exclude={"kind", "video"}) | {"video": step.videos}
        arguments = with_jobs(given, self._job_ids)
        places = {
            **{f"video/{index}": "video" for index in range(len(step.videos))},
            **{f"tracks/{index}/source": "audio" for index in range(len(step.tracks))},
            **({"captions": "captions"} if step.captions else {}),
        }
        errors = [
            field_error(place.replace("/", "."), message, value_at(given, place))
            for place, wanted in places.items()
            if (message := await self._wrong_source(value_at(given, place), value_at(arguments, place), wanted))
        ]
        if errors:
            raise InvalidParams(Sentence("input_invalid"), errors=errors)
        job = GenerationJob(
            id=self._job_ids[name],
            user_id=self._pipeline.user_id,
            clip_id=self._pipeline.clip_id,
            job_type=JobType.VIDEO,
            provider=ProviderName.REELAY,
            model=MIX_MODEL,
            endpoint=MIX_ENDPOINT,
            input_params=arguments,
            arguments=arguments,
            input_references=list(places),
            timing=TIMING.dump_python(MIX_TIMING, mode="json"),
            tariff=TARIFF.dump_python(None, mode="json"),
        )
        return self._planned(name, job)

    async def _wrong_source(self, given: str, settled: str, wanted: str) -> Sentence | None:
        """What is wrong with what a mix names; None for what it can be made of."""
        named = steps_named_in(given)
        if named:
            return None if can_take(MIXED[wanted], self._made[named.pop()]) else Sentence("field_step_does_not_fit")
        reference = parse_reference(settled)
        if reference is None:
            return Sentence("field_source")
        file = await find_input_file(self._session, self._pipeline.user_id, reference)
        if file is Unusable.UNFINISHED:
            self._unfinished.append(given)
        return Sentence("field_no_such_file") if file is Unusable.UNKNOWN else None

    def _planned(self, name: str, job: GenerationJob) -> GenerationJob:
        job.id, job.pipeline_id, job.is_planned = self._job_ids[name], self._pipeline.id, True
        return job

    async def _reusable(self, job: GenerationJob) -> GenerationJob | None:
        sums = await input_sums(self._session, job)
        key = content_key(job, sums) if sums is not None else None
        return await find_reusable(self._session, job.user_id, key) if key else None


def needs_of(step: GenerationStep | MixStep) -> set[str]:
    return steps_named_in(step.input if isinstance(step, GenerationStep) else step.model_dump(exclude={"kind"}))


def plan_errors(steps: Steps) -> Iterator[FieldError]:
    """Steps that name what there is not, and those that wait for each other in a circle."""
    needs = {name: needs_of(step) for name, step in steps.items()}
    for name, needed in needs.items():
        for missing in sorted(needed - steps.keys()):
            yield field_error(f"steps.{name}", Sentence("field_no_such_step"), f"step:{missing}", list(steps))
    known = {name: needed & steps.keys() for name, needed in needs.items()}
    if circle := [name for name in steps if name not in in_order(known)]:
        yield field_error("steps", Sentence("field_steps_in_circle", steps=", ".join(circle)), None)


def approval_errors(pipeline: PipelineRow, steps: Steps) -> Iterator[FieldError]:
    for name in pipeline.approvals:
        if name not in steps:
            yield field_error("approvals", Sentence("field_no_such_step"), name, list(steps))


def total_cents(planned: Sequence[PlannedPipeline]) -> int:
    return sum(sum(each.cents.values()) for each in planned)


def require_within_budget(
    context: RequestContext, budget: int | None, cents: int, *, is_confirmed: bool = False
) -> None:
    """Raises: InvalidParams, ConfirmationRequired."""
    most = context.services.settings.interactive_budget_cents
    if budget is not None and cents > budget:
        error = field_error("budgetCents", Sentence("field_costs_more", least=cents), budget, {"min": cents})
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    if budget is None and cents > most and not is_confirmed:
        sentence = Sentence("budget_required", cents=cents, budget=most)
        raise ConfirmationRequired(sentence, estimatedCostCents=cents)


def in_step(name: str, errors: Sequence[Any], *, is_mix: bool) -> Iterator[FieldError]:
    for error in errors:
        where = error["field"] if is_mix or error["field"] in BESIDE_INPUT else f"input.{error['field']}"
        yield {**error, "field": f"steps.{name}.{where}"}
