"""One question for all who want to know the same within a moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

REMEMBERED = 10_000

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class SharedAnswers(Generic[Key, Answer]):
    def __init__(self, *, fresh_seconds: float) -> None:
        """`fresh_seconds`: counted from the question; who comes later asks again."""
        self._fresh_seconds = fresh_seconds
        self._asked: OrderedDict[Key, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def of(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer to the key's last question, while that is fresh, else to a new one."""
        asked_at, asking = self._asked.get(key, (0.0, None))
        if asking is None or time.monotonic() - asked_at > self._fresh_seconds:
            asking = asyncio.create_task(ask())
            asking.add_done_callback(_heard)
            self._asked[key] = (time.monotonic(), asking)
            self._asked.move_to_end(key)
            if len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
        # Shielded: a reader that goes away must not take the answer from the others.
        return await asyncio.shield(asking)


def _heard(asking: asyncio.Task[Any]) -> None:
    """A failure that nobody waits for any more is none: asyncio would log it as never retrieved."""
    if not asking.cancelled():
        asking.exception()
