"""Creating a generation: checked, priced, written down, and only then started."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import structlog
from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.identity import Rows, TheCaller
from api.problems import ConfirmationRequired, InvalidParams, KeyReused
from api.reading import LONGEST_WAIT_SECONDS, Jobs, preferred_wait
from api.requests import CreateRequest, WordsRequest
from api.services import Services, TheServices
from api.starting import OUTAGES
from api.views import CreatedView
from catalog.errors import CatalogError, UnknownModel
from catalog.model import JobKind, Model, Quality
from db.clips import find_campaign, find_clip
from db.generations import TIMING, find_generation, insert_generation
from db.tables import GenerationJob
from domain.generation import Timing
from providers.registry import configured_providers
from settings import Settings

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same request with the same key is answered like the first one, and creates nothing.",
    ),
]
Prefer = Annotated[str | None, Header(description="`wait=N`: answer with the finished job, or after N seconds.")]

log = structlog.get_logger()


@dataclass(frozen=True)
class Created:
    job: GenerationJob
    replayed: bool


class Creation:
    """Creates for the caller of one request; with an `Idempotency-Key`, once for all its repetitions."""

    def __init__(
        self,
        request: Request,
        services: TheServices,
        caller: TheCaller,
        rows: Rows,
        jobs: Jobs,
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> None:
        self._services = services
        self._caller = caller
        self._rows = rows
        self._jobs = jobs
        self._key = f"{caller.user_id}:{request.url.path}:{idempotency_key}" if idempotency_key else None
        patient = LONGEST_WAIT_SECONDS if not services.settings.use_async_generation else 0.0
        self._wait = preferred_wait(prefer) or patient

    async def of_kind(self, kind: JobKind, body: WordsRequest, *, quality: Quality = Quality.STANDARD) -> Response:
        """With the model that the caller names, else the kind's default. Raises what `of_model` does."""
        words = body.words()
        if body.model:
            return await self.of_model(find_model(self._services, body.model, words, kind=kind), words, body)
        has_first_frame = bool(words.get("firstFrameUrl"))
        model = self._services.catalog.choose(kind, quality=quality, has_first_frame=has_first_frame)
        return await self.of_model(model, words, body)

    async def of_model(self, model: Model, words: Mapping[str, Any], request: CreateRequest) -> Response:
        """202 with where to look; the finished job instead, when the client would rather wait.

        Raises: InvalidParams, ConfirmationRequired, KeyReused.
        """
        created = await self._create(model, words, request)
        headers = {"idempotency-replayed": "true"} if created.replayed else {}
        if self._wait:
            headers["preference-applied"] = f"wait={self._wait:g}"
            if (finished := await self._jobs.final_view(created.job.id, wait=self._wait)) is not None:
                return JSONResponse(finished.model_dump(mode="json", by_alias=True), headers=headers)
        view = CreatedView.from_row(created.job, self._jobs.origin)
        headers |= {"location": view.status_url, "retry-after": "2"}
        return JSONResponse(view.model_dump(mode="json", by_alias=True), HTTPStatus.ACCEPTED, headers)

    async def _create(self, model: Model, words: Mapping[str, Any], request: CreateRequest) -> Created:
        job = self._job(model, words, request)
        async with self._rows() as session:
            inserted = await insert_generation(session, job)
            if inserted:  # what was answered once is answered again, though its clip be gone
                await check_belongings(session, request)
            stored = job if inserted else await find_generation(session, job.id)
        if stored is None or stored.request_fingerprint != job.request_fingerprint:
            raise KeyReused("This Idempotency-Key came before with another request.")
        await start_soon(self._services, stored)
        return Created(stored, replayed=not inserted)

    def _job(self, model: Model, words: Mapping[str, Any], request: CreateRequest) -> GenerationJob:
        if model.provider not in configured_providers(self._services.settings):
            raise not_set_up(model)
        arguments, cents = priced(model, words)
        budget = self._services.settings.interactive_budget_cents
        if cents > budget and not request.confirm:
            raise ConfirmationRequired(
                f"This costs {cents} cents, more than {budget}. Send it again with `confirm: true`.",
                estimatedCostCents=cents,
            )
        return GenerationJob(
            id=uuid5(NAMESPACE_URL, self._key) if self._key else uuid4(),
            user_id=self._caller.user_id,
            campaign_id=request.campaign_id,
            clip_id=request.clip_id,
            job_type=model.job_type,
            provider=model.provider,
            model=model.name,
            endpoint=model.endpoint,
            input_params=dict(words),
            arguments=arguments,
            timing=TIMING.dump_python(timing_of(model, self._services.settings), mode="json"),
            uncertain_submit_policy=self._services.settings.uncertain_submit_policy,
            request_fingerprint=fingerprint(model, words, request) if self._key else None,
            estimated_cost_cents=cents,
            metadata_=request.metadata,
        )


Create = Annotated[Creation, Depends(Creation)]


def find_model(services: Services, name: str, words: Mapping[str, Any], *, kind: JobKind | None = None) -> Model:
    """Raises: InvalidParams."""
    try:
        return services.catalog.find(name, words, kind=kind)
    except UnknownModel as unknown:
        raise invalid(unknown) from unknown


def not_set_up(model: Model) -> InvalidParams:
    message = f"is generated by {model.provider}, for which there is no key here"
    wrong = {"field": "model", "message": message, "limit": None, "value": model.name}
    return InvalidParams("The model cannot be used here.", errors=[wrong])


def priced(model: Model, words: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The provider's arguments and their price in cents. Raises: InvalidParams."""
    try:
        arguments = model.arguments(words)
    except CatalogError as wrong:
        raise invalid(wrong) from wrong
    return arguments, model.price_cents(arguments)


def invalid(wrong: CatalogError) -> InvalidParams:
    return InvalidParams("The model does not take this input.", errors=[vars(error) for error in wrong.errors])


def timing_of(model: Model, settings: Settings) -> Timing:
    """The catalogue's times, unless the environment says otherwise."""
    timing = model.timing
    return Timing(
        expected=timing.expected,
        patience=timing.patience if settings.webhook_patience is None else settings.webhook_patience,
        poll_interval=settings.poll_interval or timing.poll_interval,
        adoption_window=settings.adoption_window or timing.adoption_window,
        deadline=settings.generation_deadline or timing.deadline,
    )


def fingerprint(model: Model, words: Mapping[str, Any], request: CreateRequest) -> bytes:
    """Of the parsed content, not of its bytes: clients may spell the same request anew."""
    content = [model.endpoint, words, request.model_dump(mode="json", include={"campaign_id", "clip_id", "metadata"})]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()


async def check_belongings(session: AsyncSession, request: CreateRequest) -> None:
    """The campaign and the clip must be the caller's. Raises: InvalidParams."""
    errors = []
    if request.campaign_id and await find_campaign(session, request.campaign_id) is None:
        errors.append(missing("campaignId", request.campaign_id))
    if request.clip_id and await find_clip(session, request.clip_id) is None:
        errors.append(missing("clipId", request.clip_id))
    if errors:
        raise InvalidParams("What the generation belongs to is not there.", errors=errors)


def missing(field: str, value: UUID) -> dict[str, Any]:
    return {"field": field, "message": "is not one of yours", "limit": None, "value": str(value)}


async def start_soon(services: Services, job: GenerationJob) -> None:
    """Start the workflow. The row is committed: should Temporal be away, it is started when Temporal is back."""
    try:
        await services.starter.start(job)
    except OUTAGES as outage:
        log.warning("created, but not started yet", job_id=str(job.id), error=str(outage))
