"""Operators see which providers are set up, and what is known of our accounts there, and limit what is sent to them."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.accounts import AccountView
from api.http.pagination import PageSize
from api.http.problems import InvalidParams, field_error, problems
from api.http.wire import Text, Wire
from api.identity.dependencies import AdminCaller, require_admin
from api.services import ServicesDep
from reelay import operators
from reelay.db.accounts import accounts
from reelay.db.generations import generations_of
from reelay.db.slots import (
    learned_limits,
    line_at,
    queued_there,
    read_slot_limits,
    slot_limits,
    slot_use,
    withheld_at,
)
from reelay.db.tables import GenerationJob, LearnedLimit, SlotLimit
from reelay.db.users import names_of
from reelay.domain.generation import ASKED_PROVIDERS, Priority, ProviderName
from reelay.domain.learned_limit import Learned, Lesson
from reelay.domain.messages import Sentence
from reelay.domain.turns import Place

router = APIRouter(
    prefix="/api/admin/providers",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)

NamedProvider = Annotated[ProviderName, Path(description="The provider.")]


class SlotLimitView(Wire):
    """How many jobs may be at a provider at once."""

    provider: ProviderName
    """The provider."""
    endpoint: str | None
    """The endpoint that the limit is of; null: the whole account."""
    slots: int | Learned | None
    """The most jobs at once; `auto`: learned; null: no limit."""
    slots_per_user: int | None
    """The most of one user; null: no limit."""

    @classmethod
    def from_row(cls, row: SlotLimit) -> Self:
        return cls(
            provider=row.provider,
            endpoint=row.endpoint or None,
            slots=Learned.AUTO if row.is_learned else row.slots,
            slots_per_user=row.slots_per_user,
        )


Slots = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


class LimitChange(Wire):
    """A new limit, in place of the setting and of an earlier one."""

    slots: Slots | Learned | None
    """The most jobs at once; `auto`: as many as the provider turns out to run, of the whole account; null: no limit."""
    endpoint: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """The endpoint that the limit is of, for example `fal-ai/veo3.1`; null or omitted: the whole account."""
    slots_per_user: Slots | None = None
    """The most of one user, of the whole account; null or omitted: no limit."""

    @model_validator(mode="after")
    def _per_user_is_of_the_account(self) -> Self:
        if self.endpoint is not None and self.slots_per_user is not None:
            raise ValueError("slotsPerUser is of the whole account, without an endpoint")
        if self.endpoint is not None and self.slots is Learned.AUTO:
            raise ValueError("auto is of the whole account, without an endpoint")
        return self


class ProviderView(Wire):
    """A provider, as this service uses it."""

    provider: ProviderName
    """The provider."""
    is_set_up: bool
    """Whether jobs may go to it. Those for any other are refused."""
    is_parked: bool
    """Whether an account of ours takes no submissions at the moment: jobs wait for it."""
    accounts: list[AccountView]
    """Our accounts there that were ever refused, and why."""
    slots: int | None
    """The most jobs that may be there at once, as set while running, else by the settings; null: no limit."""
    is_learned: bool
    """Whether that is learned from how many the provider runs (`auto`)."""
    jobs_in_slots: int
    """How many jobs are there, or about to be sent."""
    jobs_waiting: int
    """How many jobs wait for a slot."""
    jobs_queued_there: int
    """How many of those that are there wait in the provider's own queue for longer than usual: it seems to run fewer at
    once than the limit says."""
    limits: list[SlotLimitView]
    """The limits that were set while running."""


class ProviderList(Wire):
    """The providers."""

    data: list[ProviderView]
    """All of them, also those that are not set up."""


@router.get("")
async def list_providers(services: ServicesDep) -> ProviderList:
    """Each provider, whether it is set up, and whether jobs wait for an account of ours there, and why."""
    async with services.service_sessions() as session:
        known = [AccountView.from_row(row) for row in await accounts(session)]
        limits = await slot_limits(session)
        by_provider = await read_slot_limits(session, services.settings.slots)
        use = await slot_use(session)
        queued = await queued_there(session)
    data = []
    for provider in ASKED_PROVIDERS:
        ours = [account for account in known if account.provider == provider]
        is_parked = any(account.parked_since for account in ours)
        in_slots, waiting = use.get(provider, (0, 0))
        data.append(
            ProviderView(
                provider=provider,
                is_set_up=provider in services.settings.providers,
                is_parked=is_parked,
                accounts=ours,
                slots=by_provider[provider].account,
                is_learned=by_provider[provider].is_learned,
                jobs_in_slots=in_slots,
                jobs_waiting=waiting,
                jobs_queued_there=queued.get(provider, 0),
                limits=[SlotLimitView.from_row(limit) for limit in limits if limit.provider == provider],
            )
        )
    return ProviderList(data=data)


class WaitingJobView(Wire):
    """A job that waits for a slot."""

    id: UUID
    """The job's id."""
    user_id: UUID
    """The id of its user."""
    user: str
    """The name of its user."""
    model: str
    """The model's name."""
    priority: Priority
    """As it was asked for."""
    place: Place
    """Where an operator has it wait."""
    held: bool
    """Whether an operator holds it back."""
    created_at: datetime
    """When it was created."""

    @classmethod
    def from_row(cls, row: GenerationJob, user: str) -> Self:
        own = {name: getattr(row, name) for name in ("id", "user_id", "model", "priority", "created_at")}
        return cls(**own, user=user, place=row.slot_place, held=row.slot_withheld)


