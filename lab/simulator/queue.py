"""The queue of one account at each provider: what was posted, what was accepted, when each request starts and ends."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel

from lab.simulator.clock import Clock
from lab.simulator.faults import Fault, Faults
from lab.simulator.requests import Delivery, Provider, QueueStatus, SimulatedRequest, app_of
from lab.simulator.settings import SimulatorSettings
from lab.simulator.store import Store

QUEUED_AT_MOST = timedelta(seconds=0.5)
CANCEL_TAKES = timedelta(seconds=0.2)


class CancelStatus(StrEnum):
    OK = "OK"
    """Removed from the queue."""
    CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"


class Posts(BaseModel):
    """What the submissions of one sender were answered."""

    accepted: int = 0
    refused: dict[str, int] = {}
    """By status code."""

    @property
    def total(self) -> int:
        return self.accepted + sum(self.refused.values())


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One POST, as far as the queue cares."""

    provider: Provider
    request_id: str
    """Of the request that it becomes if it is accepted."""
    endpoint: str
    input: dict[str, Any]
    origin: str
    webhook_url: str | None
    faults: Faults
    key: str = ""
    """The sender's, where an account can be locked."""
    webhook_events: frozenset[str] | None = None
    job_id: str | None = None
    """Of a provider that receives it in the submission."""
    cancel_after: timedelta | None = None

    @property
    def app(self) -> str:
        return app_of(self.endpoint)

    @property
    def job(self) -> str | None:
        """The submitter's own id, where it or its webhook URL names one."""
        return self.job_id or next(iter(parse_qs(urlsplit(self.webhook_url or "").query).get("job", [])), None)

    @property
    def sender(self) -> str:
        """What makes two POSTs attempts at one thing: the job, else the same content."""
        content = json.dumps([self.endpoint, self.input], sort_keys=True)
        return self.job or hashlib.sha256(content.encode()).hexdigest()


class Queue:
    """Requests and counts, written to the store whenever they change."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, store: Store) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self.requests = {id: SimulatedRequest.model_validate_json(body) for id, body in store.all("request").items()}
        self.posts = {sender: Posts.model_validate_json(body) for sender, body in store.all("posts").items()}
        self.locked_keys: set[str] = set()
        """Keys of locked accounts: their submissions are refused with a 403."""
        self._open = dict(self.requests)

    def submit_fault(self, submission: Submission) -> Fault | None:
        """The fault that this POST asks for, unless the sender has had its share of it."""
        fault = submission.faults.one_of("submit")
        if fault is None:
            return None
        share = submission.faults.times.get(fault)
        return fault if share is None or self._posts_of(submission).total < share else None

    def refuse(self, submission: Submission, status_code: int) -> None:
        """Count a POST that was not accepted."""
        posts = self._posts_of(submission)
        posts.refused[str(status_code)] = posts.refused.get(str(status_code), 0) + 1
        self._save_posts(submission.sender, posts)

    def accept(self, submission: Submission) -> SimulatedRequest:
        """Plan a request. From here on it runs, whatever becomes of the connection that brought it."""
        now = self._clock.now()
        starts_at, ends_at = self._plan(submission, now)
        request = SimulatedRequest(
            provider=submission.provider,
            id=submission.request_id,
            endpoint=submission.endpoint,
            input=submission.input,
            origin=submission.origin,
            webhook_url=submission.webhook_url,
            webhook_events=submission.webhook_events,
            job=submission.job or submission.request_id,
            accepted_at=now,
            starts_at=starts_at,
            ends_at=ends_at,
        )
        if submission.cancel_after is not None:
            request.stop_at(now + submission.cancel_after)
        self.requests[request.id] = self._open[request.id] = request
        self.save(request)
        posts = self._posts_of(submission)
        posts.accepted += 1
        self._save_posts(submission.sender, posts)
        return request

    def find(self, provider: Provider, request_id: str) -> SimulatedRequest | None:
        request = self.requests.get(request_id)
        return request if request is not None and request.provider is provider else None

    def requests_of(self, provider: Provider) -> list[SimulatedRequest]:
        """The provider's, in the order in which they were accepted."""
        return [request for request in self.requests.values() if request.provider is provider]

    def cancel(self, request: SimulatedRequest) -> CancelStatus:
        """Take a waiting request out of the queue, or ask a running one to stop."""
        now = self._clock.now()
        request.cancel_calls += 1
        match request.status(now):
            case QueueStatus.COMPLETED:
                answer = CancelStatus.ALREADY_COMPLETED
            case QueueStatus.IN_QUEUE:
                request.canceled_at = request.ends_at = now
                answer = CancelStatus.OK
            case QueueStatus.IN_PROGRESS:
                stopping = request.canceled_at is not None and request.canceled_at <= now
                if Fault.CANCEL_IGNORED not in request.faults and not stopping:
                    request.canceled_at = now
                    request.ends_at = min(request.ends_at, now + CANCEL_TAKES)
                answer = CancelStatus.CANCELLATION_REQUESTED
        self.save(request)
        return answer

    def end(self, request: SimulatedRequest) -> None:
        """As if it had taken no longer than until now."""
        now = self._clock.now()
        request.starts_at, request.ends_at = min(request.starts_at, now), min(request.ends_at, now)
        self.save(request)

    def waiting(self, app: str, before: datetime | None = None) -> int:
        """How many requests of an app are queued, of those accepted before a moment."""
        now = self._clock.now()
        return sum(
            request.app == app
            and request.status(now) is QueueStatus.IN_QUEUE
            and (before is None or request.accepted_at < before)
            for request in self._still_open(now)
        )

    def record_delivery(self, request: SimulatedRequest, delivery: Delivery) -> None:
        request.deliveries.append(delivery)
        self.save(request)

    def save(self, request: SimulatedRequest) -> None:
        self._store.put("request", request.id, request.model_dump_json())

    def reset(self) -> None:
        """Forget every request and every count."""
        for kind in ("request", "posts"):
            self._store.delete_all(kind)
        self.requests.clear()
        self.posts.clear()
        self.locked_keys.clear()
        self._open.clear()

    def _plan(self, submission: Submission, now: datetime) -> tuple[datetime, datetime]:
        faults = submission.faults
        latency = faults.latency
        if latency is None:
            latency = timedelta(0) if Fault.WEBHOOK_EARLY in faults else self._settings.latency
        queued = min(QUEUED_AT_MOST, latency / 4)
        starts_at = max(now + queued, self._slot_free_at(submission.provider, now))
        return starts_at, starts_at + latency - queued

    def _slot_free_at(self, provider: Provider, now: datetime) -> datetime:
        """When the account may run one more. A cancellation does not move up those that are already planned."""
        limit = self._settings.fal_concurrency if provider is Provider.FAL else None
        ends = sorted(request.ends_at for request in self._still_open(now) if request.provider is provider)
        return now if limit is None or len(ends) < limit else ends[-limit]

    def _still_open(self, now: datetime) -> list[SimulatedRequest]:
        self._open = {id: request for id, request in self._open.items() if request.ends_at > now}
        return list(self._open.values())

    def _posts_of(self, submission: Submission) -> Posts:
        return self.posts.setdefault(submission.sender, Posts())

    def _save_posts(self, sender: str, posts: Posts) -> None:
        self._store.put("posts", sender, posts.model_dump_json())
