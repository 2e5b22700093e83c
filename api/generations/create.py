"""Creating a generation: checked, priced, written down, and only then started."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependency import dependency
from api.generations.read import LONGEST_WAIT_SECONDS, Jobs, preferred_wait
from api.generations.schemas import CreatedView, CreateRequest, JobRequest, WaitedView, WordsRequest
from api.generations.start import OUTAGES
from api.http.idempotency import REPLAYED, Repetition, ensure_same_request
from api.http.problems import ConfirmationRequired, Conflict, InsufficientCredits, InvalidParams, wrong_fields
from api.identity.dependencies import CurrentCaller, Rows
from api.services import Services, ServicesDep, services_of
from reelay.catalog.catalog import NO_PARAMS
from reelay.catalog.errors import CatalogError, UnknownModel
from reelay.catalog.model import JobKind, Model, Quality
from reelay.catalog.timing import timing_of
from reelay.db.clips import find_campaign, find_clip
from reelay.db.credits import HoldAnswer, hold_credits
from reelay.db.generations import TARIFF, TIMING, find_generation, find_generation_named, insert_generation
from reelay.db.tables import GenerationJob
from reelay.domain.messages import Sentence
from reelay.providers.registry import can_submit
from reelay.tracing.spans import record_job_id

WORDS_BESIDE = [str(field.alias) for field in CreateRequest.model_fields.values()]
"""Ours in every creating body, as documented."""

Prefer = Annotated[str | None, Header(description="`wait=N`: answer with the finished job, or after N seconds.")]

OURS_OF_ANY = {spelling for name, field in JobRequest.model_fields.items() for spelling in (name, field.alias)}
"""Words in the bodies of `/api/jobs` that are no model's."""
OURS = OURS_OF_ANY - {"input"} | {"quality"}
"""Words in the bodies of `/api/generate/...` that are no model's."""

