"""Whose turn it is at a provider that runs only so many requests at once.

By priority; among jobs of one priority by weighted fairness among their users; among equals by age. What an operator
has moved to the front goes before all priorities, what is moved to the back after them. Fairness is start-time fair
queueing (Goyal, Vin, Cheng, 1996): a job begins at a point of virtual time, its user's next one a `1 / weight` later,
and the smallest start has the turn. Who comes anew begins a little behind the provider's clock.
docs/decisions/025-slots.md has the proof.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import heapify, heappop, heappush
from math import inf
from uuid import UUID

from reelay.domain.generation import Priority


@dataclass(frozen=True)
class SlotLimits:
    """How many jobs may be at a provider at once; None: as many as there are."""

    account: int | None = None
    per_user: int | None = None
    endpoints: Mapping[str, int] = field(default_factory=dict)
    is_learned: bool = False
    """Whether the account's limit is what was learned last."""

    def __bool__(self) -> bool:
        return self.account is not None or self.per_user is not None or bool(self.endpoints)


class Place(StrEnum):
    """Where an operator has a job wait.

    - `front`: before all that are not there.
    - `line`: where its priority and its user's share put it.
    - `back`: behind all others.
    """

    FRONT = "front"
    LINE = "line"
    BACK = "back"


@dataclass(frozen=True, kw_only=True)
class WaitingJob:
    id: UUID
    user_id: UUID
    endpoint: str
    priority: Priority
    since: datetime
    place: Place = Place.LINE

    @property
    def rank(self) -> int:
        """The higher goes first, whatever the shares."""
        match self.place:
            case Place.FRONT:
                return len(Priority)
            case Place.BACK:
                return -1
            case _:
                return self.priority.rank


@dataclass(frozen=True, kw_only=True)
class SlotsInUse:
    """By jobs of one user and one endpoint."""

    user_id: UUID
    endpoint: str
    jobs: int


@dataclass(frozen=True)
class Share:
    weight: float = 1.0
    next_start: float = -inf
    """Where the user's next job begins, unless the provider's clock is ahead of it."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    job_id: UUID
    user_id: UUID
    next_start: float
    """Of its user's next job."""


class Turns:
    """The turns of one provider's account."""

    def __init__(self, limits: SlotLimits, in_use: Sequence[SlotsInUse], *, last_start: float = 0.0) -> None:
        """`last_start`: the greatest start of a turn so far."""
        self._limits = limits
        self.last_start = last_start
        self._in_use = 0
        self._of_user, self._of_endpoint = Counter[UUID](), Counter[str]()
        for used in in_use:
            self._occupy(used.user_id, used.endpoint, used.jobs)

    @property
    def free(self) -> int | None:
        """The account's free slots; None: it has no limit."""
        return None if self._limits.account is None else max(self._limits.account - self._in_use, 0)

    def choose(self, waiting: Sequence[WaitingJob], shares: Mapping[UUID, Share]) -> list[Turn]:
        """As many as there are slots for, in order."""
        turns: list[Turn] = []
        left, next_starts = list(waiting), {user_id: share.next_start for user_id, share in shares.items()}
        while self.free != 0 and (
            eligible := [job for job in left if self._is_below_limits(job.user_id, job.endpoint)]
        ):
            clock = self._clock()
            starts = {job.id: max(clock, next_starts.get(job.user_id, clock)) for job in eligible}
            chosen = min(eligible, key=lambda job: (-job.rank, starts[job.id], job.since, job.id))
            left.remove(chosen)
            self._occupy(chosen.user_id, chosen.endpoint, 1)
            self.last_start = max(self.last_start, starts[chosen.id])
            next_start = starts[chosen.id] + 1 / shares.get(chosen.user_id, Share()).weight
            next_starts[chosen.user_id] = next_start
            turns.append(Turn(job_id=chosen.id, user_id=chosen.user_id, next_start=next_start))
        return turns

    def order(self, waiting: Sequence[WaitingJob], shares: Mapping[UUID, Share]) -> list[WaitingJob]:
        """In which order all have their turns, should nobody else come and no endpoint or user be at a limit."""
        queues: dict[int, dict[UUID, deque[WaitingJob]]] = {}
        for job in sorted(waiting, key=lambda job: (job.since, job.id)):
            queues.setdefault(job.rank, {}).setdefault(job.user_id, deque()).append(job)
        next_starts = {user_id: share.next_start for user_id, share in shares.items()}
        ordered: list[WaitingJob] = []
        for rank in sorted(queues, reverse=True):
            ordered += self._order_of_equals(queues[rank], next_starts, shares)
        return ordered

    def _order_of_equals(
        self, queues: dict[UUID, deque[WaitingJob]], next_starts: dict[UUID, float], shares: Mapping[UUID, Share]
    ) -> Iterator[WaitingJob]:
        """By the smallest start, as `choose` does. All that are behind the clock start there, the oldest first."""
        ahead = [
            (next_starts.get(user_id, -inf), jobs[0].since, jobs[0].id, user_id) for user_id, jobs in queues.items()
        ]
        heapify(ahead)
        behind: list[tuple[datetime, UUID, UUID]] = []
        while ahead or behind:
            clock = self._clock()
            while ahead and ahead[0][0] <= clock:
                heappush(behind, heappop(ahead)[1:])
            start, user_id = (clock, heappop(behind)[-1]) if behind else (ahead[0][0], heappop(ahead)[-1])
            jobs = queues[user_id]
            yield jobs.popleft()
            self.last_start = max(self.last_start, start)
            next_starts[user_id] = start + 1 / shares.get(user_id, Share()).weight
            if jobs:
                heappush(ahead, (next_starts[user_id], jobs[0].since, jobs[0].id, user_id))

    def has_slot_for_any(self, waiting: Sequence[WaitingJob]) -> bool:
        return any(self.has_slot(job.user_id, job.endpoint) for job in waiting)

    def has_slot(self, user_id: UUID, endpoint: str) -> bool:
        """Whether one is free for a request of that user's to that endpoint."""
        return self.free != 0 and self._is_below_limits(user_id, endpoint)

    def _is_below_limits(self, user_id: UUID, endpoint: str) -> bool:
        per_user, of_endpoint = self._limits.per_user, self._limits.endpoints.get(endpoint)
        return (per_user is None or self._of_user[user_id] < per_user) and (
            of_endpoint is None or self._of_endpoint[endpoint] < of_endpoint
        )

    def _clock(self) -> float:
        """Where a newcomer begins: as if it had come before those that hold the slots now.

        So it has the next turns, at most one for each slot, and its share from then on.
        """
        slots = self._in_use if self._limits.account is None else self._limits.account
        return self.last_start - max(slots - 1, 0)

    def _occupy(self, user_id: UUID, endpoint: str, jobs: int) -> None:
        self._in_use += jobs
        self._of_user[user_id] += jobs
        self._of_endpoint[endpoint] += jobs
