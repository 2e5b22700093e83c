"""The final pushes of providers that cannot be polled, as Postgres keeps them."""

from uuid import UUID

from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.pushes import final_push_of
from reelay.providers.errors import Unavailable


class StoredFinalPushes:
    """Implements `providers.provider.FinalPushes`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def get(self, generation_id: UUID) -> bytes | None:
        try:
            async with self._sessions() as session:
                return await final_push_of(session, generation_id)
        except POSTGRES_UNAVAILABLE as error:
            raise Unavailable(f"what was pushed cannot be read ({type(error).__name__})") from error