CONTENT = {"external_id", "campaign_id", "clip_id"}
"""What of a request, beside its model, its words and what it echoes, makes it the same."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Created:
    job: GenerationJob
    headers: dict[str, str]


class Creation:
    """Creates for the caller of one request; with an `Idempotency-Key`, once for all its repetitions."""

    def __init__(
        self,
        request: Request,
        services: ServicesDep,
        caller: CurrentCaller,
        rows: Rows,
        jobs: Jobs,
        repetition: Repetition,
        prefer: Prefer = None,
    ) -> None:
        self._services = services
        self._caller = caller
        self._rows = rows
        self._jobs = jobs
        self._repetition = repetition
        self._route = request.scope["route"].path
        patient = LONGEST_WAIT_SECONDS if not services.settings.use_async_generation else 0.0
        self._wait = preferred_wait(prefer) or patient

    async def of_kind(
        self,
        kind: JobKind,
        body: WordsRequest,
        *,
        quality: Quality = Quality.STANDARD,
        defaults: Mapping[str, Any] = NO_PARAMS,
    ) -> Response:
        """With the model that the caller names, else the kind's default. Raises what `of_model` does."""
        words = body.words()
        model = resolve_model(self._services, kind, body.model_named, words, quality)
        return await self.of_model(model, words, body, defaults=defaults, said=body.said())

    async def of_model(
        self,
        model: Model,
        words: Mapping[str, Any],
        request: CreateRequest,
        *,
        defaults: Mapping[str, Any] = NO_PARAMS,
        said: Mapping[str, Any] | None = None,
    ) -> Response:
        """202 with where to look; the finished job instead, when the client would rather wait.

        Raises: InvalidParams with everything that is wrong, ConfirmationRequired, InsufficientCredits, KeyReused,
        RateLimited.
        """
        created = await self.create(model, words, request, defaults=defaults, said=said)
        headers = dict(created.headers)
        if self._wait:
            headers["preference-applied"] = f"wait={self._wait:g}"
            if (finished := await self._jobs.final_view(created.job.id, wait=self._wait)) is not None:
                waited = WaitedView.from_job(finished)
                return JSONResponse(waited.model_dump(mode="json", by_alias=True), headers=headers)
        view = CreatedView.from_row(created.job, self._jobs.links, self._jobs.language)
        headers |= {"location": view.status_url, "retry-after": "2"}
        return JSONResponse(
            view.model_dump(mode="json", by_alias=True, exclude_none=True), HTTPStatus.ACCEPTED, headers
        )

    async def create(
        self,
        model: Model,
        words: Mapping[str, Any],
        request: CreateRequest,
        *,
        defaults: Mapping[str, Any] = NO_PARAMS,
        said: Mapping[str, Any] | None = None,
        own_name: str | None = None,
    ) -> Created:
        """Written down and started, or found from the first time. Raises what `of_model` does.

        `words` are the model's inputs. `defaults` stand in for inputs that they leave out, where the model admits them.
        `said` is the caller's own input, which the job shows; None when it is the words. `own_name` is the external id
        that we make up for a request without one: made up anew, it does not make it another request.
        """
        headers = REPLAYED
        try:
            job = self._job(model, words, request, defaults, words if said is None else said, own_name)
        except InvalidParams as wrong:
            async with self._rows() as session:
                more = await validate_ownership(session, request)
            raise InvalidParams(wrong.detail, errors=[*more, *wrong.errors]) from wrong
        async with self._rows() as session:
            inserted = await insert_generation(session, job)
            if inserted:  # what was answered once is answered again, though its clip be gone
                if errors := await validate_ownership(session, request):
                    raise InvalidParams(Sentence("belongings_invalid"), errors=errors)
                headers = await self._services.limits.admit_creation(session, self._caller.user_id)
                if not self._services.settings.unmetered:
                    await hold(session, job)
            stored = job if inserted else await find_first(session, job)
        if inserted:
            log.info(
                "job_created",
                job_id=str(job.id),
                model=job.model,
                provider=job.provider,
                estimated_cost_cents=job.estimated_cost_cents,
                route=self._route,
            )
        stored = ensure_same_request(stored, job)
        record_job_id(stored.id)
        await start_or_leave_to_sweeper(self._services, stored)
        return Created(stored, headers)

    def _job(
        self,
        model: Model,
        words: Mapping[str, Any],
        request: CreateRequest,
        defaults: Mapping[str, Any],
        said: Mapping[str, Any],
        own_name: str | None,
    ) -> GenerationJob:
        if not can_submit(self._services.settings, model.provider, model.endpoint):
            raise not_set_up(model)
        arguments, cents = priced(model, model.with_defaults(words, defaults))
        budget = self._services.settings.interactive_budget_cents
        if cents > budget and not request.confirm:
            raise ConfirmationRequired(
                Sentence("confirmation_required", cents=cents, budget=budget),
                estimatedCostCents=cents,
            )
        return GenerationJob(
            id=self._repetition.new_id(),
            user_id=self._caller.user_id,
            campaign_id=request.campaign_id,
            clip_id=request.clip_id,
            job_type=model.job_type,
            provider=model.provider,
            model=model.name,
            endpoint=model.endpoint,
            input_params=dict(said),
            arguments=arguments,
            tariff=TARIFF.dump_python(model.tariff(arguments), mode="json"),
            timing=TIMING.dump_python(timing_of(model, self._services.settings), mode="json"),
            uncertain_submit_policy=self._services.settings.uncertain_submit_policy,
            external_id=request.external_id or own_name,
            request_fingerprint=self._repetition.fingerprint(
                content_of(model, words, request), is_named=request.external_id is not None
            ),
            estimated_cost_cents=cents,
            metadata_=request.echoed,
        )


Create = Annotated[Creation, dependency(Creation)]


class CreatingRoute(APIRoute):
    """A route whose body holds our words beside a model's: where ours are wrong, the model's are looked at as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_naming_all(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as wrong:
                ours = wrong_fields(wrong)
                named = {error["field"] for error in ours}
                body = wrong.body if isinstance(wrong.body, dict) else {}
                theirs = wrong_words(services_of(request.app), request.url.path, body) if body else []
                more = [error for error in theirs if error["field"] not in named]
                raise InvalidParams(Sentence("request_invalid"), errors=[*ours, *more]) from wrong

        return handle_naming_all


def wrong_words(services: Services, path: str, body: Any) -> Sequence[Mapping[str, Any]]:
    """What the model that the body means would say of its words, as far as the body tells either."""
    kind = next((kind for kind in JobKind if path == f"/api/generate/{kind}"), None)
    nested, name = {} if kind else body.get("input", {}), body.get("model") or body.get("modelId")
    if not isinstance(nested, dict) or not (isinstance(name, str) or (kind and name is None)):
        return []
    ours = OURS if kind else OURS_OF_ANY
    words = {word: body[word] for word in body if word not in ours} | nested
    quality = Quality.FAST if body.get("quality") == Quality.FAST else Quality.STANDARD
    try:
        priced(resolve_model(services, kind, name, words, quality), words)
    except InvalidParams as wrong:
        return wrong.errors
    return []


def resolve_model(
    services: Services,
    kind: JobKind | None,
    name: str | None,
    words: Mapping[str, Any],
    quality: Quality = Quality.STANDARD,
) -> Model:
    """The one that is named, else the kind's default. Raises: InvalidParams."""
    if kind is None or name:
        return find_model(services, name or "", words, kind=kind)
    return services.catalog.choose(kind, words, quality=quality)


