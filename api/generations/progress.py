"""What a job says of itself to its user, in the language asked for: docs/decisions/020-languages.md.

The texts of its timeline are English and for operators: they name accounts, keys and causes. Those of its row are for
users, who may read the table as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from reelay.db.generations import TIMING
from reelay.db.hedges import HedgeEvent
from reelay.db.tables import GenerationJob, JobEvent
from reelay.domain.failure import FailureCode
from reelay.domain.generation import AT_THE_PROVIDER, GenerationStatus, ProviderName, Stage, Status, WaitingFor
from reelay.domain.language import Language
from reelay.domain.messages import in_language, message
from reelay.domain.progress import SPANS, UNAVAILABLE, estimate_progress, progress_sentence
from reelay.domain.provider_words import WITHOUT_REASON
from reelay.providers.studio_push import PHASES, Phase, failure_without_reason

# A stage further down is newer. POLLING stands before what a poll reveals.
NEWER = (
    Stage.RESERVING,
    Stage.WAITING,
    Stage.SUBMITTING,
    Stage.UNCERTAIN,
    Stage.POLLING,
    Stage.QUEUED,
    Stage.GENERATING,
    Stage.FETCHING,
    Stage.ARCHIVING,
    Stage.FINISHING,
    Stage.DONE,
)


def newest(row: GenerationJob, live: GenerationStatus | None) -> GenerationStatus:
    """A step writes the row before its workflow hears of it, and the workflow moves on before the next step writes.

    An end is read from the row alone: only then are its files, cost and failure there to be shown.
    """
    status, stage = Status(row.status), Stage(row.stage)
    if live and {stage, live.stage} <= AT_THE_PROVIDER and ProviderName(row.provider).reports_by_push:
        live = None  # what it pushed went into the row
    if live and not live.status.is_final and not status.is_final:
        reported, written = (NEWER.index(live.stage), live.stage_since), (NEWER.index(stage), row.stage_at)
        if reported >= written:
            return live
    return GenerationStatus(status=status, stage=stage, stage_since=row.stage_at, message=row.progress_message)


def progress_percent(row: GenerationJob, at: GenerationStatus) -> int:
    expected = TIMING.validate_python(row.timing).expected
    # Counted from the submission, not from the stage, which every poll starts again.
    since = row.submitted_at or at.stage_since
    estimate = estimate_progress(at.status, at.stage, datetime.now(UTC) - since, expected)
    start, end = SPANS[at.stage]
    if at.stage in AT_THE_PROVIDER and ProviderName(row.provider).reports_by_push:
        return row.progress_percent
    return max(estimate, row.progress_percent) if start < row.progress_percent <= end else estimate


def seconds_left(row: GenerationJob, at: GenerationStatus) -> int | None:
    """Before the provider has it, nobody knows: a locked account may keep it for hours."""
    if at.status.is_final or row.submitted_at is None:
        return None
    expected = TIMING.validate_python(row.timing).expected
    elapsed = max(datetime.now(UTC) - row.submitted_at, timedelta(0))  # the database's clock may be ahead of ours
    left = expected - elapsed
    return int(left.total_seconds()) if left > timedelta(0) else None


def waiting_for(row: GenerationJob, at: GenerationStatus) -> WaitingFor | None:
    """What the row says of it, unless its workflow is at another stage already."""
    return WaitingFor(row.waiting_for) if row.waiting_for and row.stage == at.stage else None


def queue_position(row: GenerationJob, at: GenerationStatus, ahead: int | None = None) -> int | None:
    """How many are ahead of it at the provider; `ahead`: in the line for its slots."""
    match waiting_for(row, at):
        case WaitingFor.QUEUE:
            return row.queue_position
        case WaitingFor.SLOT:
            return ahead
    return None


def progress_message(row: GenerationJob, at: GenerationStatus, language: Language) -> str:
    """By what the job waits for, else by the phase of a provider that pushes, else by the status and the stage."""
    waits_for = waiting_for(row, at)
    if waits_for not in UNAVAILABLE and (phase := _pushed_phase(row, at)):
        return phase.message(language)
    sentence = progress_sentence(
        at.status,
        at.stage,
        ProviderName(row.provider),
        waiting_for=waits_for,
        queue_position=queue_position(row, at),
    )
    return in_language(sentence, language)


def timeline_messages(events: Sequence[JobEvent], row: GenerationJob, language: Language) -> Iterator[str]:
    """What the entries of the job's timeline mean for the job."""
    provider = row.candidates[0]["provider"] if row.candidates else row.provider
    for event in events:
        if fallback := event.data.get("fallback"):
            provider = fallback["provider"]
            yield message("fell_back", language, model=fallback["to"])
        elif hedge := event.data.get("hedge"):
            provider = hedge.get("follows", provider)
            yield _hedge_message(hedge, language)
        else:
            yield _timeline_message(event, row, provider, language)


