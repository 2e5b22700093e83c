"""A provider whose key was removed while jobs are open there."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reelay.domain.generation import ProviderName, ProviderProgress, Result, Submission
from reelay.providers.errors import ProviderNotConfigured, Unauthorized
from reelay.providers.provider import CancelAnswer, OutgoingFile, SubmissionRequest

REQUIRED_VARIABLES = {
    ProviderName.FAL: "FAL_KEY",
    ProviderName.REPLICATE: "REPLICATE_API_TOKEN",
    ProviderName.STUDIO: "WEBHOOK_SECRET",
}
ASK_AGAIN = timedelta(seconds=5)
"""An attempt that finds no key is free."""


class UnconfiguredProvider:
    """Implements `providers.provider.Provider`. What was submitted waits for the key until its deadline."""

    account = ""
    longest_data_uri = 0

    def __init__(self, name: ProviderName) -> None:
        self._reason = f"{name} is not set up in this worker: {REQUIRED_VARIABLES[name]} is missing"

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Raises: Unauthorized."""
        raise Unauthorized(self._reason)

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    async def result(self, submission: Submission) -> Result:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    async def erase(self, request_id: str) -> None:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    async def upload(self, file: OutgoingFile) -> str:
        """Raises: ProviderNotConfigured."""
        raise self._not_configured()

    def download_headers(self, url: str) -> Mapping[str, str]:
        """None: there is no key."""
        return {}

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        """Without addresses: nobody can be asked about it here."""
        return Submission(
            attempt=attempt,
            request_id=request_id,
            status_url="",
            response_url="",
            cancel_url="",
            webhook_expected=False,
        )

    def _not_configured(self) -> ProviderNotConfigured:
        return ProviderNotConfigured(self._reason, ASK_AGAIN)
