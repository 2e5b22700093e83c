"""The caller of a request, and the transaction that shows only the caller's rows."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Annotated, TypeVar

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from api.callers import Caller
from api.problems import Forbidden, ServiceUnavailable, Unauthenticated
from api.services import TheServices
from api.tokens import InvalidToken
from db.engine import as_user
from db.tables import Scope
from providers.errors import KeysUnavailable

bearer = HTTPBearer(
    auto_error=False, description="An API key (`reelay keys create <user>`), or a token of the identity provider."
)

# How long an open stream outlives its caller's key at most, beside the moment for which callers are remembered.
RECHECK_SECONDS = 2.0
T = TypeVar("T")


async def _caller(
    services: TheServices, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
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


TheCaller = Annotated[Caller, Depends(_caller)]


async def _admin(caller: TheCaller) -> Caller:
    if caller.scope is not Scope.ADMIN:
        raise Forbidden("This takes a key of the scope `admin`.")
    return caller


TheAdmin = Annotated[Caller, Depends(_admin)]


class Recheck:
    """Ends a stream within seconds of its caller's key being revoked or token expiring."""

    def __init__(self, services: TheServices, caller: TheCaller) -> None:
        self._callers = services.callers
        self._caller = caller

    async def guard(self, stream: AsyncGenerator[T, None]) -> AsyncIterator[T]:
        """What the stream yields, for as long as the caller would be let in."""
        async with aclosing(stream):
            while True:
                coming = asyncio.ensure_future(anext(stream, None))
                try:
                    if not await self._is_allowed(coming) or (item := coming.result()) is None:
                        return
                finally:
                    coming.cancel()
                    await asyncio.wait({coming})
                yield item

    async def _is_allowed(self, coming: asyncio.Future[T | None]) -> bool:
        """Waits for what is coming, and asks now and then whether it may still go out."""
        while await self._is_still_good():
            if (await asyncio.wait({coming}, timeout=RECHECK_SECONDS))[0]:
                return await self._is_still_good()
        return False

    async def _is_still_good(self) -> bool:
        try:
            return await self._callers.is_still(self._caller)
        except InvalidToken:
            return False
        except KeysUnavailable:
            return True


Rechecked = Annotated[Recheck, Depends(Recheck)]


class CallersRows:
    """Opens transactions as the caller: `async with rows() as session`."""

    def __init__(self, services: TheServices, caller: TheCaller) -> None:
        self._sessions = services.sessions
        self._caller = caller

    def __call__(self) -> AbstractAsyncContextManager[AsyncSession]:
        return as_user(self._sessions, self._caller.user_id)


Rows = Annotated[CallersRows, Depends(CallersRows)]
