"""What a provider printed about a request, read from the provider when a caller asks for it."""

import asyncio
from uuid import UUID

import structlog
from async_lru import alru_cache
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.attempts import attempt_of, submission_of
from reelay.db.engine import Sessions, as_user
from reelay.db.generations import find_generation
from reelay.db.logs import append_log, read_log
from reelay.db.tables import AttemptState, GenerationJob, SubmissionAttempt
from reelay.domain.generation import ProviderName, Status, Submission
from reelay.providers.errors import ProviderError
from reelay.providers.registry import Providers

# Readers of one job share one answer of the provider for this long.
FRESH_SECONDS = 3.0
LOGS_KEPT = 1_000

log = structlog.get_logger()


class NoFinalPushes:
    """Implements `providers.provider.FinalPushes` for who asks for logs alone: what is pushed has none."""

    async def get(self, generation_id: UUID) -> bytes | None:
        return None


class QueueLogs:
    """The log lines of requests: those stored, and those that the provider shows now."""

    def __init__(self, providers: Providers, sessions: Sessions, *, timeout: float) -> None:
        """`timeout`: seconds that a provider has to answer."""
        self._providers = providers
        self._timeout = timeout
        self._sessions = sessions
        self._lines = alru_cache(maxsize=LOGS_KEPT, ttl=FRESH_SECONDS)(self._read)

    async def lines(self, user_id: UUID, generation_id: UUID, status: Status) -> list[str]:
        """The lines of the user's job, at most a few seconds old and not from before this status.

        Of a provider that does not answer: what it printed before.
        """
        return await self._lines(user_id, generation_id, status)

    async def _read(self, user_id: UUID, generation_id: UUID, _: Status) -> list[str]:
        async with as_user(self._sessions, user_id) as session:
            job = await find_generation(session, user_id, generation_id)
            submission = await _submission_of(session, job) if job else None
            kept = await read_log(session, user_id, generation_id)
        if job is None or submission is None:
            return kept
        lines = await self._ask(ProviderName(job.provider), submission)
        if not lines:
            return kept
        async with as_user(self._sessions, user_id) as session:
            return await append_log(session, generation_id, lines)

    async def _ask(self, name: ProviderName, submission: Submission) -> tuple[str, ...]:
        provider = self._providers.get(name)
        if provider is None:
            return ()
        try:
            async with asyncio.timeout(self._timeout):
                return (await provider.progress(submission, logs=True)).logs
        except (ProviderError, TimeoutError) as trouble:
            log.info("provider_log_unavailable", provider=name, error=str(trouble))
            return ()


async def _submission_of(session: AsyncSession, job: GenerationJob) -> Submission | None:
    if not job.attempts:
        return None
    attempt: SubmissionAttempt = await attempt_of(session, job.id, job.attempts)
    return submission_of(attempt) if attempt.state == AttemptState.ACCEPTED else None
