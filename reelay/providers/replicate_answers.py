"""What Replicate's answers mean. Pure: an `Answer` in, a domain value or an error of `providers.errors` out.

Every answer of interest is a prediction, or `{title, status, detail}` for an error.
Sources: https://replicate.com/docs/reference/http and https://replicate.com/docs/topics/predictions/lifecycle
"""

import re
from datetime import timedelta
from typing import Any

from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import ProviderProgress, ProviderState, Result
from reelay.providers.errors import (
    AccountLocked,
    GenerationFailed,
    ProviderError,
    Rejected,
    ResultExpired,
    StillRunning,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
)
from reelay.providers.exchange import Answer
from reelay.providers.media_mapping import media_of
from reelay.providers.provider import CancelAnswer
from reelay.providers.reading import MAX_LOG_LINES, is_refusal, is_request_id, list_of, object_of, readable

SUCCEEDED = "succeeded"
CANCELED = frozenset({"canceled", "cancelled"})
ABORTED = "aborted"
"""Ended by its deadline before it ran. Not charged, and unknown to Replicate's own clients."""
STATES = {
    "starting": ProviderState.QUEUED,
    "processing": ProviderState.RUNNING,
    SUCCEEDED: ProviderState.ENDED,
    "failed": ProviderState.ENDED,
    ABORTED: ProviderState.ENDED,
    **dict.fromkeys(CANCELED, ProviderState.ENDED),
}
# Models say it in words of their own, as the error of a failed prediction. A word alone is no verdict: a checker that
# cannot be loaded has checked nothing.
FLAGGED = re.compile(
    r"\(E005\)|nsfw (content|images?|outputs?)( was| were)? (detected|found)|(was|were|been|is|are) flagged"
    r"|violat\w+ [^.]{0,40}polic|polic(y|ies) violat"
    r"|(blocked|rejected|refused|filtered) by [^.]{0,30}(safety|moderation)",
    re.IGNORECASE,
)
# "Request was throttled. Your rate limit resets in ~30s."
RESETS_IN = re.compile(r"resets in ~?([0-9]{1,4}) ?s")
# Models write tqdm's bars, as Replicate's own clients read them: " 42%|####      | 21/50 [00:08<00:11,  2.51it/s]".
BAR = re.compile(r"(?<![0-9.])([0-9]{1,3})%\|")
MAX_BAR_CHARACTERS = 4096
"""Of the log's end: older bars are overtaken."""
MAX_DETAILS = 20
MAX_SECONDS = 1e6


def state_of(word: str) -> ProviderState:
    """A status word, whatever its case. An unknown one means: keep waiting."""
    return STATES.get(word.lower(), ProviderState.RUNNING)


def succeeded(word: str) -> bool:
    return word.lower() == SUCCEEDED


def created(answer: Answer) -> dict[str, Any]:
    """The prediction that a submission became; its `id` is safe in a URL.

    This and `ReplicateProvider.submit` decide what a POST has created: nothing for certain (4xx), one prediction (2xx
    that names it), or perhaps one (everything else).
    Raises: NotAccepted, SubmissionUncertain.
    """
    if not answer.is_success:
        raise _submission_error(answer)
    body = object_of(answer)
    if not is_request_id(body.get("id")):
        raise SubmissionUncertain(f"Replicate answered HTTP {answer.status} without a usable prediction id")
    return body


def _submission_error(answer: Answer) -> ProviderError:
    if not is_refusal(answer):
        return SubmissionUncertain(f"Replicate answered the submission with HTTP {answer.status}")
    match answer.status:
        case 401 | 403:
            return Unauthorized(f"Replicate does not accept our token (HTTP {answer.status})")
        case 402:
            return AccountLocked(explanation(answer))
        case 429:
            return Throttled("Replicate asks to submit later (HTTP 429)", _wait_asked_for(answer))
    return Rejected(Failure(code=FailureCode.PROVIDER_REJECTED, message=explanation(answer)))


def progress_of(answer: Answer, *, logs: bool) -> ProviderProgress:
    """What a prediction says of itself. Raises: ResultExpired, Unauthorized, Unavailable."""
    body = _prediction(answer)
    return ProviderProgress(
        state=state_of(body["status"]),
        logs=_log_lines(body.get("logs")) if logs else (),
        percent=_percent(body.get("logs")),
    )


