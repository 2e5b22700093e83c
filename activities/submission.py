"""Buying a generation: one paid POST, written down before it is sent."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import TypeAdapter
from sqlalchemy import func
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import the_end, try_again, uncertain
from activities.heartbeat import heartbeating
from activities.inputs import Adoption
from db.attempts import open_attempt, record_acceptance, record_refusal, record_uncertainty, submission_of
from db.engine import Sessions
from db.generations import advance_generation
from db.tables import AttemptState
from domain.failure import Failure, FailureCode
from domain.generation import Generation, Stage, Status, Submission
from domain.webhook_token import make_token
from providers.errors import (
    AccountLocked,
    NotAccepted,
    ProviderError,
    Rejected,
    ResultExpired,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
)
from providers.provider import SubmissionRequest
from providers.registry import Providers
from settings import Settings

ATTEMPT = 1
ACCOUNT_LOCKED_PAUSE = timedelta(minutes=1)
SUBMISSION = TypeAdapter(Submission)


class SubmissionActivities:
    def __init__(self, settings: Settings, sessions: Sessions, providers: Providers) -> None:
        self._settings = settings
        self._sessions = sessions
        self._providers = providers

    @activity.defn
    async def submit(self, generation: Generation) -> Submission:
        """Send the one POST, unless it was sent before. Fails as uncertain when that cannot be told."""
        submission = _handed_over()
        if submission is None:
            if earlier := await self._sent_before(generation):
                return earlier  # written down when it was accepted
            submission = await self._send(generation)
        try:
            await self._record(generation, submission, "Accepted by")
        except (SQLAlchemyError, OSError):
            # The request id exists only here: hand it to the next try of this step, which must not POST again.
            activity.heartbeat(submission)
            raise
        return submission

    @activity.defn
    async def adopt(self, adoption: Adoption) -> Submission:
        """Take over the request that a webhook names, once the provider shows it to our key."""
        generation, report = adoption.generation, adoption.report
        provider = self._providers[generation.provider]
        submission = provider.recover(
            endpoint=generation.endpoint, request_id=report.request_id, attempt=report.attempt
        )
        try:
            await provider.progress(submission)
            await self._record(generation, submission, "Lost answer found again: adopted the request of")
        except ResultExpired as stranger:
            raise not_ours(f"{generation.provider} does not show us this request") from stranger
        except ProviderError as trouble:
            raise try_again(trouble) from trouble
        except IntegrityError as taken:
            raise not_ours(f"This request of {generation.provider} belongs to another attempt") from taken
        return submission

    async def _sent_before(self, generation: Generation) -> Submission | None:
        """Write the attempt down. An attempt that is there already was sent by a try of this step that died."""
        async with self._sessions.begin() as session:
            earlier = await open_attempt(session, generation, ATTEMPT)
            if earlier is None:
                await advance_generation(
                    session,
                    generation.id,
                    status=Status.PENDING,
                    stage=Stage.SUBMITTING,
                    detail=f"Submitting to {generation.provider}",
                    attempts=ATTEMPT,
                )
                return None
        if earlier.state == AttemptState.ACCEPTED:
            return submission_of(earlier)
        raise await self._doubt(generation, earlier.answer or "The worker died while the submission was on its way")

    async def _send(self, generation: Generation) -> Submission:
        request = SubmissionRequest(
            endpoint=generation.endpoint,
            arguments=generation.arguments,
            attempt=ATTEMPT,
            webhook_url=self._webhook_url(generation),
        )
        try:
            async with heartbeating(every=timedelta(seconds=5)):
                return await _to_its_end(self._providers[generation.provider].submit(request))
        except NotAccepted as refusal:
            raise await self._refusal(generation, refusal) from refusal
        except SubmissionUncertain as doubt:
            raise await self._doubt(generation, str(doubt)) from doubt

    def _webhook_url(self, generation: Generation) -> str | None:
        secret = self._settings.fal_webhook_secret
        if self._settings.app_url is None or secret is None:
            return None
        token = make_token(secret.get_secret_value().encode(), generation.id, ATTEMPT)
        query = urlencode({"job": str(generation.id), "token": token})
        return f"{self._settings.app_url}{self._settings.fal_webhook_path}?{query}"

    async def _record(self, generation: Generation, submission: Submission, how: str) -> None:
        ahead = submission.queue_position or 0
        async with self._sessions.begin() as session:
            await record_acceptance(session, generation.id, submission)
            await advance_generation(
                session,
                generation.id,
                status=Status.SUBMITTED,
                stage=Stage.QUEUED if ahead else Stage.GENERATING,
                detail=f"{how} {generation.provider}" + (f", {ahead} ahead in its queue" if ahead else ""),
                data={"requestId": submission.request_id, "attempt": submission.attempt},
                fal_request_id=submission.request_id,
                fal_status_url=submission.status_url,
                fal_response_url=submission.response_url,
                submitted_at=func.now(),
            )

    async def _refusal(self, generation: Generation, refusal: NotAccepted) -> ApplicationError:
        """Nothing was bought: note why, and say whether to try again."""
        error = after_refusal(refusal)
        async with self._sessions.begin() as session:
            await record_refusal(session, generation.id, ATTEMPT, str(refusal))
            await advance_generation(
                session,
                generation.id,
                status=Status.PENDING,
                stage=Stage.SUBMITTING,
                detail=f"Not accepted: {refusal}",
                data={"final": error.non_retryable},
            )
        return error

    async def _doubt(self, generation: Generation, answer: str) -> ApplicationError:
        """It may have been bought: note why we cannot tell."""
        async with self._sessions.begin() as session:
            await record_uncertainty(session, generation.id, ATTEMPT, answer)
            await advance_generation(
                session,
                generation.id,
                status=Status.PENDING,
                stage=Stage.UNCERTAIN,
                detail=f"The answer to the submission was lost: {answer}. Not sent again; waiting for its webhook",
            )
        return uncertain(answer)


async def _to_its_end(post: Coroutine[Any, Any, Submission]) -> Submission:
    """A POST that is under way is not cut off by a cancellation: only its answer tells what was bought."""
    sending = asyncio.create_task(post)
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        if details is None or not details.cancel_requested:
            sending.cancel()  # the worker shuts down and has waited long enough
            raise
        return await sending


def not_ours(why: str) -> ApplicationError:
    """The webhook named a request that cannot be adopted."""
    return the_end(Failure(code=FailureCode.UNKNOWN_OUTCOME, message=why))


def after_refusal(refusal: NotAccepted) -> ApplicationError:
    """Which refusals are worth another POST, and when."""
    match refusal:
        case Rejected():
            return the_end(refusal.failure)
        case Unauthorized():
            return the_end(Failure(code=FailureCode.PROVIDER_UNAUTHORIZED, message=str(refusal)))
        case AccountLocked():
            return try_again(refusal, after=ACCOUNT_LOCKED_PAUSE)
        case Throttled():
            return try_again(refusal, after=refusal.retry_after)
        case _:
            return try_again(refusal)


def _handed_over() -> Submission | None:
    """What an earlier try of this step bought but could not write down."""
    details = activity.info().heartbeat_details
    return SUBMISSION.validate_python(details[0]) if details and details[0] else None
