"""What each answer of fal's queue means. Pure: an `Answer` in, a domain value or an error of `providers.errors` out.

Codes and bodies: https://fal.ai/docs/documentation/model-apis/inference/queue and its "errors" pages.
"""

import math
import re
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
from reelay.providers.strict_json import parse_json

STATES = {
    "IN_QUEUE": ProviderState.QUEUED,
    "IN_PROGRESS": ProviderState.RUNNING,
    "COMPLETED": ProviderState.ENDED,
}
LOCKED = re.compile(r"is locked|admin lock|exhausted balance|top_up", re.IGNORECASE)
# What fal says, with a 400 and no error type, when the result is asked for too early.
NOT_YET = re.compile(
    r"in progress|in queue|still (running|processing)|not (yet )?(complete|finished|ready)", re.IGNORECASE
)
# Model errors that fal sends with a 4xx although the input is not at fault.
PROVIDER_FAULTS = frozenset({"downstream_service_error", "downstream_service_unavailable"})

MAX_DETAILS = 20
MAX_POSITION = 2**31


def accepted(answer: Answer) -> dict[str, Any]:
    """The body of an accepted submission; its `request_id` is safe in a URL.

    This and `FalProvider.submit` decide what a POST has created: nothing for certain (a refusal: 4xx), one request
    (2xx that names it), or perhaps one (everything else).
    Raises: NotAccepted, SubmissionUncertain.
    """
    if not answer.is_success:
        raise _submission_error(answer)
    body = object_of(answer)
    if not is_request_id(body.get("request_id")):
        raise SubmissionUncertain(f"fal answered HTTP {answer.status} without a usable request id")
    return body


def _submission_error(answer: Answer) -> ProviderError:
    status = answer.status
    if not is_refusal(answer):
        return SubmissionUncertain(f"fal answered the submission with HTTP {status}")
    if _is_locked(answer):
        return AccountLocked(explanation(answer))
    match status:
        case 401 | 403:
            return Unauthorized(f"fal does not accept our key (HTTP {status})")
        case 429:
            return Throttled("fal asks to submit later (HTTP 429)", answer.retry_after)
    return Rejected(failure_of(answer))


def progress_of(answer: Answer) -> ProviderProgress:
    """What a status answer says. Raises: ResultExpired, Unauthorized, Unavailable."""
    if not answer.is_success:
        raise _call_error(answer)
    body = object_of(answer)
    word = body.get("status")
    if not isinstance(word, str):
        raise Unavailable("fal's answer to a status call names no status")
    state = STATES.get(word.upper(), ProviderState.RUNNING)
    return ProviderProgress(
        state=state,
        queue_position=position_of(body) if state is ProviderState.QUEUED else None,
        logs=_log_lines(body.get("logs")),
    )


def position_of(body: dict[str, Any]) -> int | None:
    """`queue_position`, if it is a sensible number."""
    value = body.get("queue_position")
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < MAX_POSITION else None


def result_of(answer: Answer) -> Result:
    """The model's answer, or why there is none.

    Raises: StillRunning, GenerationFailed, ResultExpired, Unauthorized, Unavailable.
    """
    if not answer.is_success:
        raise _result_error(answer)
    if answer.is_cut:
        raise GenerationFailed(Failure(code=FailureCode.PROVIDER_ERROR, message="The provider's answer is too large."))
    try:
        value = parse_json(answer.body, nan_as_null=True)  # models written in Python do send NaN
    except ValueError as error:
        raise Unavailable("fal's answer to a result call is not JSON") from error
    return Result(
        media=media_of(value),
        data=value if isinstance(value, dict) else {"output": value},
        billable_units=_billable_units(answer),
        unusable_units=_unusable_units(answer),
    )


def _result_error(answer: Answer) -> ProviderError:
    """fal replays what the model answered, with its code: a 5xx may be the run's end or a failure on the way to us."""
    if answer.status in (401, 403, 404, 410, 429):
        return _call_error(answer)
    if answer.status == 400 and not _error_types(answer) and NOT_YET.search(explanation(answer)):
        return StillRunning("fal is still working on it")
    if answer.status >= 400 and _is_of_the_run(answer):
        return GenerationFailed(failure_of(answer))
    return _call_error(answer)


