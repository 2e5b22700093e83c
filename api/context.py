"""What a route works with on behalf of its caller."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.language import RequestLanguage
from api.http.links import Links
from api.identity.callers import Caller
from api.identity.dependencies import CurrentCaller
from api.services import OriginDep, Services, ServicesDep
from reelay.db.engine import as_user
from reelay.domain.language import Language


@dataclass(frozen=True)
class RequestContext:
    services: Services
    caller: Caller
    user_id: UUID
    """Whose rows it works with: the caller's, but where an administrator has opened another user's job."""
    links: Links
    language: Language

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction that shows this user's rows alone: `async with context.transaction() as session`."""
        return as_user(self.services.sessions, self.user_id)


async def _context(
    services: ServicesDep, caller: CurrentCaller, origin: OriginDep, language: RequestLanguage
) -> RequestContext:
    links = Links(origin, services.signing_secret, caller.holder)
    return RequestContext(services, caller, caller.user_id, links, language)


Context = Annotated[RequestContext, Depends(_context)]
