"""The caller of a request, and the transaction that shows only the caller's rows."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependency import dependency
from api.identity.callers import Caller
from api.identity.tokens import InvalidToken
from api.problems import Forbidden, ServiceUnavailable, Unauthenticated
from api.services import Services, TheServices
from db.engine import as_user
from db.tables import Scope
from providers.errors import KeysUnavailable

bearer = HTTPBearer(
    auto_error=False, description="An API key (`reelay keys create <user>`), or a token of the identity provider."
)


async def find_caller(
    services: TheServices, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
    """Raises: Unauthenticated, ServiceUnavailable, and what the limits raise."""
    if credentials is None:
        raise Unauthenticated("Send `Authorization: Bearer <API key or token>`.")
    try:
        caller = await services.callers.named_by(credentials.credentials)
    except InvalidToken as invalid:
        raise Unauthenticated(str(invalid)) from invalid
    except KeysUnavailable as unavailable:
        raise ServiceUnavailable("Tokens cannot be verified at the moment. Try again shortly.") from unavailable
    if caller is None:
        raise Unauthenticated("This API key is unknown, expired or revoked.")
    await services.limits.admit_request(caller.user_id)
    return caller


TheCaller = Annotated[Caller, Depends(find_caller)]


async def let_in_again(services: Services, caller: Caller) -> None:
    """After a wait, before anything is told. Raises: Unauthenticated when the caller's key or token ended meanwhile."""
    try:
        still = await services.callers.is_still(caller)
    except InvalidToken as invalid:
        raise Unauthenticated(str(invalid)) from invalid
    except KeysUnavailable:  # it was good when the wait began
        return
    if not still:
        raise Unauthenticated("This API key is unknown, expired or revoked.")


async def require_admin(caller: TheCaller) -> Caller:
    if caller.scope is not Scope.ADMIN:
        raise Forbidden("This takes a key of the scope `admin`.")
    return caller


TheAdmin = Annotated[Caller, Depends(require_admin)]


class CallersRows:
    """Opens transactions as the caller: `async with rows() as session`."""

    def __init__(self, services: TheServices, caller: TheCaller) -> None:
        self._sessions = services.sessions
        self._caller = caller

    def __call__(self) -> AbstractAsyncContextManager[AsyncSession]:
        return as_user(self._sessions, self._caller.user_id)


Rows = Annotated[CallersRows, dependency(CallersRows)]
