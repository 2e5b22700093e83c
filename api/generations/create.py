"""Creating a generation: validated, priced, written down, and only then started."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from api.context import RequestContext, deleted_meanwhile
from api.generations.read import LONGEST_WAIT_SECONDS, final_view, preferred_wait
from api.generations.references import ModelInput, names_own_files, settle_references
from api.generations.schemas import CreatedView, CreateRequest, JobRequest, ModelRequest, WaitedView
from api.http.idempotency import REPLAYED, IdempotencyKey, ensure_same_request, fingerprint, id_for
from api.http.problems import (
    ConfirmationRequired,
    Conflict,
    InsufficientCredits,
    InvalidParams,
    KeyBudgetSpent,
    PriceUnknown,
    ServiceUnavailable,
    field_errors,
)
from api.notifications.addresses import check_webhook_url
from api.services import Services, ServicesDep, services_of
from reelay.catalog.catalog import NO_PARAMS
from reelay.catalog.endpoints import with_published_inputs
from reelay.catalog.errors import CatalogError, UnknownModel
from reelay.catalog.model import JobKind, Model, Quality
from reelay.catalog.timing import timing_of
from reelay.db.admission import Admission, admit_creation
from reelay.db.attempts import inherit_request
from reelay.db.clips import find_campaign, find_clip
from reelay.db.credits import HoldAnswer, KeyBudget
from reelay.db.deletion import is_deleted
from reelay.db.generations import (
    CANDIDATES,
    TARIFF,
    TIMING,
    find_generation,
    find_generation_named,
    insert_admitted_generation,
)
from reelay.db.slots import highest_priority
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Candidate, Priority, ProviderName
from reelay.domain.messages import Sentence
from reelay.domain.outgoing import WebhookFormat
from reelay.providers.registry import can_submit
from reelay.settings import Settings
from reelay.tracing.spans import record_job_id
from workflows.runs import TemporalFailed

COMMON_FIELDS = [str(field.alias) for field in CreateRequest.model_fields.values()]
"""In every creating body, as documented."""
JOB_FIELDS = {spelling for name, field in JobRequest.model_fields.items() for spelling in (name, field.alias)}
"""In the bodies of `/api/jobs`; all others are inputs of the model."""
GENERATE_FIELDS = JOB_FIELDS - {"input"} | {"quality"}
"""In the bodies of `/api/generate/...`; all others are inputs of the model."""
FINGERPRINTED = {
    "external_id",
    "campaign_id",
    "clip_id",
    "webhook_url",
    "fallbacks",
    "hedge_after_seconds",
    "max_extra_cents",
}
"""Fields that, beside the model, its inputs and what is echoed, tell one request from another."""

log = structlog.get_logger()


@dataclass(frozen=True)
class CreateOptions:
    """What the headers of a creating call ask for."""

    idempotency_key: str | None
    wait_seconds: float
    """How long the answer may wait for the end of the job."""
    route: str
    job_id: UUID | None = None
    """The id that the job shall have; None: by the key."""


async def _options(
    request: Request,
    services: ServicesDep,
    key: IdempotencyKey,
    prefer: Annotated[
        str | None,
        Header(description="`wait=N`: answer 200 with the ended job, or after N seconds 202; N is at most 300."),
    ] = None,
) -> CreateOptions:
    default = 0.0 if services.settings.use_async_generation else LONGEST_WAIT_SECONDS
    return CreateOptions(key, preferred_wait(prefer) or default, request.scope["route"].path)


CreateOptionsDep = Annotated[CreateOptions, Depends(_options)]


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What is to be created."""

    model: Model
    inputs: Mapping[str, Any]
    """The model's, as the caller spelled them."""
    request: CreateRequest
    """What the caller says beside them."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """For inputs that are left out, where the model admits them."""
    shown_input: Mapping[str, Any] | None = None
    """The caller's own input, which the job shows; None when it is `inputs`."""
    webhook_format: WebhookFormat | None = None
    """Of what the request's `webhook_url` is told; None: ours."""
    generated_external_id: str | None = None
    """For a request without one. A fresh one does not make it another request."""
    fallbacks: Sequence[ModelInput] = ()
    """What is tried next, in order."""
    inherits_from: UUID | None = None
    """The ended job whose provider may have the result."""

    @property
    def models(self) -> list[ModelInput]:
        return [(self.model, self.inputs), *self.fallbacks]


