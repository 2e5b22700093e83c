"""One request of the queue. Its state at any moment follows from its times, so nothing has to run for it to advance."""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from lab.simulator.faults import Fault, Faults, parse_faults

LOG_LINES = ("Loading the model", "Reading the input", "Generating", "Encoding", "Uploading the output")


class Provider(StrEnum):
    """Whom a request was sent to."""

    FAL = "fal"
    REPLICATE = "replicate"
    STUDIO = "studio"


class QueueStatus(StrEnum):
    """Where a request is. The words are fal's."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


class Delivery(BaseModel):
    """One webhook that was sent, and what the receiver answered."""

    at: datetime
    status_code: int | None = None
    error: str | None = None
    took_ms: float = 0.0
    """Until the answer, or until none was waited for any longer."""

    @property
    def acknowledged(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def redirected(self) -> bool:
        return self.status_code is not None and 300 <= self.status_code < 400


class SimulatedRequest(BaseModel):
    """A request that a provider has accepted."""

    provider: Provider = Provider.FAL
    id: str
    endpoint: str
    input: dict[str, Any]
    origin: str
    """Where the submission came to; the addresses that are handed out start with it."""
    webhook_url: str | None
    webhook_events: frozenset[str] | None = None
    """Those that Replicate was asked for; None: what it sends unasked."""
    job: str
    """The submitter's own id, from `job=` in its webhook URL; without one, the request's id."""
    accepted_at: datetime
    starts_at: datetime
    ends_at: datetime
    deadline: datetime | None = None
    """When it is stopped, if it has not ended."""
    canceled_at: datetime | None = None
    status_calls: int = 0
    result_calls: int = 0
    cancel_calls: int = 0
    downloads: dict[str, int] = {}
    """Per file name."""
    deliveries: list[Delivery] = []
    payloads_deleted: bool = False
    """Neither its input nor its result is shown any more."""
    webhook_rounds: int = 0
    """How far the retry schedule is: a round is one delivery, or many at once when duplicates were asked for."""
    webhook_settled: bool = False
    """No more deliveries will be made."""

    @cached_property
    def faults(self) -> Faults:
        return parse_faults(prompt_text(self.input))

    @property
    def app(self) -> str:
        return app_of(self.endpoint)

    @property
    def removed_from_queue(self) -> bool:
        """Canceled before it ran."""
        return self.canceled_at is not None and self.canceled_at < self.starts_at

    @property
    def aborted(self) -> bool:
        """Ended by its deadline before it ran."""
        missed = self.removed_from_queue and self.canceled_at == self.deadline
        return missed or (Fault.FAIL_ABORTED in self.faults and self.canceled_at is None)

    def stop_at(self, deadline: datetime) -> None:
        self.deadline = deadline
        if deadline < self.ends_at:
            self.canceled_at = self.ends_at = deadline

    def shows_media(self, now: datetime) -> bool:
        late = self.faults.delays.get(Fault.WEBHOOK_NO_MEDIA, timedelta(0))
        return Fault.RESULT_NEVER_MEDIA not in self.faults and now >= self.ends_at + late

    def hits_gateway(self) -> bool:
        """Whether this call of its result, which is counted already, is answered by something before the provider."""
        return self.result_calls <= self.faults.times.get(Fault.RESULT_504, 0)

    def status(self, now: datetime) -> QueueStatus:
        if now >= self.ends_at:
            return QueueStatus.COMPLETED
        return QueueStatus.IN_PROGRESS if now >= self.starts_at else QueueStatus.IN_QUEUE

    def logs(self, now: datetime) -> list[dict[str, str]]:
        """The lines written so far, spread evenly over the run."""
        step = (self.ends_at - self.starts_at) / len(LOG_LINES)
        times = [self.starts_at + number * step for number in range(len(LOG_LINES))]
        return [
            {"message": message, "timestamp": at.isoformat(), "level": "INFO", "source": "USER"}
            for message, at in zip(LOG_LINES, times, strict=True)
            if at <= now and not self.removed_from_queue
        ]

    @property
    def inference_time(self) -> float:
        """Seconds."""
        return round(max(self.ends_at - self.starts_at, timedelta(0)).total_seconds(), 3)


def app_of(endpoint: str) -> str:
    """Status, result and cancel live under the first two parts of an endpoint."""
    return "/".join(endpoint.split("/")[:2])


def prompt_text(arguments: dict[str, Any]) -> str:
    """The parts of an input that people write, where faults are asked for."""
    return " ".join(text for key in ("prompt", "text") if isinstance(text := arguments.get(key), str))


def new_request_id(now: datetime) -> str:
    """A UUIDv7: 48 bits of milliseconds, then chance."""
    milliseconds = int(now.timestamp() * 1000)
    bits = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=bits))
