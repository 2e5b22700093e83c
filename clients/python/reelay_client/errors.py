"""What can go wrong with a call.

ReelayError
├── NotReachable              no answer, or 503
├── Refused                   the API answered with a problem (RFC 9457): `status`, `code`, `detail`, `errors`
│   ├── NotAuthorized         401, 403
│   ├── InsufficientCredits   402
│   ├── NotFound              404; also what belongs to somebody else
│   ├── ConfirmationRequired  409: say `confirm=True`
│   ├── InvalidInput          422: `errors` names every wrong field
│   └── RateLimited           429: `retry_after` seconds
├── GenerationFailed          the job ended without its media: `job` says why
├── WaitTimeout               it was waited for as long as asked; the job goes on
├── InvalidWebhook            it is not signed by your secret, or was signed too long ago
├── NoMedia                   the job has no such file
└── DamagedDownload           what came is not what the API told
"""

from typing import Any

import httpx

from reelay_client.models import Job

PROBLEM = "application/problem+json"


class ReelayError(Exception):
    """The message is for a person."""


class NotReachable(ReelayError):
    """Nothing is known of what became of the call."""


class Refused(ReelayError):
    """The call has changed nothing."""

    def __init__(self, response: httpx.Response, problem: dict[str, Any]) -> None:
        self.status = response.status_code
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = problem.get("errors") or []
        self.retry_after = float(_decimal(response.headers.get("retry-after", "")))
        title = problem.get("title") or f"HTTP {self.status} from {response.url.path}"
        lines = [f"{title}: {self.detail}" if self.detail else str(title)]
        lines += [f"  {error.get('field')}: {error.get('message')}" for error in self.errors]
        super().__init__("\n".join(lines))


class NotAuthorized(Refused):
    """Another key is needed."""


class InsufficientCredits(Refused):
    """It costs more than there is."""


class NotFound(Refused):
    """Nothing that this key may see."""


class ConfirmationRequired(Refused):
    """It costs more than may be spent without asking."""


class InvalidInput(Refused):
    """The input does not fit the model."""


class RateLimited(Refused):
    """Too much at once."""


class GenerationFailed(ReelayError):
    """The job failed or was canceled."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error_message or f"The generation was {job.status}.")
        self.job = job
        self.code = job.error_code or job.status


class WaitTimeout(ReelayError):
    """The job has not ended yet. It goes on."""

    def __init__(self, job: Job | None) -> None:
        super().__init__("The generation takes longer than it was waited for. It goes on.")
        self.job = job


class InvalidWebhook(ReelayError):
    """Nothing in it is to be believed."""


class NoMedia(ReelayError):
    """There is nothing to download."""


class DamagedDownload(ReelayError):
    """Nothing was kept of it."""


BY_STATUS = {
    401: NotAuthorized,
    402: InsufficientCredits,
    403: NotAuthorized,
    404: NotFound,
    422: InvalidInput,
    429: RateLimited,
}


def refusal(response: httpx.Response) -> Refused:
    """The error of an answer whose body has been read."""
    problem = response.json() if response.headers.get("content-type", "").startswith(PROBLEM) else {}
    if problem.get("code") == "CONFIRMATION_REQUIRED":
        return ConfirmationRequired(response, problem)
    return BY_STATUS.get(response.status_code, Refused)(response, problem)


def _decimal(text: str) -> str:
    return text if text.isascii() and text.isdecimal() else "0"