class WaitingList(Wire):
    """Who waits for a slot at a provider."""

    total: int
    """How many jobs wait, those that are held back included."""
    data: list[WaitingJobView]
    """In the order of their turns, should nobody else come; last those that are held back."""


@router.get("/{provider}/waiting")
async def list_waiting(provider: NamedProvider, services: ServicesDep, limit: PageSize = 20) -> WaitingList:
    """The jobs that wait for a slot at the provider, the next one first."""
    async with services.service_sessions() as session:
        return await view_waiting(session, provider, services.settings.slots, limit=limit)


async def view_waiting(
    session: AsyncSession, provider: ProviderName, defaults: Mapping[ProviderName, int | Learned | None], *, limit: int
) -> WaitingList:
    limits = await read_slot_limits(session, defaults)
    line = await line_at(session, provider, limits[provider])
    ids = [*(job_id for job_id, _ in line.waiting), *await withheld_at(session, provider)]
    rows = {row.id: row for row in await generations_of(session, ids[:limit])}
    names = await names_of(session, {row.user_id for row in rows.values()})
    shown = [rows[job_id] for job_id in ids[:limit] if job_id in rows]
    return WaitingList(total=len(ids), data=[WaitingJobView.from_row(row, names[row.user_id]) for row in shown])


class LearnedLimitView(Wire):
    """A change of a limit that is learned."""

    slots: int
    """How many jobs may be at the provider at once from then on."""
    lesson: Lesson
    """Why."""
    at: datetime
    """When it was learned."""

    @classmethod
    def from_row(cls, row: LearnedLimit) -> Self:
        return cls(slots=row.slots, lesson=row.lesson, at=row.at)


class LearnedLimitList(Wire):
    """What a limit was learned to be."""

    data: list[LearnedLimitView]
    """The newest first; empty where it never was `auto`."""


@router.get("/{provider}/learned-limits")
async def list_learned_limits(provider: NamedProvider, services: ServicesDep, limit: PageSize = 20) -> LearnedLimitList:
    """What the provider's limit was learned to be, and why."""
    async with services.service_sessions() as session:
        changes = await learned_limits(session, provider, limit=limit)
    return LearnedLimitList(data=[LearnedLimitView.from_row(change) for change in changes])


@router.post("/{provider}/limit")
async def limit_slots(
    provider: NamedProvider,
    body: LimitChange,
    admin: AdminCaller,
    services: ServicesDep,
) -> SlotLimitView:
    """Limit how many jobs may be at the provider at once; the others wait. Workers know it within seconds."""
    if body.slots is Learned.AUTO and provider.reports_by_push:
        error = field_error("slots", Sentence("field_not_learnable"), body.slots)
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    async with services.service_sessions.begin() as session:
        limit = await operators.limit_slots(
            session, admin.actor, provider, body.slots, endpoint=body.endpoint, per_user=body.slots_per_user
        )
        return SlotLimitView.from_row(limit)
