"""The ends of a generation. Each is one transaction, guarded by the state before it."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import try_again
from activities.inputs import Accepted, Completion, Ending, Fallback, Lead
from activities.slots import Slots
from reelay.db.clips import clip_update
from reelay.db.engine import Sessions, one_statement
from reelay.db.generations import cancel_generation, complete_generation, fail_generation, fall_back
from reelay.db.hedges import Stopped, lead, tell_stop
from reelay.db.pushes import metadata_of
from reelay.db.tables import MediaFileRow
from reelay.domain.failure import Failure
from reelay.domain.generation import Archived, Generation, MediaFile, ProviderName, media_address
from reelay.domain.language import Language
from reelay.domain.money import Charge
from reelay.domain.provider_words import told_to_user
from reelay.providers.errors import GenerationFailed, ProviderError, ResultExpired, StillRunning
from reelay.providers.provider import CancelAnswer
from reelay.providers.registry import Providers
from reelay.providers.studio_push import PHASES

log = structlog.get_logger()


class ConclusionActivities:
    def __init__(
        self,
        sessions: Sessions,
        providers: Providers,
        language: Language,
        slots: Slots,
        account_names: Collection[str] = (),
    ) -> None:
        """`language`: of what a pushing provider's jobs are said to have come to. `account_names`: what providers call
        our accounts; not for users."""
        self._account_names = account_names
        self._sessions = sessions
        self._providers = providers
        self._language = language
        self._slots = slots

    @activity.defn
    async def complete(self, completion: Completion) -> None:
        """Job row, media files, clip, credits and event, all or nothing. Twice is once."""
        generation, files = completion.generation, completion.archived.files
        url = media_address(generation.id, files[0].name) if files else None
        is_film = generation.provider is ProviderName.REELAY
        async with one_statement(self._sessions) as session:
            # Read here: passed by the workflow, it would be in the history once for each file.
            metadata = await metadata_of(session, generation.id) if generation.provider.reports_by_push else {}
            await complete_generation(
                session,
                generation.id,
                files=[_row(generation, file, position, metadata) for position, file in enumerate(files)],
                result_url=url,
                charge=_charge(generation, completion.archived),
                overtaken_cents=completion.overtaken_cents,
                clip=clip_update(generation.job_type, url, is_film=is_film) if url else None,
                message=self._message(generation, "completed"),
            )
        self._slots.free(generation.provider)

    @activity.defn
    async def withdraw(self, accepted: Accepted) -> CancelAnswer:
        """Ask the provider to stop working on a request that nobody waits for any more."""
        try:
            return await self._providers[accepted.generation.provider].cancel(accepted.submission)
        except ProviderError as error:
            raise try_again(error) from error

    @activity.defn
    async def stop(self, overtaken: Accepted) -> int:
        """Ask the provider to stop working on a request that another model overtook. What its user pays for it all the
        same, in cents: nothing, unless it has ended with what was asked for."""
        generation, provider = overtaken.generation, self._providers[overtaken.generation.provider]
        try:
            answer = await provider.cancel(overtaken.submission)
            ended = answer is CancelAnswer.TOO_LATE
            charge = await self._charge_for_overtaken(overtaken) if ended else Charge(cost_cents=0, charged_cents=0)
        except ProviderError as error:
            raise try_again(error) from error
        stopped = Stopped(answer, charge.cost_cents, charge.charged_cents)
        log.info(
            "request_overtaken",
            job_id=str(generation.id),
            model=generation.model,
            provider=generation.provider,
            request_id=overtaken.submission.request_id,
            answer=answer,
            cost_cents=charge.cost_cents,
        )
        async with self._sessions.begin() as session:
            await tell_stop(session, generation, stopped)
        return charge.charged_cents

    async def _charge_for_overtaken(self, overtaken: Accepted) -> Charge:
        """Raises: ProviderError."""
        generation = overtaken.generation
        try:
            result = await self._providers[generation.provider].result(overtaken.submission)
        except (GenerationFailed, ResultExpired, StillRunning):
            return Charge(cost_cents=0, charged_cents=0)
        if generation.needs_media and not result.media:
            return Charge(cost_cents=0, charged_cents=0)
        return generation.charge_for(result)

    @activity.defn
    async def lead(self, change: Lead) -> None:
        """From now on the row is that of one of two models at work. Twice is once."""
        charge = _charge(change.other, change.refused) if change.refused else None
        async with self._sessions.begin() as session:
            await lead(session, change.generation, change.submission, change.other, change.failure, charge)
        if change.failure:
            self._slots.free(change.other.provider)

    @activity.defn
    async def end(self, ending: Ending) -> None:
        """Failed or canceled; what was held is released, but for what a result costs that is not kept."""
        generation, refused = ending.generation, ending.refused
        charge = _charge(generation, refused) if refused else None
        async with one_statement(self._sessions) as session:
            if ending.failure is None:
                await cancel_generation(session, generation.id, "Canceled")
            else:
                await self._fail(session, generation, ending.failure, charge, ending.beside_cents)
        self._slots.free(generation.provider)

    @activity.defn
    async def fall_back(self, fallback: Fallback) -> None:
        """From now on the row is that of the next fallback. Twice is once."""
        generation, failure = fallback.generation, fallback.failure
        async with self._sessions.begin() as session:
            fell_back = await fall_back(session, generation, fallback.attempts, failure)
        if fell_back:
            log.warning(
                "generation_fell_back",
                job_id=str(generation.id),
                model=generation.model,
                provider=generation.provider,
                error_code=failure.code,
                to_model=generation.fallbacks[0].model,
                to_provider=generation.fallbacks[0].provider,
            )
        self._slots.free(generation.provider)

    async def _fail(
        self,
        session: AsyncSession,
        generation: Generation,
        failure: Failure,
        charge: Charge | None,
        beside_cents: int,
    ) -> None:
        reason = told_to_user(failure, generation.arguments, hidden=self._account_names)
        message = self._message(generation, "failed")
        await fail_generation(
            session,
            generation.id,
            failure,
            reason=reason,
            message=message,
            charge=charge,
            beside_cents=beside_cents,
        )

    def _message(self, generation: Generation, word: str) -> str | None:
        """The studio backend's own message for that end; other providers have none."""
        return PHASES[word].message(self._language) if generation.provider.reports_by_push else None


def _charge(generation: Generation, archived: Archived) -> Charge:
    charge = generation.charge_for(archived)
    if charge.overrun_cents or charge.doubt:
        log.warning(
            "billed_units_unusable",
            job_id=str(generation.id),
            overrun_cents=charge.overrun_cents,
            doubt=charge.doubt,
        )
    return charge


def _row(generation: Generation, file: MediaFile, position: int, metadata: dict[str, Any]) -> MediaFileRow:
    return MediaFileRow(
        user_id=generation.user_id,
        job_id=generation.id,
        name=file.name,
        position=position,
        file_path=file.key,
        format=file.content_type,
        file_size=file.size_bytes,
        sha256=file.sha256,
        duration_seconds=file.duration_seconds,
        width=file.width,
        height=file.height,
        aspect_ratio=file.aspect_ratio,
        poster_name=file.poster_name,
        poster_path=file.poster_key,
        file_name=file.file_name,
        flagged=file.flagged,
        provenance=asdict(file.provenance) if file.provenance else None,
        metadata_=metadata,
    )