def _is_of_the_run(answer: Answer) -> bool:
    """Whether it says how the run ended, and is no failure on the way to us.

    A 5xx has to name the type of its error, in X-Fal-Error-Type or its body: fal's gateways answer 5xx, too, with
    X-Fal-Request-Id. Of a 4xx, fal's `detail` or that header is enough (fal-client 1.0.3, `_is_ingress_error`). 422 and
    499 come from nowhere else.
    """
    if answer.status >= 500 or _error_types(answer):
        return bool(_error_types(answer))
    return answer.status in (422, 499) or "x-fal-request-id" in answer.headers or "detail" in object_of(answer)


def cancel_of(answer: Answer) -> CancelAnswer:
    """What a cancel call achieved. Raises: Unauthorized, Unavailable."""
    match answer.status:
        case 200:
            return CancelAnswer.CANCELED
        case 202:
            return CancelAnswer.REQUESTED
        case 400 | 404:
            return CancelAnswer.TOO_LATE
    raise _call_error(answer)


def _call_error(answer: Answer) -> ProviderError:
    """The error of a call that is free to repeat. A locked account is no reason to give up what it has paid for."""
    status = answer.status
    if status in (401, 403) and not _is_locked(answer):
        return Unauthorized(f"fal does not accept our key (HTTP {status})")
    if status in (404, 410):
        return ResultExpired(f"fal does not know the request, or no longer (HTTP {status})")
    return Unavailable(f"fal answered HTTP {status}", answer.retry_after)


def failure_of(answer: Answer) -> Failure:
    """An error answer as the caller of the API may read it."""
    types = _error_types(answer)
    if "content_policy_violation" in types:
        code = FailureCode.CONTENT_POLICY
    elif answer.status == 499 or "client_cancelled" in types:
        code = FailureCode.CANCELED
    elif answer.status >= 500 or types & PROVIDER_FAULTS:
        code = FailureCode.PROVIDER_ERROR
    else:
        code = FailureCode.PROVIDER_REJECTED
    return Failure(code=code, message=explanation(answer))


def explanation(answer: Answer) -> str:
    """The reason an error answer gives, on one line of at most 500 characters. `detail` is a text or a list."""
    body = object_of(answer)
    detail = body.get("detail", body.get("error"))
    reasons = [_reason(item) for item in detail[:MAX_DETAILS]] if isinstance(detail, list) else [_reason(detail)]
    return readable("; ".join(filter(None, reasons))) or f"fal answered HTTP {answer.status} and gave no reason."


def _reason(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return ""
    message = item.get("msg", item.get("message"))
    where = ".".join(str(part) for part in list_of(item.get("loc")) if isinstance(part, str | int) and part != "body")
    return ": ".join(part for part in (where, message) if isinstance(part, str) and part)


def _error_types(answer: Answer) -> set[str]:
    body = object_of(answer)
    details = [item.get("type") for item in list_of(body.get("detail")) if isinstance(item, dict)]
    named = [*details, body.get("error_type"), answer.headers.get("x-fal-error-type")]
    return {name for name in named if isinstance(name, str)}


def _log_lines(logs: Any) -> tuple[str, ...]:
    """The last lines, as text: fal lists them as strings or as `{message, timestamp, level}`."""
    texts = (item.get("message") if isinstance(item, dict) else item for item in list_of(logs)[-MAX_LOG_LINES:])
    return tuple(readable(text) for text in texts if isinstance(text, str))


def _billable_units(answer: Answer) -> float | None:
    try:
        units = float(answer.headers.get("x-fal-billable-units", ""))
    except ValueError:
        return None
    return units if math.isfinite(units) and units >= 0 else None


def _unusable_units(answer: Answer) -> str | None:
    units = answer.headers.get("x-fal-billable-units")
    return readable(units)[:40] if units is not None and _billable_units(answer) is None else None


def _is_locked(answer: Answer) -> bool:
    return answer.status == 402 or (answer.status == 403 and LOCKED.search(explanation(answer)) is not None)
