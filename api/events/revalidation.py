"""Whether what opened the event streams is still accepted: asked for all of them at once."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from api.identity.callers import Callers, Credential
from reelay.background import TaskSupervisor, every

REVALIDATE_SECONDS = 2.0


class Revalidation:
    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._streams: defaultdict[Credential, set[Callable[[], None]]] = defaultdict(set)

    @contextmanager
    def of_stream(self, credential: Credential, end: Callable[[], None]) -> Iterator[None]:
        """`end` is called once the credential is no longer accepted."""
        self._streams[credential].add(end)
        try:
            yield
        finally:
            self._streams[credential].discard(end)
            if not self._streams[credential]:
                del self._streams[credential]

    async def revalidate(self) -> None:
        if not self._streams:
            return
        for credential in await self._callers.refused(list(self._streams)):
            for end in tuple(self._streams.get(credential, ())):
                end()


@asynccontextmanager
async def revalidating(tasks: TaskSupervisor, callers: Callers) -> AsyncIterator[Revalidation]:
    revalidation = Revalidation(callers)
    async with tasks.running("stream_revalidation", every(REVALIDATE_SECONDS, revalidation.revalidate)):
        yield revalidation
