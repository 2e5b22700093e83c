"""Operators see which accounts at providers take no submissions, and why, and may let them go on."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Path

from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import AdminCaller
from api.services import ServicesDep
from reelay.db.accounts import accounts, resume_accounts
from reelay.db.audit_log import AuditAction, record_act
from reelay.db.tables import ProviderAccount
from reelay.domain.generation import ProviderName

router = APIRouter(prefix="/api/admin/accounts", tags=["operators"], responses=problems(HTTPStatus.FORBIDDEN))


class AccountView(Wire):
    """One account of ours at a provider."""

    provider: ProviderName
    """The provider."""
    account: str
    """The account, by a fingerprint of its key."""
    parked_since: datetime | None
    """Since when jobs wait for it; null while it takes submissions."""
    reason: str | None
    """Why the provider refuses it, in the provider's words."""
    next_probe_at: datetime | None
    """When the next job tries it."""
    last_probe_at: datetime | None
    """When a job tried it last."""
    probes: int
    """How many jobs have tried it in vain."""

    @classmethod
    def from_row(cls, row: ProviderAccount) -> Self:
        parked = row.parked_at is not None
        return cls(
            provider=row.provider,
            account=row.account,
            parked_since=row.parked_at,
            reason=row.reason if parked else None,
            next_probe_at=row.probe_at if parked else None,
            last_probe_at=row.probed_at,
            probes=row.probes,
        )


class AccountList(Wire):
    """Accounts at providers."""

    data: list[AccountView]
    """The accounts that were ever refused."""


@router.get("")
async def list_accounts(admin: AdminCaller, services: ServicesDep) -> AccountList:
    """The accounts that a provider has locked, now or earlier."""
    async with services.service_sessions() as session:
        return AccountList(data=[AccountView.from_row(row) for row in await accounts(session)])


@router.post("/{provider}/resume")
async def resume_account(
    provider: Annotated[ProviderName, Path(description="The provider.")], admin: AdminCaller, services: ServicesDep
) -> AccountList:
    """Let the provider's accounts take submissions again. Jobs that wait notice within two pauses."""
    async with services.service_sessions.begin() as session:
        await resume_accounts(session, provider)
        await record_act(session, admin.actor, AuditAction.ACCOUNTS_RESUMED, provider)
    return await list_accounts(admin, services)