def _hedge_message(hedge: Mapping[str, Any], language: Language) -> str:
    match HedgeEvent(hedge["event"]):
        case HedgeEvent.FAILED if hedge.get("chargedCents"):
            return message(
                "hedge_flagged",
                language,
                failed=hedge["model"],
                model=hedge["goesOnWith"],
                cents=hedge["chargedCents"],
            )
        case HedgeEvent.FAILED:
            return message("hedge_failed", language, failed=hedge["model"], model=hedge["goesOnWith"])
        case HedgeEvent.STOPPED if hedge["chargedCents"]:
            return message("hedge_charged", language, model=hedge["model"], cents=hedge["chargedCents"])
        case event:
            return message(f"hedge_{event}", language, model=hedge["model"])


def _timeline_message(event: JobEvent, row: GenerationJob, provider: str, language: Language) -> str:
    if "lines" in event.data:
        return message("log_lines", language, provider=provider)
    if retry_at := event.data.get("retryAt"):
        return message("trying_again", language, at=f"{datetime.fromisoformat(retry_at):%H:%M:%S}")
    if event.status == Status.FAILED:
        return error_message(row, language, row.result_data or {}) or message("ended_failed", language)
    for phase in PHASES.values():
        if event.detail in {phase.message(each) for each in Language}:
            return phase.message(language)
    sentence = progress_sentence(
        Status(event.status),
        Stage(event.stage),
        ProviderName(provider),
        waiting_for=event.data.get("waitingFor"),
        queue_position=event.data.get("queuePosition"),
    )
    return in_language(sentence, language)


def _pushed_phase(row: GenerationJob, at: GenerationStatus) -> Phase | None:
    """The one of a provider that pushes that has led to this stage and percent."""
    if not ProviderName(row.provider).reports_by_push:
        return None
    reached = [
        phase
        for phase in PHASES.values()
        if (phase.status, phase.stage) == (at.status, at.stage)
        and (phase.is_last or phase.percent <= row.progress_percent)
    ]
    return max(reached, key=lambda phase: phase.percent, default=None)


def error_code(row: GenerationJob) -> FailureCode | Literal["other"] | None:
    if row.status == Status.CANCELED:
        return FailureCode.CANCELED
    if not row.error_code:
        return None
    return FailureCode(row.error_code) if row.error_code in set(FailureCode) else "other"


def error_message(row: GenerationJob, language: Language, result_data: Mapping[str, Any]) -> str | None:
    """By the error code; a provider's own reason is quoted as it came."""
    code, reason = error_code(row), row.error_message or ""
    if code is None or code == "other":
        return row.error_message
    if ProviderName(row.provider).reports_by_push:
        without_reason = {each: failure_without_reason(result_data, each) for each in Language}
        if reason in without_reason.values():  # the row has it in the language of the worker
            return without_reason[language]
    if reason == WITHOUT_REASON:
        return message(WITHOUT_REASON.key, language)
    return message(f"error_{code}", language, reason=reason)


def error_advice(row: GenerationJob, language: Language) -> str | None:
    """What the user can do about a failure; None where there is none."""
    code = error_code(row)
    return message(f"advice_{code}", language) if code else None
