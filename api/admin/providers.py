"""Operators see which providers are set up, and what is known of our accounts there."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from api.admin.accounts import AccountView
from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.accounts import accounts
from reelay.domain.generation import ProviderName

router = APIRouter(
    prefix="/api/admin/providers",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


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


class ProviderList(Wire):
    """The providers."""

    data: list[ProviderView]
    """All of them, also those that are not set up."""


@router.get("")
async def list_providers(services: ServicesDep) -> ProviderList:
    """Each provider, whether it is set up, and whether jobs wait for an account of ours there, and why."""
    async with services.service_sessions() as session:
        known = [AccountView.from_row(row) for row in await accounts(session)]
    data = []
    for provider in ProviderName:
        ours = [account for account in known if account.provider == provider]
        is_parked = any(account.parked_since for account in ours)
        data.append(
            ProviderView(
                provider=provider, is_set_up=provider in services.settings.providers, is_parked=is_parked, accounts=ours
            )
        )
    return ProviderList(data=data)
