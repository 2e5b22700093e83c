"""Which ends are right for a job, and why: by its faults, its cancellation, and what was killed when."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from lab.chaos.evidence import JobTrace, Kill, failed
from lab.chaos.plan import HOPELESS, NEVER_MEDIA, Part
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status

GONE: Mapping[str, str] = {failed(FailureCode.RESULT_EXPIRED): "the provider never served the file"}
BAD: Mapping[str, str] = {failed(FailureCode.BAD_MEDIA): "what the provider served is no such medium"}
OWN_ENDS: Mapping[str, Mapping[str, str]] = {
    "fail=422": {failed(FailureCode.PROVIDER_REJECTED): "the provider refused the input after computing on it"},
    "fail=content_policy": {
        failed(FailureCode.CONTENT_POLICY): "the provider's checker refused it after computing on it"
    },
    "fail=500": {failed(FailureCode.PROVIDER_ERROR): "the provider failed"},
    "fail=504": {failed(FailureCode.PROVIDER_ERROR): "the provider failed"},
    "media=404": GONE,
    "media=expired": GONE,
    "media=html": BAD,
    "media=wrong-type": BAD,
    "media=redirect-private": BAD,
    "media=huge": BAD,
    HOPELESS: {failed(FailureCode.DEADLINE_EXCEEDED): "the provider was too slow, and told to stop at the deadline"},
    NEVER_MEDIA: {
        failed(FailureCode.NO_MEDIA): "the provider showed no media until the deadline",
        failed(FailureCode.DEADLINE_EXCEEDED): "no media, and the last poll met a kill; or a push of it was refused",
    },
}
"""Faults after which a job cannot complete. All others heal."""
LOSES_THE_ANSWER = frozenset({"submit=drop", "submit=timeout", "submit=500"})
EARLY = "webhook=early"
"""The submission is answered when the webhook is through: not before the provider has ended its work."""
TOO_SLOW_TO_ANSWER = frozenset({HOPELESS, "latency=8s"})
ANSWER_IN_DANGER = frozenset({Part.WORKER, Part.TEMPORAL, Part.POSTGRES})
"""Parts whose death can lose the provider's answer to a submission."""
MARGIN = timedelta(seconds=2)
"""A webhook that comes this close to the end may have come too late."""


def right_ends(job: JobTrace, kills: Sequence[Kill]) -> Mapping[str, str]:
    """Each right end, as `Row.end` says it, with the reason in words."""
    ends: dict[str, str] = {}
    for fault in job.planned.faults:
        ends.update(OWN_ENDS.get(fault, {}))
    if job.planned.has_fallback and ends.pop(failed(FailureCode.PROVIDER_ERROR), ""):
        ends[Status.COMPLETED] = "its fallback has made it"
    if job.planned.is_hedged:
        ends[Status.COMPLETED] = "it, or the model beside it, has made it"
    if not ends:
        ends[Status.COMPLETED] = "nothing was in its way"
    if "submit=403-locked" in job.planned.faults:
        ends[failed(FailureCode.WAIT_EXPIRED)] = "the account was locked until the wait was over"
    if job.cancel_sent:
        ends[Status.CANCELED] = "canceled midway"
    if (why := lost_answer(job, kills)) and not is_reported(job):
        ends[failed(FailureCode.UNKNOWN_OUTCOME)] = f"{why}, and neither webhook nor list told of it in time"
    return ends


def lost_answer(job: JobTrace, kills: Sequence[Kill]) -> str | None:
    """How the provider's answer to the submission was lost, if it was."""
    if not LOSES_THE_ANSWER.isdisjoint(job.planned.faults):
        return "the provider cut the submission off"
    if EARLY in job.planned.faults and not TOO_SLOW_TO_ANSWER.isdisjoint(job.planned.faults):
        return "the provider answered the submission no sooner than its webhook was through"
    for attempt in job.attempts:
        for kill in kills:
            until = (attempt.answered_at or kill.at) + MARGIN
            if kill.part in ANSWER_IN_DANGER and attempt.sent_at - MARGIN <= kill.at <= until:
                return f"the {kill.part} was killed during the submission"
    return None


def is_reported(job: JobTrace) -> bool:
    """Whether we acknowledged the provider's webhook while the job lived."""
    ended = job.row.completed_at if job.row else None
    return any(
        delivery.acknowledged and (ended is None or delivery.at < ended - MARGIN)
        for request in job.requests
        for delivery in request.deliveries
    )
