"""Learns how many requests a provider runs at once, where its limit is `auto`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from reelay.db.attempts import submission_of
from reelay.db.engine import Sessions
from reelay.db.slots import Window, change_learned_limit, learned_limits, newest_at, read_slot_limits, slot_use
from reelay.db.tables import LearnedLimit, SubmissionAttempt
from reelay.domain.generation import ProviderName, ProviderState
from reelay.domain.learned_limit import FIRST_SLOTS, USUAL_QUEUE, Learned, Lesson, Observation, learn
from reelay.providers.errors import ProviderError
from reelay.providers.registry import Providers

LEARN_EVERY_SECONDS = 15.0
ASKED_AT_MOST = 3
"""Requests of which the provider is asked each time whether it has queued them."""

log = structlog.get_logger()


class SlotLearning:
    def __init__(
        self, sessions: Sessions, providers: Providers, defaults: Mapping[ProviderName, int | Learned | None]
    ) -> None:
        """`defaults`: the limits of the settings, where none was set while running."""
        self._sessions = sessions
        self._providers = providers
        self._defaults = defaults

    async def learn(self) -> None:
        """Background work. Where no limit is `auto`, one statement on a table of a few rows. Of several workers that
        learn the same at once, one writes it down."""
        async with self._sessions() as session:
            limits = await read_slot_limits(session, self._defaults)
        for provider, limit in limits.items():
            if limit.is_learned:
                await self._learn_of(provider)

    async def _learn_of(self, provider: ProviderName) -> None:
        async with self._sessions() as session:
            newest = next(iter(await learned_limits(session, provider, limit=1)), None)
        if newest is None:
            await self._write(provider, FIRST_SLOTS, Lesson.BEGUN, None)
            return
        async with self._sessions() as session:
            in_use, waiting = (await slot_use(session)).get(provider, (0, 0))
            window = Window(after=newest.at, for_at_least=USUAL_QUEUE, at_most=ASKED_AT_MOST)
            asked = await newest_at(session, provider, window)
        seen = Observation(
            slots=newest.slots,
            in_use=in_use,
            waiting=waiting,
            queued=await self._queued(provider, asked),
            unchanged_for=datetime.now(UTC) - newest.at,
        )
        if lesson := learn(seen):
            await self._write(provider, *lesson, newest)

    async def _queued(self, provider: ProviderName, asked: Sequence[SubmissionAttempt]) -> int:
        """Of those that were asked of, how many the provider has not begun."""
        queued = 0
        for attempt in asked:
            try:
                progress = await self._providers[provider].progress(submission_of(attempt))
            except ProviderError as error:
                log.warning("slot_learning_failed", provider=provider, error=str(error))
                continue
            queued += progress.state is ProviderState.QUEUED
        return queued

    async def _write(self, provider: ProviderName, slots: int, lesson: Lesson, after: LearnedLimit | None) -> None:
        async with self._sessions.begin() as session:
            changed = await change_learned_limit(session, provider, slots, lesson, after=after.id if after else None)
        if changed:
            log.info("limit_learned", provider=provider, slots=slots, lesson=lesson)
