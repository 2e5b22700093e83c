"""How many event streams one user, and one address, may hold open in a process: each costs memory and reads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from api.http.problems import RateLimited
from reelay.domain.messages import Sentence
from reelay.settings import Settings

RETRY_AFTER_SECONDS = 5


class OpenStreams:
    def __init__(self, settings: Settings) -> None:
        self._per_user = settings.event_streams_per_user
        self._per_address = settings.event_streams_per_address
        self._open: Counter[UUID | str] = Counter()
        """By user, and by address."""

    def admit(self, user_id: UUID, address: str) -> None:
        """Raises: RateLimited."""
        for key, limit in ((user_id, self._per_user), (address, self._per_address)):
            if limit and self._open[key] >= limit:
                raise RateLimited(
                    Sentence("too_many_streams", most=limit),
                    {
                        "retry-after": str(RETRY_AFTER_SECONDS),
                        "ratelimit-policy": f'"streams";q={limit};qu="concurrent-requests"',
                        "ratelimit": '"streams";r=0',
                    },
                )

    @contextmanager
    def counted(self, user_id: UUID, address: str) -> Iterator[None]:
        """While the block runs, one is open."""
        self._open.update((user_id, address))
        try:
            yield
        finally:
            self._open.subtract((user_id, address))
            self._open += Counter()  # without those that are at zero
