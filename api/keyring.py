"""Who calls: API keys, looked up by their keyed hash and remembered for a moment."""

import time
from collections import OrderedDict
from uuid import UUID

from pydantic import SecretStr

from db.engine import Sessions
from db.keys import find_key_owner, hash_key
from db.tables import Scope

Owner = tuple[UUID, Scope]

# A revoked key works this much longer at most.
REMEMBERED_SECONDS = 2.0
REMEMBERED_KEYS = 10_000


class KeyRing:
    def __init__(self, sessions: Sessions, pepper: SecretStr) -> None:
        self._sessions = sessions
        self.secret = pepper.get_secret_value().encode()
        self._remembered: OrderedDict[bytes, tuple[float, Owner]] = OrderedDict()

    async def owner_of(self, key: str) -> Owner | None:
        """The key's user and scope; None for an unknown, expired or revoked key."""
        return await self.owner_by_hash(self.hash(key))

    def hash(self, key: str) -> bytes:
        return hash_key(key, self.secret)

    async def owner_by_hash(self, digest: bytes) -> Owner | None:
        until, owner = self._remembered.get(digest, (0.0, None))
        if owner is not None and time.monotonic() < until:
            return owner
        async with self._sessions() as session:
            owner = await find_key_owner(session, digest)
        self._remembered.pop(digest, None)
        if owner is not None:
            self._remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, owner)
            if len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)
        return owner