@dataclass(frozen=True)
class Created:
    job: GenerationJob
    headers: dict[str, str]


async def create_of_kind(
    context: RequestContext,
    options: CreateOptions,
    kind: JobKind,
    body: ModelRequest,
    *,
    quality: Quality = Quality.STANDARD,
    defaults: Mapping[str, Any] = NO_PARAMS,
) -> Response:
    """With the model that the caller names, else the kind's default. Raises what `create_job` does."""
    inputs = body.inputs()
    model = await resolve_model(context.services, kind, body.model_name, inputs, quality)
    shown = body.inputs_and_selectors()
    spec = JobSpec(model=model, inputs=inputs, request=body, defaults=defaults, shown_input=shown)
    return await create_and_answer(context, options, spec)


async def create_and_answer(context: RequestContext, options: CreateOptions, spec: JobSpec) -> Response:
    """202 with where to look; the finished job instead, when the client would rather wait.

    Raises what `create_job` does.
    """
    created = await create_job(context, options, spec)
    headers = dict(created.headers)
    if wait := options.wait_seconds:
        headers["preference-applied"] = f"wait={wait:g}"
        if (finished := await final_view(context, created.job.id, wait=wait)) is not None:
            waited = WaitedView.from_job(finished)
            return JSONResponse(waited.model_dump(mode="json", by_alias=True), headers=headers)
    view = CreatedView.from_row(created.job, context.links, context.language)
    headers |= {"location": view.status_url, "retry-after": "2"}
    return JSONResponse(view.model_dump(mode="json", by_alias=True, exclude_none=True), HTTPStatus.ACCEPTED, headers)


async def create_job(context: RequestContext, options: CreateOptions, spec: JobSpec) -> Created:
    """Write the job down and start it; a repetition of an earlier request gets that one's job.

    Raises: InvalidParams with everything that is wrong, PriceUnknown, ConfirmationRequired, InsufficientCredits,
    KeyBudgetSpent, KeyReused, Conflict, RateLimited.
    """
    services, request = context.services, spec.request
    try:
        spec = await with_fallbacks(services, spec)
        job = new_job(context, options.idempotency_key, spec, job_id=options.job_id)
    except InvalidParams as invalid:
        async with context.transaction() as session:
            more = await validate_ownership(session, context.user_id, request)
        raise InvalidParams(invalid.detail, errors=[*more, *invalid.errors]) from invalid
    stored, headers = await write_down(context, spec, job)
    if stored is job:
        log.info(
            "job_created",
            job_id=str(job.id),
            model=job.model,
            provider=job.provider,
            estimated_cost_cents=job.estimated_cost_cents,
            route=options.route,
        )
    stored = ensure_same_request(stored, job)
    record_job_id(stored.id)
    await start_or_leave_to_sweeper(services, stored)
    return Created(stored, headers)


async def write_down(
    context: RequestContext, spec: JobSpec, job: GenerationJob
) -> tuple[GenerationJob | None, dict[str, str]]:
    """The job itself, else the one that stands where it was to be written; and the answer's fields.

    Raises: InvalidParams, InsufficientCredits, KeyBudgetSpent, Conflict, RateLimited.
    """
    limits = context.services.limits
    stored_bytes = await limits.stored_bytes(context.user_id)
    try:
        await check_belongings(context, spec, job)
        limits.admit_storage(stored_bytes)
    except (InvalidParams, Conflict):  # what was answered once is answered again, though its clip be gone
        if (original := await find_original(context, job)) is None:
            raise
        return original, REPLAYED
    with deleted_meanwhile():
        async with context.services.sessions.begin() as session:
            admission = await insert_admitted_generation(session, job, limits.creation_terms)
            if admission:
                fields = require_admitted(context, [job], admission)
                if spec.inherits_from:
                    await inherit_request(session, job.id, spec.inherits_from)
                return job, fields
    return await find_original(context, job), REPLAYED


