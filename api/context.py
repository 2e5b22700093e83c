"""What a route works with on behalf of its caller."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.language import RequestLanguage
from api.http.links import Links
from api.http.problems import Conflict
from api.identity.callers import Caller
from api.identity.dependencies import CurrentCaller
from api.services import OriginDep, Services, ServicesDep
from reelay.db.engine import as_user
from reelay.domain.language import Language
from reelay.domain.messages import Sentence

FOREIGN_KEY_VIOLATION = "23503"
"""As an SQLSTATE."""


@dataclass(frozen=True)
class RequestContext:
    services: Services
    caller: Caller
    user_id: UUID
    """Whose rows it works with: the caller's, but where an administrator has opened another user's job."""
    links: Links
    language: Language

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction that shows this user's rows alone: `async with context.transaction() as session`.

        Raises: Conflict, when another call deletes meanwhile what its rows refer to.
        """
        with deleted_meanwhile():
            async with as_user(self.services.sessions, self.user_id) as session:
                yield session


@contextmanager
def deleted_meanwhile() -> Iterator[None]:
    """Around a transaction. Raises: Conflict, when another one has deleted what its rows refer to."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != FOREIGN_KEY_VIOLATION:
            raise
        raise Conflict(Sentence("deleted_meanwhile")) from error


async def _context(
    services: ServicesDep, caller: CurrentCaller, origin: OriginDep, language: RequestLanguage
) -> RequestContext:
    links = Links(origin, services.signing_secret, caller.holder)
    return RequestContext(services, caller, caller.user_id, links, language)


Context = Annotated[RequestContext, Depends(_context)]
