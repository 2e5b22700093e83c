"""One read for all streams that want the same at the same moment: a change wakes every stream of its user at once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

from reelay.db.changes import Batch


class SharedReads:
    """Nothing is kept: a read that has ended is shared no more."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Batch]] = {}

    async def of(self, what: Hashable, read: Callable[[], Coroutine[Any, Any, Batch]]) -> Batch:
        """The result of the read that is under way for the same, else of a new one.

        `what` names whose rows are read, and how far news had come: who has heard more must not share an earlier read.
        """
        reading = self._under_way.get(what)
        if reading is None:
            reading = self._under_way[what] = asyncio.create_task(read())
            reading.add_done_callback(partial(self._ended, what))
        # Shielded: a reader that goes away must not take the read from the others.
        return await asyncio.shield(reading)

    def _ended(self, what: Hashable, reading: asyncio.Task[Batch]) -> None:
        del self._under_way[what]
        if not reading.cancelled():
            reading.exception()  # retrieved: all who wanted it may have gone
