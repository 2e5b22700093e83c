"""Who may read media: the caller by header, or the caller's browser by a cookie that opens nothing else."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response, Security, status
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependency import dependency
from api.identity.dependencies import TheCaller, bearer, find_caller
from api.problems import Unauthenticated
from api.services import Services, TheServices
from db.engine import as_user
from domain.media_session import LIFETIME, make_media_session, read_media_session

COOKIE = "reelay_media"
PATH = "/api/media"

router = APIRouter(prefix=PATH, tags=["media"])
cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Of `POST /api/media/session`, for browsers.")


@router.post("/session", status_code=status.HTTP_204_NO_CONTENT)
async def open_media_session(response: Response, caller: TheCaller, services: TheServices) -> None:
    """Let this browser read the caller's media for 15 minutes, by a cookie that opens nothing else."""
    response.set_cookie(
        COOKIE,
        make_media_session(secret_of(services), caller.user_id),
        max_age=int(LIFETIME.total_seconds()),
        path=PATH,
        secure=not services.settings.is_development,
        httponly=True,
        samesite="strict",
    )


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT)
async def close_media_session(response: Response, _: TheCaller) -> None:
    """Make this browser forget it."""
    response.delete_cookie(COOKIE, path=PATH)


async def _reader(
    services: TheServices,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    session: Annotated[str | None, Security(cookie)],
) -> UUID:
    if credentials is None and session is not None:
        user_id = read_media_session(secret_of(services), session)
        if user_id is None:
            raise Unauthenticated("The media session has expired: `POST /api/media/session` opens a new one.")
        return user_id
    return (await find_caller(services, credentials)).user_id


class ReadersRows:
    """Opens transactions as whoever reads media: `async with rows() as session`."""

    def __init__(self, services: TheServices, user_id: Annotated[UUID, Depends(_reader)]) -> None:
        self._sessions = services.sessions
        self._user_id = user_id

    def __call__(self) -> AbstractAsyncContextManager[AsyncSession]:
        return as_user(self._sessions, self._user_id)


MediaRows = Annotated[ReadersRows, dependency(ReadersRows)]


def secret_of(services: Services) -> bytes:
    return services.settings.api_key_pepper.get_secret_value().encode()
