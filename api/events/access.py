"""Who may read events: a caller as everywhere, or who has a token that a caller asked for."""

import time
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials

from api.http.problems import Unauthenticated
from api.identity.callers import Credential
from api.identity.dependencies import bearer, find_caller
from api.services import ServicesDep
from reelay.db.tables import Scope
from reelay.domain.access_pass import Holder, Purpose, read_token
from reelay.domain.messages import Sentence


@dataclass(frozen=True)
class EventReader:
    holder: Holder
    address: str
    scope: Scope
    """Of the key or token; one that was asked for to stand in an address opens its user's own jobs alone."""
    credential: Credential

    @property
    def user_id(self) -> UUID:
        return self.holder.user_id


async def _reader(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    token: Annotated[
        str | None,
        Query(max_length=500, description="The token of `POST /api/events/token`, for clients that send no header."),
    ] = None,
) -> EventReader:
    address = request.client.host if request.client else ""
    if credentials or token is None:
        caller = await find_caller(request, services, credentials)
        return EventReader(caller.holder, address, caller.scope, caller)
    access_pass = read_token(services.signing_secret, Purpose.EVENTS, token, now=time.time())
    holder = await services.callers.holder_of(access_pass) if access_pass else None
    if access_pass is None or holder is None:
        raise Unauthenticated(Sentence("event_token_unknown"))
    await services.limits.admit_request(holder.user_id)
    return EventReader(holder, address, Scope.USER, access_pass)


EventReaderDep = Annotated[EventReader, Depends(_reader)]