def find_model(services: Services, name: str, words: Mapping[str, Any], *, kind: JobKind | None = None) -> Model:
    """Raises: InvalidParams."""
    try:
        return services.catalog.find(name, words, kind=kind)
    except UnknownModel as unknown:
        raise invalid(unknown) from unknown


def not_set_up(model: Model) -> InvalidParams:
    message = Sentence("field_model_not_set_up", provider=model.provider)
    wrong = {"field": "model", "message": message, "limit": None, "value": model.name}
    return InvalidParams(Sentence("model_not_available"), errors=[wrong])


def priced(model: Model, words: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The provider's arguments and their price in cents. Raises: InvalidParams."""
    try:
        arguments = model.arguments(words, beside=WORDS_BESIDE)
    except CatalogError as wrong:
        raise invalid(wrong) from wrong
    return arguments, model.price_cents(arguments)


def invalid(wrong: CatalogError) -> InvalidParams:
    return InvalidParams(Sentence("input_invalid"), errors=[vars(error) for error in wrong.errors])


def content_of(model: Model, words: Mapping[str, Any], request: CreateRequest) -> list[Any]:
    """What makes it the same request; a confirmation that comes later does not make it another."""
    content = request.model_dump(mode="json", include=CONTENT)
    return [model.endpoint, words, content | {"metadata": request.echoed}]


async def find_first(session: AsyncSession, again: GenerationJob) -> GenerationJob | None:
    """The job that stands where this one was to be written. Raises: Conflict when only its external id is the same."""
    if first := await find_generation(session, again.id):
        return first
    first = await find_generation_named(session, again.external_id) if again.external_id else None
    if first and first.request_fingerprint != again.request_fingerprint:
        raise Conflict(Sentence("external_id_taken"), jobId=str(first.id))
    return first


async def validate_ownership(session: AsyncSession, request: CreateRequest) -> list[dict[str, Any]]:
    """The campaign and the clip must be the caller's, and the clip of the campaign, if both are given."""
    errors = []
    if request.campaign_id and await find_campaign(session, request.campaign_id) is None:
        errors.append(wrong_id("campaignId", Sentence("field_not_yours"), request.campaign_id))
    if request.clip_id:
        clip = await find_clip(session, request.clip_id)
        if clip is None:
            errors.append(wrong_id("clipId", Sentence("field_not_yours"), request.clip_id))
        elif not errors and request.campaign_id not in (None, clip.campaign_id):
            errors.append(wrong_id("clipId", Sentence("field_other_campaign"), request.clip_id))
    return errors


def wrong_id(field: str, message: str, value: UUID) -> dict[str, Any]:
    return {"field": field, "message": message, "limit": None, "value": str(value)}


async def hold(session: AsyncSession, job: GenerationJob) -> None:
    """Set the price aside, in the transaction that inserts the job. Raises: InsufficientCredits."""
    answer = await hold_credits(session, job.id)
    if not answer.is_held:
        raise out_of_credits(job.estimated_cost_cents, answer)


def out_of_credits(price: int, answer: HoldAnswer) -> InsufficientCredits:
    numbers: dict[str, Any] = {"estimatedCostCents": price, "availableCents": answer.available}
    if answer.available < price:
        return InsufficientCredits(Sentence("credits_insufficient", cents=price, available=answer.available), **numbers)
    return InsufficientCredits(
        Sentence("budget_spent", cents=price, spent=answer.spent_this_month, budget=answer.monthly_budget),
        **numbers,
        monthlyBudgetCents=answer.monthly_budget,
        spentThisMonthCents=answer.spent_this_month,
    )


async def start_or_leave_to_sweeper(services: Services, job: GenerationJob) -> None:
    """Start the workflow. The row is committed: should Temporal be away, it is started when Temporal is back."""
    try:
        await services.starter.start(job)
    except OUTAGES as outage:
        log.warning("workflow_start_deferred", job_id=str(job.id), error=str(outage))