async def check_belongings(context: RequestContext, spec: JobSpec, job: GenerationJob) -> None:
    """What the request names of the user's has to be there, and becomes references where it is an input.

    Most requests name nothing, and take no transaction. Raises: InvalidParams, Conflict.
    """
    request = spec.request
    is_reserved = request.priority is Priority.HIGH
    if not (request.campaign_id or request.clip_id or is_reserved or names_own_files(context, spec.models, job)):
        return
    async with context.transaction() as session:
        references = await settle_references(session, context, spec.models, job)
        errors = await validate_ownership(session, context.user_id, request)
        if errors := [*errors, *references.errors]:
            raise InvalidParams(Sentence("belongings_invalid"), errors=errors)
        if errors := await validate_priority(session, request):
            raise InvalidParams(Sentence("request_invalid"), errors=errors)
        if references.unfinished:
            raise Conflict(Sentence("input_unfinished", references=", ".join(references.unfinished)))


async def with_fallbacks(services: Services, spec: JobSpec) -> JobSpec:
    """With the models of the request's fallbacks. Raises: InvalidParams, ServiceUnavailable."""
    found: list[ModelInput] = []
    for position, fallback in enumerate(spec.request.fallbacks):
        given = spec.inputs if fallback.input is None else fallback.input
        with errors_of_fallback(position):
            model = await find_model(services, fallback.model, given)
            if model.kind != spec.model.kind or ProviderName.STUDIO in (model.provider, spec.model.provider):
                raise unsuitable_fallback(model)
        defaults = spec.defaults if fallback.input is None else NO_PARAMS
        found.append((model, model.with_defaults(given, defaults)))
    return replace(spec, fallbacks=found)


def unsuitable_fallback(model: Model) -> InvalidParams:
    error = {"field": "model", "message": Sentence("field_fallback_unsuitable"), "limit": None, "value": model.name}
    return InvalidParams(Sentence("input_invalid"), errors=[error])


@contextmanager
def errors_of_fallback(position: int) -> Iterator[None]:
    """Names the fallback in the errors of its fields."""
    try:
        yield
    except InvalidParams as invalid:
        errors = [{**error, "field": f"fallbacks.{position}.{error['field']}"} for error in invalid.errors]
        raise InvalidParams(invalid.detail, errors=errors) from invalid


def new_candidate(settings: Settings, model: Model, inputs: Mapping[str, Any], request: CreateRequest) -> Candidate:
    """Raises: InvalidParams, PriceUnknown."""
    if not can_submit(settings, model.provider, model.endpoint):
        raise provider_not_configured(model)
    arguments, price = arguments_and_price(settings, model, inputs)
    return Candidate(
        job_type=model.job_type,
        provider=model.provider,
        model=model.name,
        endpoint=model.endpoint,
        arguments=arguments,
        timing=timing_of(model, settings, submission_window=request.max_wait),
        price_cents=cents_to_hold(price, request.max_cost_cents),
        tariff=model.tariff(arguments),
        outputs=model.outputs,
    )


