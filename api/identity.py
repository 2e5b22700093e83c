"""The caller of a request, and the transaction that shows only the caller's rows."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from api.problems import Unauthenticated
from api.services import TheServices
from db.engine import as_user
from db.tables import Scope

bearer = HTTPBearer(auto_error=False, description="An API key: `reelay keys create <user>`")


@dataclass(frozen=True)
class Caller:
    user_id: UUID
    scope: Scope


async def authenticated(
    services: TheServices, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
    """Raises: Unauthenticated."""
    if credentials is None:
        raise Unauthenticated("Send `Authorization: Bearer <API key>`.")
    owner = await services.keys.owner_of(credentials.credentials)
    if owner is None:
        raise Unauthenticated("This API key is unknown, expired or revoked.")
    return Caller(*owner)


TheCaller = Annotated[Caller, Depends(authenticated)]


class CallersRows:
    """Opens transactions as the caller: `async with rows() as session`."""

    def __init__(self, services: TheServices, caller: TheCaller) -> None:
        self._sessions = services.sessions
        self._caller = caller

    def __call__(self) -> AbstractAsyncContextManager[AsyncSession]:
        return as_user(self._sessions, self._caller.user_id)


Rows = Annotated[CallersRows, Depends(CallersRows)]
