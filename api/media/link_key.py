"""The key by which Postgres makes links to media, for those who read its tables: the API is who takes such links."""

from contextlib import AbstractAsyncContextManager

from reelay.background import TaskSupervisor, every
from reelay.db.engine import Sessions
from reelay.db.media_links import store_media_link_key

STORE_EVERY_SECONDS = 3600.0
"""A database that was restored from before the key's change gets it back."""


def storing_link_key(
    tasks: TaskSupervisor, sessions: Sessions, *, origin: str, secret: bytes
) -> AbstractAsyncContextManager[None]:
    """While the block runs, Postgres has the key for links at that origin."""

    async def store() -> None:
        async with sessions.begin() as session:
            await store_media_link_key(session, origin=origin, secret=secret)

    return tasks.running("media_link_key", every(STORE_EVERY_SECONDS, store))