def new_job(context: RequestContext, key: str | None, spec: JobSpec, *, job_id: UUID | None = None) -> GenerationJob:
    """`job_id`: of its own choice, else by the key. Raises: InvalidParams, PriceUnknown, ConfirmationRequired."""
    settings, request = context.services.settings, spec.request
    if request.webhook_url is not None:
        check_webhook_url(settings, request.webhook_url, field="webhookUrl")
    first = new_candidate(settings, spec.model, spec.model.with_defaults(spec.inputs, spec.defaults), request)
    candidates = [first]
    for position, (model, inputs) in enumerate(spec.fallbacks):
        with errors_of_fallback(position):
            candidates.append(new_candidate(settings, model, inputs, request))
    prices = [candidate.price_cents for candidate in candidates]
    hedge_after = hedge_after_seconds(prices, request)
    cents = most_cents(prices, is_hedged=hedge_after is not None)
    budget = settings.interactive_budget_cents
    if cents > budget and not request.confirm:
        raise ConfirmationRequired(
            Sentence("confirmation_required", cents=cents, budget=budget), estimatedCostCents=cents
        )
    # Without a key and without a name of the caller's, no repetition can be recognised.
    is_repeatable = key is not None or request.external_id is not None
    content = fingerprint_content(spec.model, spec.inputs, request)
    return GenerationJob(
        id=job_id or id_for(key),
        user_id=context.user_id,
        campaign_id=request.campaign_id,
        clip_id=request.clip_id,
        job_type=first.job_type,
        provider=first.provider,
        model=first.model,
        endpoint=first.endpoint,
        input_params=dict(spec.inputs if spec.shown_input is None else spec.shown_input),
        arguments=first.arguments,
        input_references=[],
        tariff=TARIFF.dump_python(first.tariff, mode="json"),
        outputs=None if first.outputs is None else list(first.outputs),
        timing=TIMING.dump_python(first.timing, mode="json"),
        candidates=CANDIDATES.dump_python(candidates, mode="json") if spec.fallbacks else None,
        hedge_after_seconds=hedge_after,
        priority=request.priority,
        uncertain_submit_policy=settings.uncertain_submit_policy,
        external_id=request.external_id or spec.generated_external_id,
        request_fingerprint=fingerprint(content) if is_repeatable else None,
        estimated_cost_cents=cents,
        metadata_=request.echoed,
        webhook_url=request.webhook_url,
        webhook_format=spec.webhook_format if request.webhook_url else None,
        budget_key_id=context.caller.budget_key_id,
    )


def prices_of(settings: Settings, spec: JobSpec) -> Iterator[int]:
    """In cents, of the model and its fallbacks. Raises: InvalidParams, PriceUnknown."""
    for position, (model, inputs) in enumerate(spec.models):
        with errors_of_fallback(position - 1) if position else nullcontext():
            _arguments, price = arguments_and_price(settings, model, inputs)
            yield cents_to_hold(price, spec.request.max_cost_cents)


def hedge_after_seconds(prices: Sequence[int], request: CreateRequest) -> int | None:
    """When the first fallback begins beside the first model; None where that may not cost what it costs."""
    if request.max_extra_cents is None or prices[1] > request.max_extra_cents:
        return None
    return request.hedge_after_seconds


def most_cents(prices: Sequence[int], *, is_hedged: bool) -> int:
    """The most that a job may cost, by the prices of its models: of one of them, or of the two at work at once."""
    return max(*prices, sum(prices[:2]) if is_hedged else 0)


def fingerprint_content(model: Model, inputs: Mapping[str, Any], request: CreateRequest) -> list[Any]:
    """What makes it the same request; a confirmation that comes later does not make it another."""
    content = request.model_dump(mode="json", include=FINGERPRINTED)
    return [model.endpoint, inputs, content | {"metadata": request.echoed}]


async def find_original(context: RequestContext, repetition: GenerationJob) -> GenerationJob | None:
    """The job that stands where this one was to be written.

    Raises: Conflict, when only its external id is the same, or when it was deleted.
    """
    async with context.transaction() as session:
        if original := await find_generation(session, repetition.user_id, repetition.id):
            return original
        if await is_deleted(session, repetition.user_id, repetition.id):
            raise Conflict(Sentence("job_deleted"))
        name = repetition.external_id
        original = await find_generation_named(session, repetition.user_id, name) if name else None
    if original and original.request_fingerprint != repetition.request_fingerprint:
        raise Conflict(Sentence("external_id_taken"), jobId=str(original.id))
    return original


