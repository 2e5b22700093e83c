"""Archives the result: fetched with our key, copied into our own storage before the provider deletes it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Unpack

from temporalio import activity

from activities.errors import LONGEST_PAUSE, non_retryable, try_again
from activities.heartbeat import Heartbeat, heartbeating
from activities.inputs import Ended
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
from reelay.media.archive import PROMISED_KIND, archive_media, media_prefix, media_stem
from reelay.media.decoder_pool import Inspect
from reelay.media.download import OnBytes, Source
from reelay.media.errors import ArchiveMisconfigured, BadMedia, MediaError, Refused, SourceGone, TooLarge
from reelay.media.inspection import Inspection
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
from reelay.providers.registry import Providers

BAD_MEDIA_ATTEMPTS = 3
# Often enough that a cancellation is heard within 2 s.
HEARTBEAT = timedelta(seconds=1)


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
    ) -> None:
        """`collect_logs`: ask for what the provider printed, also where no poll has."""
        self._sessions = sessions
        self._collect_logs = collect_logs
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
        if bad_media_attempts() >= BAD_MEDIA_ATTEMPTS:
            raise non_retryable(_unusable(BadMedia("each worker that opened it died"), FailureCode.BAD_MEDIA))
        async with heartbeating(bad_media_attempts(), every=HEARTBEAT) as heartbeat:
            result = await self._fetch(generation, submission)
            if result is None or not (result.media or generation.job_type is JobType.TRANSCRIPTION):
                await self._record_missing_media(generation, ask_again_in=ended.ask_again_in)
                return None
            await self._record_result(generation, result)
            await self._keep_log(generation, submission, result)
            files = await self._copy(generation, result, heartbeat)
        return Archived(
            files=files,
            provider_url=result.media[0].url if result.media else None,
            billable_units=result.billable_units,
            unusable_units=result.unusable_units,
        )

    async def _fetch(self, generation: Generation, submission: Submission) -> Result | None:
        """None when the provider is not done, although it said so."""
        try:
            return await self._providers[generation.provider].result(submission)
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

    async def _keep_log(self, generation: Generation, submission: Submission, result: Result) -> None:
        """What the provider printed, as far as it says so: no reason for the media to wait."""
        lines = result.logs
        if self._collect_logs and not lines:
            with suppress(ProviderError):
                lines = (await self._providers[generation.provider].progress(submission, logs=True)).logs
        if lines:
            async with self._sessions.begin() as session:
                await append_log(session, generation.user_id, generation.id, lines)

    async def _copy(self, generation: Generation, result: Result, heartbeat: Heartbeat) -> tuple[MediaFile, ...]:
        inspect = partial(self._inspect_suspect, heartbeat) if activity.info().attempt > 1 else self._inspect
        count = len(result.media)
        try:
            if generation.job_type is JobType.TRANSCRIPTION:
                prefix = media_prefix(generation.user_id, generation.id)
                return await archive_transcript(result.data, key_prefix=prefix, storage=self._storage)
            async with ByteProgress(self._sessions, generation.id, parts=count) as progress:
                return tuple(
                    [
                        await self._copy_one(generation, remote, index, count, progress.part(index), inspect)
                        for index, remote in enumerate(result.media)
                    ]
                )
        except MediaError as error:
            raise archive_error(error) from error

    async def _copy_one(
        self,
        generation: Generation,
        remote: RemoteMedia,
        index: int,
        count: int,
        on_bytes: OnBytes,
        inspect: Inspect,
    ) -> MediaFile:
        kind, source = PROMISED_KIND[generation.job_type], self._sources[generation.provider]
        return await archive_media(
            remote,
            key_prefix=media_prefix(generation.user_id, generation.id),
            name_stem=media_stem(kind, index, count),
            expected_kind=kind,
            client=source.client,
            storage=self._storage,
            policy=source.policy,
            inspect=inspect,
            on_bytes=on_bytes,
            headers_for=self._providers[generation.provider].download_headers,
        )

    async def _inspect_suspect(
        self, heartbeat: Heartbeat, path: Path, *, poster: Path | None, check_end: bool
    ) -> Inspection:
        """Should the worker die meanwhile, that is counted against the file.

        Not in a first attempt: storing it would be a billed action for every file. So when the second attempt dies
        here, the first one is taken to have died of the same.
        """
        known = bad_media_attempts()
        await heartbeat.store(max(known, 1) + 1)
        try:
            return await self._inspect(path, poster=poster, check_end=check_end)
        finally:
            heartbeat.change(known)

    async def _record_result(self, generation: Generation, result: Result) -> None:
        """The provider's answer goes to the row here: it may be too large for the workflow's history."""
        await self._advance(
            generation,
            Stage.ARCHIVING,
            "Copying the media into the archive" if result.media else "Keeping the result and its subtitles",
            result_data=storable(result.data),
            provider_url=result.media[0].url if result.media else None,
        )

    async def _record_missing_media(self, generation: Generation, *, ask_again_in: timedelta) -> None:
        reason = f"{generation.provider} says completed, but shows no media yet"
        await self._advance(generation, Stage.POLLING, reason)
        async with one_statement(self._sessions) as session:
            await record_retry(session, generation.id, reason, at=datetime.now(UTC) + ask_again_in)

    async def _advance(self, generation: Generation, stage: Stage, detail: str, **columns: Unpack[Columns]) -> None:
        async with one_statement(self._sessions) as session:
            await advance_generation(
                session, generation.id, status=Status.IN_PROGRESS, stage=stage, detail=detail, **columns
            )


def bad_media_attempts() -> int:
    """How many attempts of this activity found bad media so far, or died of it. Other troubles do not count."""
    details = activity.info().heartbeat_details
    return int(details[0]) if details else 0


def archive_error(error: MediaError) -> Exception:
    """Asking again costs nothing while the source lives, but what stays bad is bad."""
    match error:
        case Refused() | TooLarge():
            return non_retryable(_unusable(error, FailureCode.BAD_MEDIA))
        case SourceGone():
            return _bad_media_error(error, FailureCode.RESULT_EXPIRED)
        case BadMedia():
            return _bad_media_error(error, FailureCode.BAD_MEDIA)
        case ArchiveMisconfigured():
            return try_again(error, after=timedelta(minutes=1))
        case _:
            return try_again(error, at_most=LONGEST_PAUSE)


def _bad_media_error(error: MediaError, code: FailureCode) -> Exception:
    attempts = bad_media_attempts() + 1
    if attempts >= BAD_MEDIA_ATTEMPTS:
        return non_retryable(_unusable(error, code))
    activity.heartbeat(attempts)
    return try_again(error)


def _unusable(error: MediaError, code: FailureCode) -> Failure:
    return Failure(code=code, message=f"The provider's media cannot be used: {error}")
