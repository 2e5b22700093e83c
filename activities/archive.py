"""Archives the result: fetched with our key, copied into our own storage before the provider deletes it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Unpack

import structlog
from temporalio import activity

from activities.errors import LONGEST_PAUSE, non_retryable, try_again
from activities.heartbeat import Heartbeat, heartbeating
from activities.inputs import Ended
from activities.media_tries import MOST_TRIES, Tries, archive_error, unusable
from activities.missing_key import missing_key_error
from activities.progress import ByteProgress
from reelay.db.engine import Sessions, one_statement
from reelay.db.generations import Columns, advance_generation
from reelay.db.json import storable
from reelay.db.logs import append_log
from reelay.db.retries import record_retry
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import (
    Archived,
    Generation,
    JobType,
    MediaFile,
    ProviderName,
    RemoteMedia,
    Result,
    Stage,
    Status,
    Submission,
)
from reelay.domain.provider_words import without_names
from reelay.media.archive import PROMISED_KIND, archive_media, is_companion, media_prefix, media_stem
from reelay.media.decoder_pool import Inspect
from reelay.media.download import DATA_SCHEME, OnBytes, Source
from reelay.media.errors import BadMedia, MediaError, Refused, SourceGone, TooLarge
from reelay.media.inspection import Inspection
from reelay.media.sniff import MediaKind
from reelay.media.storage import Storage
from reelay.media.transcript import archive_transcript
from reelay.providers.errors import (
    GenerationFailed,
    ProviderError,
    ProviderNotConfigured,
    ResultExpired,
    StillRunning,
    Unavailable,
)
from reelay.providers.media_mapping import media_at, without_files
from reelay.providers.registry import Providers
from reelay.providers.safety_flags import with_safety_flags

# Often enough that a cancellation is heard within 2 s.
HEARTBEAT = timedelta(seconds=1)

log = structlog.get_logger()


class ArchiveActivities:
    def __init__(
        self,
        sessions: Sessions,
        providers: Providers,
        storage: Storage,
        sources: Mapping[ProviderName, Source],
        inspect: Inspect,
        *,
        collect_logs: bool = False,
        keep_flagged: bool = True,
        account_names: Collection[str] = (),
    ) -> None:
        """`collect_logs`: ask for what the provider printed, also where no poll has. `keep_flagged`: also archive what
        its safety check has flagged. `account_names`: what providers call our accounts; not for users."""
        self._sessions = sessions
        self._account_names = account_names
        self._collect_logs = collect_logs
        self._keep_flagged = keep_flagged
        self._providers = providers
        self._storage = storage
        self._sources = sources
        self._inspect = inspect

    @activity.defn
    async def archive(self, ended: Ended) -> Archived | None:
        """Fetch the result and copy its media. None when there is no result, or it holds no media (yet).

        Keys are made of our own ids, so that running it twice stores the same bytes under the same names.
        """
        generation, submission = ended.generation, ended.submission
        tries = Tries.so_far()
        if tries.deaths >= MOST_TRIES:
            raise unusable(BadMedia("each worker that opened it died"), FailureCode.BAD_MEDIA)
        async with heartbeating(*tries.details, every=HEARTBEAT) as heartbeat:
            result = await self._fetch(generation, submission)
            if result is None or (generation.needs_media and not result.media):
                await self._record_missing_media(generation, ask_again_in=ended.ask_again_in)
                return None
            if not self._keep_flagged and any(each.flagged for each in result.media):
                return _archived((), result, refused=True)
            await self._record_result(generation, result)
            await self._keep_log(generation, submission, result)
            files = await self._copy(generation, result, heartbeat)
        return _archived(files, result)

    async def _fetch(self, generation: Generation, submission: Submission) -> Result | None:
        """None when the provider is not done, although it said so."""
        try:
            result = await self._providers[generation.provider].result(submission)
        except GenerationFailed as verdict:
            raise non_retryable(verdict.failure) from verdict
        except ResultExpired as gone:
            raise non_retryable(Failure(code=FailureCode.RESULT_EXPIRED, message=str(gone))) from gone
        except StillRunning:
            return None
        except ProviderNotConfigured as missing:
            raise await missing_key_error(self._sessions, generation, missing) from missing
        except Unavailable as error:
            raise try_again(error, after=error.retry_after, at_most=LONGEST_PAUSE) from error
        except ProviderError as error:
            raise try_again(error, at_most=LONGEST_PAUSE) from error
        media = result.media
        if generation.outputs is not None:
            media = media_at(result.data, generation.outputs) or (media if generation.needs_media else ())
        return replace(result, media=with_safety_flags(media, result.data))

    async def _keep_log(self, generation: Generation, submission: Submission, result: Result) -> None:
        """What the provider printed, as far as it says so: no reason for the media to wait."""
        lines = result.logs
        if self._collect_logs and not lines:
            with suppress(ProviderError):
                lines = (await self._providers[generation.provider].progress(submission, logs=True)).logs
        if lines:
            shown = [without_names(line, generation.arguments, hidden=self._account_names) for line in lines]
            async with self._sessions.begin() as session:
                await append_log(session, generation.user_id, generation.id, shown)

    async def _copy(self, generation: Generation, result: Result, heartbeat: Heartbeat) -> tuple[MediaFile, ...]:
        if generation.job_type is JobType.TRANSCRIPTION:
            prefix = media_prefix(generation.user_id, generation.id)
            try:
                return await archive_transcript(result.data, key_prefix=prefix, storage=self._storage)
            except MediaError as error:
                raise archive_error(error) from error
        if not result.media:
            return ()
        async with ByteProgress(self._sessions, generation.id, parts=len(result.media)) as progress:
            return await self._copy_all(generation, result.media, progress, heartbeat)

    async def _copy_all(
        self, generation: Generation, media: Sequence[RemoteMedia], progress: ByteProgress, heartbeat: Heartbeat
    ) -> tuple[MediaFile, ...]:
        """What was promised comes first; what the provider made beside it is kept, too."""
        promised = PROMISED_KIND.get(generation.job_type)
        main = [each for each in media if promised is None or not is_companion(each, promised)]
        expected = promised if len(media) == 1 else None
        files: list[tuple[bool, MediaFile]] = []
        for index, remote in enumerate(media):

            def stem(kind: MediaKind, index: int = index) -> str:
                return media_stem(kind, index, len(main) if kind is promised else len(media))

            inspect = partial(self._inspect_suspect, heartbeat, index) if activity.info().attempt > 1 else self._inspect
            try:
                file = await self._copy_one(generation, remote, stem, expected, progress.part(index), inspect)
            except MediaError as error:
                if remote in main or not isinstance(error, BadMedia | SourceGone | TooLarge | Refused):
                    raise archive_error(error, file=index) from error
                log.warning("companion_not_archived", job_id=str(generation.id), error=str(error))
                continue
            files.append((promised is not None and not file.name.startswith(promised.value), file))
        files.sort(key=lambda each: each[0])
        if files and files[0][0]:
            raise archive_error(BadMedia(f"{files[0][1].content_type} instead of the promised {promised}"))
        return tuple(file for _, file in files)

    async def _copy_one(
        self,
        generation: Generation,
        remote: RemoteMedia,
        stem: Callable[[MediaKind], str],
        expected: MediaKind | None,
        on_bytes: OnBytes,
        inspect: Inspect,
    ) -> MediaFile:
        source = self._sources[generation.provider]
        return await archive_media(
            remote,
            key_prefix=media_prefix(generation.user_id, generation.id),
            stem=stem,
            expected_kind=expected,
            client=source.client,
            storage=self._storage,
            policy=source.policy,
            inspect=inspect,
            on_bytes=on_bytes,
            headers_for=self._providers[generation.provider].download_headers,
        )

    async def _inspect_suspect(
        self, heartbeat: Heartbeat, file: int, path: Path, *, poster: Path | None, check_end: bool
    ) -> Inspection:
        """Should the worker die meanwhile, that is counted against the file."""
        tries = Tries.so_far().of(file)
        await heartbeat.store(*tries.should_it_die().details)
        try:
            return await self._inspect(path, poster=poster, check_end=check_end)
        finally:
            heartbeat.change(*tries.details)

    async def _record_result(self, generation: Generation, result: Result) -> None:
        """The provider's answer goes to the row here: it may be too large for the workflow's history."""
        await self._advance(
            generation,
            Stage.ARCHIVING,
            "Copying the media into the archive" if result.media else "Keeping the result",
            result_data=storable(without_files(result.data)),
            provider_url=address_of(result),
        )

    async def _record_missing_media(self, generation: Generation, *, ask_again_in: timedelta) -> None:
        reason = f"{generation.provider} says completed, but shows no media yet"
        await self._advance(generation, Stage.POLLING, reason)
        async with one_statement(self._sessions) as session:
            await record_retry(session, generation.id, reason, at=datetime.now(UTC) + ask_again_in)

    async def _advance(self, generation: Generation, stage: Stage, detail: str, **columns: Unpack[Columns]) -> None:
        async with one_statement(self._sessions) as session:
            await advance_generation(
                session,
                generation.id,
                status=Status.IN_PROGRESS,
                stage=stage,
                detail=detail,
                provider=generation.provider,
                **columns,
            )


def _archived(files: tuple[MediaFile, ...], result: Result, *, refused: bool = False) -> Archived:
    return Archived(
        files=files,
        provider_url=None if refused else address_of(result),
        billable_units=result.billable_units,
        unusable_units=result.unusable_units,
        refused=refused,
    )


def address_of(result: Result) -> str | None:
    """Where the provider serves its first file; None where that stands in the answer itself."""
    return next((each.url for each in result.media if not each.url.startswith(DATA_SCHEME)), None)
