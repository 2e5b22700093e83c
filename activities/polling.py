"""Polling the provider."""

from collections.abc import Collection, Sequence

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import still_running, try_again
from activities.inputs import Accepted
from activities.missing_key import missing_key_error
from reelay.db.attempts import mark_ended_by_poll
from reelay.db.engine import Sessions
from reelay.db.generations import advance_generation, record_progress, record_wait
from reelay.db.logs import append_log
from reelay.domain.generation import Generation, ProviderProgress, ProviderState, Stage, Status, WaitingFor
from reelay.domain.messages import Sentence
from reelay.domain.progress import measured_progress
from reelay.domain.provider_words import without_names
from reelay.providers.errors import ProviderError, ProviderNotConfigured, ResultExpired, Unavailable
from reelay.providers.registry import Providers

# A status never goes back: what a provider says of its queue may be older than what it said of the work.
NOT_AT_WORK = "status <> 'in_progress'"


class PollingActivities:
    def __init__(self, sessions: Sessions, providers: Providers, account_names: Collection[str] = ()) -> None:
        """`account_names`: what providers call our accounts; not for users."""
        self._sessions = sessions
        self._providers = providers
        self._account_names = account_names

    @activity.defn
    async def poll(self, accepted: Accepted) -> None:
        """Returns once the provider has ended its work. Until then it fails, and its retries are the polling."""
        generation = accepted.generation
        try:
            progress = await self._providers[generation.provider].progress(accepted.submission, logs=True)
        except ResultExpired:
            return  # whatever is left of it, fetching the result will tell
        except ProviderNotConfigured as missing:
            raise await missing_key_error(self._sessions, generation, missing, is_poll=True) from missing
        except ProviderError as error:
            raise await self._poll_failed(generation, error) from error
        if progress.logs:
            await self._append_log(generation, progress.logs)
        if progress.state is ProviderState.ENDED:
            return await self._record_end_found_by_poll(accepted)
        if not generation.provider.reports_by_push:
            await self._record_progress(generation, progress)
        raise still_running(_progress_message(generation, progress), ask_again_in=generation.timing.poll_interval)

    async def _record_progress(self, generation: Generation, progress: ProviderProgress) -> None:
        queued = progress.state is ProviderState.QUEUED
        async with self._sessions.begin() as session:
            await advance_generation(
                session,
                generation.id,
                status=Status.SUBMITTED if queued else Status.IN_PROGRESS,
                stage=Stage.QUEUED if queued else Stage.GENERATING,
                detail=_progress_message(generation, progress),
                provider=generation.provider,
                only_if=NOT_AT_WORK if queued else "",
                waiting_for=WaitingFor.QUEUE if queued else None,
                queue_position=progress.queue_position if queued else None,
                polled=generation,
            )
            if progress.percent is not None and not queued:
                percent = measured_progress(progress.percent)
                await record_progress(session, generation.id, percent, polled=generation)

    async def _poll_failed(self, generation: Generation, error: ProviderError) -> ApplicationError:
        """The caller sees why there is no progress."""
        if not generation.provider.reports_by_push:
            async with self._sessions.begin() as session:
                await record_wait(session, generation, WaitingFor.PROVIDER, f"Waiting: {error}", is_poll=True)
        return try_again(error, after=error.retry_after if isinstance(error, Unavailable) else None)

    async def _record_end_found_by_poll(self, accepted: Accepted) -> None:
        """Should the webhook be on its way, it comes too late."""
        if accepted.submission.webhook_expected:
            async with self._sessions.begin() as session:
                await mark_ended_by_poll(session, accepted.generation.id, accepted.submission.attempt)

    async def _append_log(self, generation: Generation, lines: Sequence[str]) -> None:
        async with self._sessions.begin() as session:
            shown = [without_names(line, generation.arguments, hidden=self._account_names) for line in lines]
            await append_log(session, generation.user_id, generation.id, shown)


def _progress_message(generation: Generation, progress: ProviderProgress) -> str:
    if progress.state is not ProviderState.QUEUED:
        return f"Generating at {generation.provider}"
    if progress.queue_position is None:
        return Sentence("stage_queued", provider=generation.provider)
    return Sentence("queued_behind", provider=generation.provider, ahead=progress.queue_position)
