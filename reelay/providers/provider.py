"""What Reelay needs of a provider."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from reelay.domain.generation import ProviderProgress, Result, Submission


@dataclass(frozen=True, kw_only=True)
class SubmissionRequest:
    """One paid POST."""

    job_id: UUID
    endpoint: str
    arguments: Mapping[str, Any]
    attempt: int
    webhook_url: str | None
    """Where the provider reports the end; None when no public URL is configured."""
    deadline: timedelta | None = None
    """After this nobody waits for the end any more; a provider that can may stop by itself."""


class CancelAnswer(StrEnum):
    CANCELED = "canceled"
    """Removed from the queue: it will not run and will not be charged."""
    REQUESTED = "requested"
    """The provider will try; the request may still complete, and be charged."""
    TOO_LATE = "too_late"
    """Already ended, or unknown to the provider."""


@dataclass(frozen=True, kw_only=True)
class WebhookNotice:
    """What a verified webhook says: which request ended, and how the provider words it."""

    request_id: str
    succeeded: bool
    body: dict[str, Any]
    """The whole parsed body, for the delivery log."""
    ended: bool = True
    """False: the request still runs, and nothing follows from the notice."""


class WebhookVerifier(Protocol):
    """Tells a provider's own webhooks from everybody else's."""

    async def verify(self, headers: Mapping[str, str], body: bytes) -> WebhookNotice:
        """What the provider says, proved to be its word. Never raises but WebhookRejected, whatever it is given."""
        ...


class FinalPushes(Protocol):
    """The verified pushes by which providers that cannot be polled reported the outcome."""

    async def get(self, generation_id: UUID) -> bytes | None:
        """The push as it came, None while there is none. Raises: Unavailable."""
        ...


@dataclass(frozen=True, kw_only=True)
class OutgoingFile:
    """A file that a provider is to read as an input."""

    name: str
    content_type: str
    size_bytes: int
    lifetime: timedelta
    """For so long it has to be readable there; after that it should not be."""
    read: Callable[[], AsyncIterator[bytes]]
    """The bytes, from the beginning at each call. Raises: MediaError."""


class Provider(Protocol):
    """Submits, watches, fetches and cancels. Every method raises only errors of `providers.errors`."""

    account: str
    """Whose money is spent: `fingerprint` of the key. What locks one account does not concern another."""
    longest_data_uri: int
    """Bytes of a file that it takes within the input."""

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Send the one paid POST. Never re-sent here: whether that is safe, only the caller knows.

        Raises: NotAccepted (and its kinds), SubmissionUncertain.
        """
        ...

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """How far the request is. Raises: Unavailable, Unauthorized, ResultExpired."""
        ...

    async def result(self, submission: Submission) -> Result:
        """The provider's answer.

        Raises: StillRunning, GenerationFailed, ResultExpired, Unavailable, Unauthorized.
        """
        ...

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Ask the provider to stop. Raises: Unavailable, Unauthorized."""
        ...

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """Ids of all requests of our account that have the same endpoint and input and came in that time.

        What the list does not show (yet) is missing here. Raises: NotListed, Unavailable.
        """
        ...

    async def erase(self, request_id: str) -> None:
        """Delete what the provider stores of an ended request's input and output, as far as it offers that to us.

        Safe to repeat. Raises: Unavailable, Unauthorized.
        """
        ...

    async def upload(self, file: OutgoingFile) -> str:
        """Put the file where the provider reads it; its address, as an input takes it. Costs nothing.

        Raises: NotUploaded, Unavailable, Unauthorized.
        """
        ...

    def download_headers(self, url: str) -> Mapping[str, str]:
        """What a download from that address has to carry: our key, where the provider's own API serves the file."""
        ...

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        """A submission of which only the request id survived, with its addresses rebuilt."""
        ...
