"""Who may read events: a caller as everywhere, or who has a token that a caller asked for."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials

from api.http.problems import Unauthenticated
from api.identity.dependencies import bearer, find_caller
from api.identity.tokens import InvalidToken
from api.services import ServicesDep
from reelay.domain.event_token import read_event_token
from reelay.domain.messages import Sentence
from reelay.providers.errors import KeysUnavailable

REVALIDATE_SECONDS = 2.0


@dataclass(frozen=True)
class EventReader:
    user_id: UUID
    _revalidate: Callable[[], Awaitable[bool]]

    async def is_still_valid(self) -> bool:
        """Whether what opened the stream is still accepted. Streams ask every `REVALIDATE_SECONDS`."""
        try:
            return await self._revalidate()
        except InvalidToken:
            return False
        except KeysUnavailable:
            return True


async def _reader(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    token: Annotated[
        str | None,
        Query(max_length=500, description="The token of `POST /api/events/token`, for clients that send no header."),
    ] = None,
) -> EventReader:
    if credentials or token is None:
        caller = await find_caller(request, services, credentials)
        return EventReader(caller.user_id, lambda: services.callers.is_still_valid(caller))
    event_pass = read_event_token(services.signing_secret, token, now=time.time())
    if event_pass is None or not await services.callers.is_pass_valid(event_pass):
        raise Unauthenticated(Sentence("event_token_unknown"))
    await services.limits.admit_request(event_pass.user_id)
    return EventReader(event_pass.user_id, lambda: services.callers.is_pass_valid(event_pass))


EventReaderDep = Annotated[EventReader, Depends(_reader)]
