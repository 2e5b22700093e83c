"""Turns at providers whose account runs only so many requests at once: who waits is called when its turn has come."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.background import Succeeded
from reelay.db.engine import Sessions, one_statement
from reelay.db.slots import call_again, grant_slots, holds_slot, providers_waited_for, read_slot_limits
from reelay.domain.generation import Generation, ProviderName
from reelay.domain.turns import SlotLimits

SWEEP_EVERY = 2.0
"""Seconds until a limit that was changed is known, and a turn that nobody gave is found."""
UNANSWERED_FOR = timedelta(seconds=10)
"""After this a job that has a slot and did not use it is called again."""

log = structlog.get_logger()


class Runs(Protocol):
    """The runs of generations, as far as their turns need them."""

    async def call_turn(self, generation_id: UUID) -> bool:
        """Tell the run that its turn has come. False when that could not be told."""


class Slots:
    """What a worker knows of the slots. Without limits it knows that, and asks nobody."""

    def __init__(self, sessions: Sessions, runs: Runs, defaults: Mapping[ProviderName, int | None]) -> None:
        """`defaults`: the limits of the settings, where none was set while running."""
        self._sessions = sessions
        self._runs = runs
        self._defaults = defaults
        self._limits: dict[ProviderName, SlotLimits] = {}
        """Empty until they were read."""
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def arriving(self, generation: Generation) -> AsyncIterator[tuple[AsyncSession, bool]]:
        """For what opens its attempt, and whether the generation has a slot, or needs none. A transaction where there
        are limits; elsewhere each statement is one."""
        if not self._limits:
            async with one_statement(self._sessions) as session:
                await self._read_limits(session)
        limits, others = self._limits[generation.provider], list[UUID]()
        if not limits:
            async with one_statement(self._sessions) as session:
                yield session, True
            return
        async with self._sessions.begin() as session:
            has_slot = await holds_slot(session, generation.id)
            if not has_slot:
                granted = await grant_slots(session, generation.provider, limits, arriving=generation.id)
                has_slot, others = generation.id in granted, [job for job in granted if job != generation.id]
            yield session, has_slot
        await self.call(others)

    async def call(self, jobs: Sequence[UUID]) -> None:
        """After the commit that gave them a slot. Whom this misses, the sweep calls."""
        for job in jobs:
            if not await self._runs.call_turn(job):
                log.warning("turn_not_called", job_id=str(job))

    def free(self, provider: ProviderName) -> None:
        """A job has ended at the provider: the next one's turn is given in the background, at once."""
        if self._limits.get(provider):
            self._freed.set()

    async def keep(self, succeeded: Succeeded) -> None:
        """Background work: gives the turns, learns of changed limits, and finds calls that were lost."""
        while True:
            self._freed.clear()
            await self._give_turns()
            succeeded()
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY):
                    await self._freed.wait()

    async def _read_limits(self, session: AsyncSession) -> None:
        self._limits = await read_slot_limits(session, self._defaults)

    async def _give_turns(self) -> None:
        async with self._sessions.begin() as session:
            await self._read_limits(session)
            waited_for = await providers_waited_for(session)
            unanswered = await call_again(session, unanswered_for=UNANSWERED_FOR) if waited_for else ()
        await self.call(unanswered)
        for provider in waited_for:
            async with self._sessions.begin() as session:
                granted = await grant_slots(session, provider, self._limits[provider])
            await self.call(granted)