def result_of(answer: Answer) -> Result:
    """The model's output, or why there is none.

    Raises: StillRunning, GenerationFailed, ResultExpired, Unauthorized, Unavailable.
    """
    body = _prediction(answer)
    if state_of(body["status"]) is not ProviderState.ENDED:
        raise StillRunning("Replicate is still working on it")
    if not succeeded(body["status"]):
        raise GenerationFailed(failure_of(body))
    if body.get("data_removed") is True:
        raise ResultExpired("Replicate has deleted the output, as it does an hour after the end")
    output = body.get("output")
    return Result(
        media=media_of(output, output_alone=True),
        data=output if isinstance(output, dict) else {"output": output},
        billable_units=_predict_time(body),
        logs=_log_lines(body.get("logs")),
    )


def failure_of(prediction: dict[str, Any]) -> Failure:
    """Why a prediction that has ended has no output, as the caller of the API may read it."""
    word, error = prediction["status"].lower(), prediction.get("error")
    if word == ABORTED:
        message = "Replicate ended the prediction before it ran: its deadline had passed."
        return Failure(code=FailureCode.DEADLINE_EXCEEDED, message=message)
    if word in CANCELED:
        return Failure(code=FailureCode.CANCELED, message="The prediction was canceled at Replicate.")
    message = readable(error) if isinstance(error, str) else ""
    code = FailureCode.CONTENT_POLICY if FLAGGED.search(message) else FailureCode.PROVIDER_ERROR
    return Failure(code=code, message=message or "The prediction failed, and Replicate gave no reason.")


def cancel_of(answer: Answer) -> CancelAnswer:
    """What a cancel call achieved. Raises: Unauthorized, Unavailable."""
    if answer.status in (400, 404, 409, 422):
        return CancelAnswer.TOO_LATE
    body = _prediction(answer)
    word = body["status"].lower()
    if word in CANCELED or word == ABORTED:
        return CancelAnswer.REQUESTED if body.get("started_at") else CancelAnswer.CANCELED
    return CancelAnswer.TOO_LATE if state_of(word) is ProviderState.ENDED else CancelAnswer.REQUESTED


def call_error(answer: Answer) -> ProviderError:
    """The error of a call that is free to repeat."""
    if answer.status in (401, 403):
        return Unauthorized(f"Replicate does not accept our token (HTTP {answer.status})")
    if answer.status in (404, 410):
        return ResultExpired(f"Replicate does not know the prediction, or no longer (HTTP {answer.status})")
    return Unavailable(f"Replicate answered HTTP {answer.status}", _wait_asked_for(answer))


def explanation(answer: Answer) -> str:
    """The reason an error answer gives, on one line of at most 500 characters."""
    body = object_of(answer)
    fields = [_reason(item) for item in list_of(body.get("invalid_fields"))[:MAX_DETAILS]]
    detail = body.get("detail") or body.get("title")
    text = detail if isinstance(detail, str) else "; ".join(filter(None, fields))
    return readable(text) or f"Replicate answered HTTP {answer.status} and gave no reason."


def _reason(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    parts = (item.get("field"), item.get("description"))
    return ": ".join(part for part in parts if isinstance(part, str) and part)


def _prediction(answer: Answer) -> dict[str, Any]:
    if not answer.is_success:
        raise call_error(answer)
    if answer.is_cut:
        raise GenerationFailed(Failure(code=FailureCode.PROVIDER_ERROR, message="The provider's answer is too large."))
    body = object_of(answer)
    if not isinstance(body.get("status"), str):
        raise Unavailable("Replicate's answer is not a prediction")
    return body


def _log_lines(logs: Any) -> tuple[str, ...]:
    """The last lines of one text."""
    lines = logs.splitlines()[-MAX_LOG_LINES:] if isinstance(logs, str) else []
    return tuple(line for line in map(readable, lines) if line)


def _percent(logs: Any) -> int | None:
    """What the last progress bar of the log says. Bars overwrite themselves with carriage returns."""
    said = BAR.findall(logs[-MAX_BAR_CHARACTERS:]) if isinstance(logs, str) else []
    return next((percent for percent in map(int, reversed(said)) if percent <= 100), None)


def _predict_time(prediction: dict[str, Any]) -> float | None:
    """Seconds of computing, which is what Replicate bills where a model has no price of its own."""
    metrics = prediction.get("metrics")
    value = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MAX_SECONDS else None


def _wait_asked_for(answer: Answer) -> timedelta | None:
    """`Retry-After`, else what the text of a 429 says."""
    if answer.retry_after is not None:
        return answer.retry_after
    said = RESETS_IN.search(explanation(answer))
    return timedelta(seconds=int(said[1])) if said else None
