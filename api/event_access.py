"""Who may read events: the owner of an API key, by header, or by a token that was asked for with it."""

import time
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Security
from fastapi.security import HTTPAuthorizationCredentials

from api.identity import bearer
from api.problems import Unauthenticated
from api.services import Services, TheServices
from db.engine import POSTGRES_AWAY
from domain.event_token import read_event_token

LOOK_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class EventReader:
    user_id: UUID
    _key_hash: bytes
    _services: Services

    async def is_still_let_in(self) -> bool:
        """Whether what opened the stream would open it now. Streams ask every `LOOK_AGAIN_SECONDS`."""
        try:
            return await self._services.keys.owner_by_hash(self._key_hash) is not None
        except POSTGRES_AWAY:
            return True  # nobody can be asked, and nothing new be read either


async def _reader(
    services: TheServices,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    token: Annotated[
        str | None, Query(max_length=500, description="Of `POST /api/events/token`, where no header can be sent.")
    ] = None,
) -> EventReader:
    if credentials:
        key_hash = services.keys.hash(credentials.credentials)
    else:
        key_hash = read_event_token(services.keys.secret, token or "", now=time.time()) or b""
    owner = await services.keys.owner_by_hash(key_hash) if key_hash else None
    if owner is None:
        raise Unauthenticated("Send `Authorization: Bearer <API key>`, or `?token=` of `POST /api/events/token`.")
    return EventReader(owner[0], key_hash, services)


TheEventReader = Annotated[EventReader, Depends(_reader)]