async def validate_ownership(session: AsyncSession, user_id: UUID, request: CreateRequest) -> list[dict[str, Any]]:
    """The campaign and the clip must be the caller's, and the clip of the campaign, if both are given."""
    errors = []
    if request.campaign_id and await find_campaign(session, user_id, request.campaign_id) is None:
        errors.append(_id_error("campaignId", Sentence("field_not_yours"), request.campaign_id))
    if request.clip_id:
        clip = await find_clip(session, user_id, request.clip_id)
        if clip is None:
            errors.append(_id_error("clipId", Sentence("field_not_yours"), request.clip_id))
        elif not errors and request.campaign_id not in (None, clip.campaign_id):
            errors.append(_id_error("clipId", Sentence("field_other_campaign"), request.clip_id))
    return errors


async def validate_priority(session: AsyncSession, request: CreateRequest) -> list[dict[str, Any]]:
    """Operators may reserve the high one."""
    if request.priority is not Priority.HIGH or (highest := await highest_priority(session)) is Priority.HIGH:
        return []
    message = Sentence("field_priority_reserved", limit=highest)
    return [{"field": "priority", "message": message, "limit": highest, "value": request.priority}]


def _id_error(field: str, message: str, value: UUID) -> dict[str, Any]:
    return {"field": field, "message": message, "limit": None, "value": str(value)}


async def admit_and_hold(
    session: AsyncSession, context: RequestContext, jobs: Sequence[GenerationJob]
) -> dict[str, str]:
    """Count a creation of several jobs and set their prices aside, in the transaction that inserts them. The answer's
    fields. Raises: RateLimited, InsufficientCredits, KeyBudgetSpent."""
    terms = context.services.limits.creation_terms
    return require_admitted(context, jobs, await admit_creation(session, [job.id for job in jobs], terms))


def require_admitted(context: RequestContext, jobs: Sequence[GenerationJob], admission: Admission) -> dict[str, str]:
    """The answer's fields. Raises: RateLimited, InsufficientCredits, KeyBudgetSpent."""
    headers = context.services.limits.creation_headers(admission)
    if admission.refused:
        price = next(job.estimated_cost_cents for job in jobs if job.id == admission.refused)
        if admission.key:
            raise key_budget_spent(price, admission.key)
        assert admission.hold
        raise insufficient_credits(price, admission.hold)
    return headers


def key_budget_spent(price: int, key: KeyBudget) -> KeyBudgetSpent:
    return KeyBudgetSpent(
        Sentence("key_budget_spent", cents=price, spent=key.spent, budget=key.budget),
        estimatedCostCents=price,
        keyBudgetCents=key.budget,
        keySpentCents=key.spent,
    )


def insufficient_credits(price: int, answer: HoldAnswer) -> InsufficientCredits:
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
        await services.runs.start(job)
    except TemporalFailed as error:
        log.warning("workflow_start_deferred", job_id=str(job.id), error=str(error))


async def resolve_model(
    services: Services,
    kind: JobKind | None,
    name: str | None,
    inputs: Mapping[str, Any],
    quality: Quality = Quality.STANDARD,
) -> Model:
    """The one that is named, else the kind's default. Raises: InvalidParams, ServiceUnavailable."""
    if kind is None or name:
        return await find_model(services, name or "", inputs, kind=kind)
    return services.catalog.choose(kind, inputs, quality=quality)


async def find_model(services: Services, name: str, inputs: Mapping[str, Any], *, kind: JobKind | None = None) -> Model:
    """The catalogue's; with no `kind` also any endpoint of fal by its id. Raises: InvalidParams, ServiceUnavailable."""
    try:
        return services.catalog.find(name, inputs, kind=kind)
    except UnknownModel as unknown:
        if kind is None and (endpoint := await services.endpoints.find(name)):
            return endpoint
        raise invalid_params(unknown) from unknown


