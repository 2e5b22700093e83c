"""One read for all streams that want the same at the same moment: a change wakes every stream of its user at once."""

from uuid import UUID

from async_lru import alru_cache

from reelay.db.changes import Batch, change_of_generation, changes_of_user, snapshot_of_user
from reelay.db.engine import Sessions, as_user

shared = alru_cache(maxsize=None, ttl=0)
"""Callers with the same arguments share the call that is under way. One that has ended is not kept."""


class SharedReads:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.change_of_generation = shared(self._change_of_generation)
        self.changes_of_user = shared(self._changes_of_user)

    async def _change_of_generation(self, user_id: UUID, generation_id: UUID, after: int, _notified: int) -> Batch:
        """`_notified`: how many changes the reader was told of. Who knows of more must not share an earlier read."""
        async with as_user(self._sessions, user_id) as session:
            return await change_of_generation(session, user_id, generation_id, after=after)

    async def _changes_of_user(self, user_id: UUID, after: int, upto: int) -> Batch:
        """Since 0: what there is."""
        async with as_user(self._sessions, user_id) as session:
            if after == 0:
                return await snapshot_of_user(session, user_id, upto=upto)
            return await changes_of_user(session, user_id, after=after, upto=upto)
