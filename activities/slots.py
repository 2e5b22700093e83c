"""Turns at providers whose account runs only so many requests at once: who waits is called when its turn has come."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.background import Succeeded
from reelay.db.engine import Sessions, one_statement
from reelay.db.hedges import is_followed
from reelay.db.slots import (
    call_again,
    grant_slots,
    has_spare_slot,
    holds_slot,
    providers_waited_for,
    read_slot_limits,
)
from reelay.domain.generation import Generation, ProviderName
from reelay.domain.learned_limit import Learned
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


class Arrival(StrEnum):
    """What becomes of a submission that has arrived where there may be a limit."""

    HAS_SLOT = "has_slot"
    WAITS = "waits"
    ASKS_AGAIN = "asks_again"
    """It does not stand in line: it would be a second model's beside the job's own."""


class Slots:
    """What a worker knows of the slots. Without limits it knows that, and asks nobody."""

    def __init__(self, sessions: Sessions, runs: Runs, defaults: Mapping[ProviderName, int | Learned | None]) -> None:
        """`defaults`: the limits of the settings, where none was set while running."""
        self._sessions = sessions
        self._runs = runs
        self._defaults = defaults
        self._limits: dict[ProviderName, SlotLimits] = {}
        """Empty until they were read."""
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def arriving(self, generation: Generation) -> AsyncIterator[tuple[AsyncSession, Arrival]]:
        """For what opens its attempt, and whether the generation has a slot; where it needs none, it has one. A
        transaction where there are limits; elsewhere each statement is one."""
        if not self._limits:
            async with one_statement(self._sessions) as session:
                await self._read_limits(session)
        limits = self._limits[generation.provider]
        if not limits:
            async with one_statement(self._sessions) as session:
                yield session, Arrival.HAS_SLOT
            return
        async with self._sessions.begin() as session:
            arrival, others = await self._arrive(session, generation, limits)
            yield session, arrival
        await self.call(others)

    async def _arrive(
        self, session: AsyncSession, generation: Generation, limits: SlotLimits
    ) -> tuple[Arrival, Sequence[UUID]]:
        """Also jobs that were given a slot at the same time."""
        if generation.hedge_after and not await is_followed(session, generation):
            is_spare = await has_spare_slot(session, generation, limits)
            return Arrival.HAS_SLOT if is_spare else Arrival.ASKS_AGAIN, ()
        if await holds_slot(session, generation.id):
            return Arrival.HAS_SLOT, ()
        granted = await grant_slots(session, generation.provider, limits, arriving=generation.id)
        arrival = Arrival.HAS_SLOT if generation.id in granted else Arrival.WAITS
        return arrival, [job for job in granted if job != generation.id]

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
