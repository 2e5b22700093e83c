"""Submitting a generation: one paid POST, written down before it is sent."""

import asyncio
import random
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import (
    non_retryable,
    not_sent_in_time,
    request_list_unavailable,
    retry_later,
    slot_unavailable,
    still_running,
    submission_uncertain,
    try_again,
)
from activities.heartbeat import heartbeating
from activities.input_files import arguments_to_send
from activities.inputs import Adoption, Attempt
from activities.missing_key import missing_key_error
from activities.retries import SubmissionUnrecorded, is_outage
from activities.slots import Arrival, Slots
from reelay.db.accounts import AccountParked, park_account, schedule_probe, unpark_account
from reelay.db.attempts import (
    SUBMISSION,
    GenerationEnded,
    Opened,
    accept_submission,
    attempt_of,
    forget_inherited,
    has_identical_lost_attempt,
    lost_at,
    open_attempt,
    record_refusal,
    record_uncertainty,
    sent_attempt_of,
    submission_of,
    unclaimed_requests,
)
from reelay.db.deliveries import waiting_delivery
from reelay.db.engine import Sessions, one_statement
from reelay.db.generations import advance_generation
from reelay.db.tables import AttemptState, SubmissionAttempt
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import (
    Generation,
    ProviderName,
    Report,
    Stage,
    Status,
    Submission,
    WaitingFor,
)
from reelay.domain.webhook_token import make_token
from reelay.providers.errors import (
    AccountLocked,
    GenerationFailed,
    NotAccepted,
    NotListed,
    ProviderError,
    ProviderNotConfigured,
    Rejected,
    ResultExpired,
    StillRunning,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from reelay.providers.provider import SubmissionRequest
from reelay.providers.registry import Providers, webhook_path
from reelay.settings import Settings

# A probe that died with its worker is not waited for longer. More than a POST may take.
PROBE_LEASE = timedelta(minutes=6)
# How far a provider's clock may be from ours.
CLOCK_SLACK = timedelta(seconds=30)
# How often a model that is to begin beside another asks for a slot.
SLOT_BESIDE_PAUSE = timedelta(seconds=5)

log = structlog.get_logger()


class SubmissionActivities:
    def __init__(self, settings: Settings, sessions: Sessions, providers: Providers, slots: Slots) -> None:
        self._settings = settings
        self._sessions = sessions
        self._providers = providers
        self._slots = slots

    @activity.defn
    async def submit(self, attempt: Attempt) -> Submission:
        """Send the one POST, unless it was sent before. Fails as uncertain when that is not known."""
        submission = _unrecorded_submission()
        if submission is None:
            # What is wrong with it shows before anything may have been sent.
            request = self._request(attempt, await arguments_to_send(self._sessions, attempt.generation))
            try:
                earlier = await self._open_attempt(attempt, request)
            except AccountParked as parked:
                raise await self._parked_error(attempt, parked) from parked
            except GenerationEnded as ended:
                failure = Failure(code=FailureCode.CANCELED, message="It was canceled before it was submitted")
                raise non_retryable(failure) from ended
            if earlier:
                return earlier  # written down when it was accepted
            submission = await self._send(attempt, request)
        try:
            return await _finish_despite_cancel(
                self._record_acceptance(attempt.generation, submission, f"Accepted by {attempt.generation.provider}")
            )
        except IntegrityError as taken:
            raise await self._uncertain_error(attempt, _request_of_another_job(attempt, submission)) from taken
        except Exception as error:
            if _is_canceled():  # there is no other try, and the run withdraws what it is told of
                return submission
            # The request id exists only here: hand it to the next attempt of this activity, which must not POST again.
            activity.heartbeat(submission)
            if is_outage(error):
                raise
            raise SubmissionUnrecorded(submission.request_id) from error

    @activity.defn
    async def adopt(self, adoption: Adoption) -> Submission | None:
        """Take over the request that a webhook names. None when it is not ours.

        It is ours when the provider shows it to our key and no other attempt has it.
        """
        generation, report = adoption.generation, adoption.report
        provider = self._providers[generation.provider]
        submission = provider.recover(
            endpoint=generation.endpoint, request_id=report.request_id, attempt=report.attempt
        )
        try:
            await provider.progress(submission)
        except (ResultExpired, Unauthorized):
            return None
        except ProviderNotConfigured as missing:
            raise await missing_key_error(self._sessions, generation, missing) from missing
        except Unavailable as error:
            raise try_again(error, after=error.retry_after) from error
        except ProviderError as error:
            raise try_again(error) from error
        how = f"Adopted by its webhook: the request of attempt {report.attempt} at {generation.provider}"
        if adoption.instead_of:
            how += f", which overtook attempt {adoption.instead_of.attempt}"
        return await self._take_over(generation, submission, how)

    @activity.defn
    async def find(self, attempt: Attempt) -> Submission:
        """Take over the request that the provider lists. Until there is one it fails; its retries are the search. It
        fails for good when the submission was not sent."""
        generation = attempt.generation
        row = await self._sent_attempt(attempt)
        async with self._sessions() as session:
            lost_by = await lost_at(session, row)
        if row.state == AttemptState.ACCEPTED:  # a submission that took long, or this activity before its worker died
            return submission_of(row)
        candidates = await self._candidates(generation, row, await self._list_requests(attempt, row, lost_by))
        if len(candidates) == 1:
            found = self._providers[generation.provider].recover(
                endpoint=generation.endpoint, request_id=candidates[0], attempt=attempt.number
            )
            how = f"Adopted by listing: the request of attempt {attempt.number} at {generation.provider}"
            if submission := await self._take_over(generation, found, how):
                return submission
        raise still_running(f"{len(candidates)} candidates", ask_again_in=generation.timing.poll_interval)

    @activity.defn
    async def stored_report(self, attempt: Attempt) -> Report | None:
        """A webhook of this attempt that Temporal has not taken yet. Fails for good when it was not sent."""
        await self._sent_attempt(attempt)
        async with self._sessions() as session:
            delivery = await waiting_delivery(session, attempt.generation.id, attempt.number)
        if delivery is None or delivery.request_id is None:
            return None
        return Report(attempt=attempt.number, request_id=delivery.request_id, delivery_id=delivery.id)

    async def _sent_attempt(self, attempt: Attempt) -> SubmissionAttempt:
        async with one_statement(self._sessions) as session:
            row = await sent_attempt_of(session, attempt.generation, attempt.number)
        if row is None:
            raise not_sent_in_time(attempt.generation.provider)
        return row

    async def _list_requests(self, attempt: Attempt, row: SubmissionAttempt, lost_by: datetime) -> list[str]:
        """Requests with our endpoint and input from the time between the POST and the moment its answer was missed."""
        generation = attempt.generation
        try:
            return await self._providers[generation.provider].requests_like(
                self._request(attempt, row.arguments or generation.arguments),
                sent_between=(row.sent_at - CLOCK_SLACK, lost_by + CLOCK_SLACK),
            )
        except NotListed as shut:
            raise request_list_unavailable(str(shut)) from shut
        except ProviderNotConfigured as missing:
            raise await missing_key_error(self._sessions, generation, missing) from missing
        except Unavailable as error:
            raise try_again(error, after=error.retry_after or generation.timing.poll_interval) from error

    async def _candidates(self, generation: Generation, row: SubmissionAttempt, listed: Sequence[str]) -> Sequence[str]:
        """Those that can only be ours: a wrong adoption would swap the media of two generations."""
        async with self._sessions() as session:
            if await has_identical_lost_attempt(session, generation, row, slack=2 * CLOCK_SLACK):
                return ()
            return await unclaimed_requests(session, generation.provider, listed)

    async def _take_over(self, generation: Generation, submission: Submission, how: str) -> Submission | None:
        """None when the request belongs to another attempt."""
        try:
            recorded = await self._record_acceptance(generation, submission, how)
        except IntegrityError:
            return None
        return recorded if recorded.request_id == submission.request_id else None

    async def _open_attempt(self, attempt: Attempt, request: SubmissionRequest) -> Submission | None:
        """Write the attempt down, if it has a slot. An attempt that is there already was sent by an attempt of this
        activity that died.

        Raises: AccountParked, GenerationEnded, with nothing written down.
        """
        generation, opened = attempt.generation, None
        # A row that follows another model has other arguments.
        has_own = generation.references or generation.hedge_after
        async with self._slots.arriving(generation) as (session, arrival):
            if arrival is Arrival.HAS_SLOT:
                opened = await open_attempt(
                    session,
                    generation,
                    attempt.number,
                    dict(request.arguments) if has_own else None,
                    account=self._account(generation.provider),
                    lease=PROBE_LEASE,
                )
            if opened is None and arrival is not Arrival.ASKS_AGAIN:
                await self._wait_for_slot(session, attempt)
        match opened:
            case None if arrival is Arrival.ASKS_AGAIN:
                what = f"No slot that nobody waits for is free at {generation.provider}"
                raise still_running(what, ask_again_in=SLOT_BESIDE_PAUSE)
            case None:
                raise slot_unavailable(f"No slot is free at {generation.provider}")
            case Opened():
                return None
            case SubmissionAttempt(state=AttemptState.ACCEPTED):
                return submission_of(opened)
            case SubmissionAttempt(state=AttemptState.INHERITED):
                return await self._inherit(attempt, opened) or await self._open_attempt(attempt, request)
            case SubmissionAttempt(state=AttemptState.EXPIRED):
                raise not_sent_in_time(attempt.generation.provider)
        raise await self._uncertain_error(
            attempt, opened.answer or "The worker died while the submission was on its way"
        )

    async def _inherit(self, attempt: Attempt, inherited: SubmissionAttempt) -> Submission | None:
        """The request of the job that this one repeats, where its result is there: it is not bought again."""
        generation, submission = attempt.generation, submission_of(inherited)
        if await self._has_result(generation, submission):
            how = f"Goes on with the request of an earlier job at {generation.provider}, whose result is there"
            return await self._record_acceptance(generation, submission, how)
        async with self._sessions.begin() as session:
            await forget_inherited(session, generation.id, attempt.number)
        return None

    async def _has_result(self, generation: Generation, submission: Submission) -> bool:
        try:
            result = await self._providers[generation.provider].result(submission)
        except (GenerationFailed, ResultExpired, StillRunning, Unauthorized):
            return False
        except ProviderNotConfigured as missing:
            raise await missing_key_error(self._sessions, generation, missing) from missing
        except Unavailable as error:
            raise try_again(error, after=error.retry_after) from error
        except ProviderError as error:
            raise try_again(error) from error
        return bool(result.media) or not generation.needs_media

    async def _wait_for_slot(self, session: AsyncSession, attempt: Attempt) -> None:
        await advance_generation(
            session,
            attempt.generation.id,
            status=Status.PENDING,
            stage=Stage.WAITING,
            detail=f"Waiting for a slot at {attempt.generation.provider}",
            provider=attempt.generation.provider,
            waiting_for=WaitingFor.SLOT,
            of=attempt.generation,
        )

    def _account(self, provider: ProviderName) -> str:
        return self._providers[provider].account

    async def _parked_error(self, attempt: Attempt, parked: AccountParked) -> ApplicationError:
        """The caller sees why. All who wait come back at different moments, one of them as the next probe."""
        async with self._sessions.begin() as session:
            await advance_generation(
                session,
                attempt.generation.id,
                status=Status.PENDING,
                stage=Stage.SUBMITTING,
                detail=f"Waiting: {parked}",
                provider=attempt.generation.provider,
                waiting_for=WaitingFor.ACCOUNT,
                of=attempt.generation,
            )
        pause = self._settings.account_pause
        until_probe = max(parked.probe_at - datetime.now(UTC), timedelta(0))
        error = retry_later(str(parked), after=min(until_probe, pause) + pause * random.random())
        return final_where_there_is_a_fallback(attempt.generation, error)

    async def _send(self, attempt: Attempt, request: SubmissionRequest) -> Submission:
        try:
            async with heartbeating(every=timedelta(seconds=5)):
                return await _finish_despite_cancel(self._providers[attempt.generation.provider].submit(request))
        except NotAccepted as refusal:
            raise await self._refused_error(attempt, refusal) from refusal
        except SubmissionUncertain as doubt:
            raise await self._uncertain_error(attempt, str(doubt)) from doubt
        except Exception as error:  # whatever it was, the provider may have accepted it
            log.error("internal_error", error=type(error).__name__, exc_info=True)
            raise await self._uncertain_error(attempt, f"an internal error ({type(error).__name__})") from error

    def _request(self, attempt: Attempt, arguments: Mapping[str, Any]) -> SubmissionRequest:
        return SubmissionRequest(
            job_id=attempt.generation.id,
            endpoint=attempt.generation.endpoint,
            arguments=arguments,
            attempt=attempt.number,
            webhook_url=self._webhook_url(attempt),
            deadline=attempt.generation.timing.deadline,
        )

    def _webhook_url(self, attempt: Attempt) -> str | None:
        secret = self._settings.webhook_token_secret
        path = webhook_path(self._settings, attempt.generation.provider)
        if self._settings.app_url is None or secret is None or path is None:
            return None
        if attempt.generation.provider.reports_by_push:  # it names the job in what it pushes
            return f"{self._settings.app_url}{path}"
        token = make_token(secret.get_secret_value().encode(), attempt.generation.id, attempt.number)
        query = urlencode({"job": str(attempt.generation.id), "token": token})
        return f"{self._settings.app_url}{path}?{query}"

    async def _record_acceptance(self, generation: Generation, submission: Submission, how: str) -> Submission:
        """The attempt's submission: this one, unless another was recorded first."""
        account = self._account(generation.provider)
        async with one_statement(self._sessions) as session:
            accepted = await accept_submission(session, generation, submission, how, account=account)
            if accepted is None:
                return submission_of(await attempt_of(session, generation.id, submission.attempt))
        if accepted.has_resumed:
            log.info("account_resumed", provider=generation.provider, account=account)
        return replace(submission, sent_at=accepted.sent_at)

    async def _unpark_account(self, session: AsyncSession, generation: Generation, number: int) -> None:
        """The provider dealt with a submission, so the account is not locked (any more)."""
        account = self._account(generation.provider)
        if await unpark_account(session, generation.provider, account, generation.id, number):
            log.info("account_resumed", provider=generation.provider, account=account)

    async def _refused_error(self, attempt: Attempt, refusal: NotAccepted) -> ApplicationError:
        """Not accepted: record why, and say whether to try again."""
        error = error_for_refusal(refusal, account_pause=self._settings.account_pause)
        error = final_where_there_is_a_fallback(attempt.generation, error)
        waits_for = WaitingFor.ACCOUNT if isinstance(refusal, AccountLocked) else WaitingFor.PROVIDER
        async with self._sessions.begin() as session:
            await record_refusal(session, attempt.generation.id, attempt.number, str(refusal))
            await self._update_account(session, attempt, refusal)
            await advance_generation(
                session,
                attempt.generation.id,
                status=Status.PENDING,
                stage=Stage.SUBMITTING,
                detail=f"Not accepted: {refusal}",
                provider=attempt.generation.provider,
                data={"final": error.non_retryable},
                waiting_for=None if error.non_retryable else waits_for,
                of=attempt.generation,
            )
        return error

    async def _update_account(self, session: AsyncSession, attempt: Attempt, refusal: NotAccepted) -> None:
        """What the refusal says of the account that all jobs share."""
        provider, pause = attempt.generation.provider, self._settings.account_pause
        account = self._account(provider)
        match refusal:
            case AccountLocked():
                if await park_account(session, provider, account, reason=str(refusal), pause=pause):
                    log.error("account_parked", provider=provider, account=account, reason=str(refusal))
            case Unreachable() | Unauthorized():
                await schedule_probe(session, provider, account, pause=pause)
            case _:
                await self._unpark_account(session, attempt.generation, attempt.number)

    async def _uncertain_error(self, attempt: Attempt, answer: str) -> ApplicationError:
        """It may have been accepted: record why that is not known."""
        provider = attempt.generation.provider
        async with self._sessions.begin() as session:
            await schedule_probe(session, provider, self._account(provider), pause=self._settings.account_pause)
            if await record_uncertainty(session, attempt.generation.id, attempt.number, answer):
                await advance_generation(
                    session,
                    attempt.generation.id,
                    status=Status.PENDING,
                    stage=Stage.UNCERTAIN,
                    detail=f"The answer to the submission was lost: {answer}. Not sent again; looking for its request",
                    provider=provider,
                    of=attempt.generation,
                )
        return submission_uncertain(answer)


async def _finish_despite_cancel(step: Coroutine[Any, Any, Submission]) -> Submission:
    """Neither a POST that is under way nor the note of its answer is cut off by a cancellation: that has to know what
    was accepted."""
    doing = asyncio.create_task(step)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        if not _is_canceled():
            doing.cancel()  # the worker shuts down and has waited long enough
            raise
        return await doing


def _is_canceled() -> bool:
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def _request_of_another_job(attempt: Attempt, submission: Submission) -> str:
    """Which request the provider named by mistake: the first job that was given it keeps it."""
    generation = attempt.generation
    log.error(
        "request_of_another_job",
        job_id=str(generation.id),
        provider=generation.provider,
        request_id=submission.request_id,
    )
    return f"{generation.provider} named the request {submission.request_id}, which is another job's"


def error_for_refusal(refusal: NotAccepted, *, account_pause: timedelta) -> ApplicationError:
    """Which refusals are worth another POST, and when."""
    match refusal:
        case Rejected():
            return non_retryable(refusal.failure)
        case Unauthorized():
            return non_retryable(Failure(code=FailureCode.PROVIDER_UNAUTHORIZED, message=str(refusal)))
        case AccountLocked():
            return try_again(refusal, after=account_pause)
        case Throttled():
            return try_again(refusal, after=refusal.retry_after)
        case _:
            return try_again(refusal)


def final_where_there_is_a_fallback(generation: Generation, error: ApplicationError) -> ApplicationError:
    """A provider that takes nothing is tried for as long as its fallback waits, and once more at the end of that."""
    if error.non_retryable or not generation.fallbacks:
        return error
    left = activity.info().scheduled_time + generation.timing.fallback_after - datetime.now(UTC)
    if left <= timedelta(0):
        return non_retryable(Failure(code=FailureCode.WAIT_EXPIRED, message=error.message))
    pause = min(error.next_retry_delay or left, left)
    return ApplicationError(error.message, type=error.type, next_retry_delay=pause, category=error.category)


def _unrecorded_submission() -> Submission | None:
    """What an earlier attempt of this activity submitted but could not write down."""
    details = activity.info().heartbeat_details
    return SUBMISSION.validate_python(details[0]) if details and details[0] else None