async def model_of(services: Services, row: GenerationJob | Candidate) -> Model:
    """The one that a job was created with; where its endpoint is no more (another version), the one of its name.

    Raises: InvalidParams, ServiceUnavailable.
    """
    known = {model.endpoint: model for model in services.catalog.models}
    if model := known.get(row.endpoint):
        return await as_published(services, model, row.arguments)
    return await find_model(services, row.model, row.arguments)


async def as_published(services: Services, model: Model, inputs: Mapping[str, Any]) -> Model:
    """The model, which takes also what its endpoint's own document names and the catalogue does not.

    Raises: ServiceUnavailable.
    """
    unknown = model.unknown_in(inputs)
    if not unknown or model.provider is not ProviderName.FAL:
        return model
    try:
        published = await services.endpoints.find(model.endpoint)
    except InvalidParams:  # it is not published
        return model
    return with_published_inputs(model, published, unknown) if published else model


def provider_not_configured(model: Model) -> InvalidParams:
    message = Sentence("field_model_not_set_up", provider=model.provider)
    error = {"field": "model", "message": message, "limit": None, "value": model.name}
    return InvalidParams(Sentence("model_not_available"), errors=[error])


def arguments_and_price(
    settings: Settings, model: Model, inputs: Mapping[str, Any]
) -> tuple[dict[str, Any], int | None]:
    """The provider's arguments and their price in cents, None where nobody knows it. Raises: InvalidParams."""
    try:
        arguments = model.arguments(inputs, beside=COMMON_FIELDS)
        # A backend of the operator's own fetches inputs from inside the network.
        if model.provider is ProviderName.STUDIO:
            model.refuse_internal_addresses(inputs, arguments, loopback=settings.is_development)
    except CatalogError as error:
        raise invalid_params(error) from error
    return arguments, model.price_cents(arguments)


def cents_to_hold(price: int | None, most: int | None) -> int:
    """The price; where nobody knows it, the most that the caller would pay. Raises: PriceUnknown, InvalidParams."""
    if price is None:
        if most is None:
            raise PriceUnknown(Sentence("price_unknown"))
        return most
    if most is not None and most < price:
        message = Sentence("field_costs_more", least=price)
        error = {"field": "maxCostCents", "message": message, "limit": {"min": price}, "value": most}
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    return price


def invalid_params(error: CatalogError) -> InvalidParams:
    return InvalidParams(Sentence("input_invalid"), errors=[vars(each) for each in error.errors])


class CreatingRoute(APIRoute):
    """A route whose body holds our fields beside a model's: where ours are wrong, the model's are validated as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_naming_all(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as invalid:
                ours = field_errors(invalid)
                named = {error["field"] for error in ours}
                body = invalid.body if isinstance(invalid.body, dict) else {}
                theirs = await model_errors(services_of(request.app), request.url.path, body) if body else []
                more = [error for error in theirs if error["field"] not in named]
                raise InvalidParams(Sentence("request_invalid"), errors=[*ours, *more]) from invalid

        return handle_naming_all


async def model_errors(services: Services, path: str, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What is wrong for the model that the body names, as far as the body names one and has inputs."""
    kind = next((kind for kind in JobKind if path == f"/api/generate/{kind}"), None)
    nested, name = {} if kind else body.get("input", {}), body.get("model") or body.get("modelId")
    if not isinstance(nested, dict) or not (isinstance(name, str) or (kind and name is None)):
        return []
    ours = GENERATE_FIELDS if kind else JOB_FIELDS
    inputs = {field: body[field] for field in body if field not in ours} | nested
    quality = Quality.FAST if body.get("quality") == Quality.FAST else Quality.STANDARD
    try:
        model = await resolve_model(services, kind, name, inputs, quality)
        arguments_and_price(services.settings, model, inputs)
    except InvalidParams as invalid:
        return invalid.errors
    except ServiceUnavailable:
        pass  # what is wrong with our fields is known
    return []
