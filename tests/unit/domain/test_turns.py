"""Whose turn it is: priorities are strict, users share by weight, nobody starves, no limit is exceeded."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.generation import Priority
from reelay.domain.turns import Place, Share, SlotLimits, SlotsInUse, Turn, Turns, WaitingJob

START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [UUID(int=number) for number in range(4)]
ENDPOINTS = ["fal-ai/one", "fal-ai/two"]


class Account:
    """A provider's account whose jobs wait, run and end."""

    def __init__(self, limits: SlotLimits, weights: dict[UUID, float] | None = None) -> None:
        self.limits = limits
        self.shares = {user: Share(weight) for user, weight in (weights or {}).items()}
        self.last_start = 0.0
        self.waiting: list[WaitingJob] = []
        self.running: list[WaitingJob] = []

    def add(
        self,
        user: UUID,
        count: int = 1,
        *,
        priority: Priority = Priority.NORMAL,
        endpoint: str = ENDPOINTS[0],
        place: Place = Place.LINE,
    ) -> None:
        for _ in range(count):
            since = START + timedelta(seconds=len(self.waiting) + len(self.running))
            job = WaitingJob(id=uuid4(), user_id=user, endpoint=endpoint, priority=priority, since=since, place=place)
            self.waiting.append(job)

    def give_turns(self) -> list[WaitingJob]:
        in_use = Counter((job.user_id, job.endpoint) for job in self.running)
        turns = Turns(
            self.limits,
            [SlotsInUse(user_id=user, endpoint=endpoint, jobs=jobs) for (user, endpoint), jobs in in_use.items()],
            last_start=self.last_start,
        )
        started = [self._start(turn) for turn in turns.choose(self.waiting, self.shares)]
        self.last_start = turns.last_start
        return started

    def end(self, job: WaitingJob) -> list[WaitingJob]:
        self.running.remove(job)
        return self.give_turns()

    def _start(self, turn: Turn) -> WaitingJob:
        (job,) = (job for job in self.waiting if job.id == turn.job_id)
        self.waiting.remove(job)
        self.running.append(job)
        self.shares[job.user_id] = replace(self.shares.get(job.user_id, Share()), next_start=turn.next_start)
        return job


JOBS = st.tuples(st.sampled_from(USERS), st.sampled_from(Priority), st.sampled_from(ENDPOINTS), st.sampled_from(Place))
WEIGHTS = st.dictionaries(st.sampled_from(USERS), st.sampled_from([0.5, 1.0, 2.0]))
LIMITS = st.one_of(st.none(), st.integers(0, 4))


@given(
    st.lists(JOBS, max_size=20),
    LIMITS,
    LIMITS,
    st.dictionaries(st.sampled_from(ENDPOINTS), st.integers(0, 3)),
    st.lists(st.integers(0, 10), max_size=20),
)
def test_no_limit_is_exceeded_no_slot_is_left_free_and_priority_goes_first(
    jobs: list[tuple[UUID, Priority, str, Place]],
    slots: int | None,
    per_user: int | None,
    endpoints: dict[str, int],
    ends: list[int],
) -> None:
    account = Account(SlotLimits(slots, per_user, endpoints))
    for user, priority, endpoint, place in jobs:
        account.add(user, priority=priority, endpoint=endpoint, place=place)
    account.give_turns()
    for which in ends:
        if account.running:
            before = list(account.waiting)
            for started in account.end(account.running[which % len(account.running)]):
                urgent = [job for job in before if job.rank > started.rank]
                assert all(job not in account.waiting or not has_room(account, job) for job in urgent)

        assert slots is None or len(account.running) <= slots
        users = Counter(job.user_id for job in account.running)
        at = Counter(job.endpoint for job in account.running)
        assert per_user is None or all(count <= per_user for count in users.values())
        assert all(count <= endpoints.get(endpoint, count) for endpoint, count in at.items())
        assert not any(has_room(account, job) for job in account.waiting)


def has_room(account: Account, job: WaitingJob) -> bool:
    limits, running = account.limits, account.running
    return (
        (limits.account is None or len(running) < limits.account)
        and (limits.per_user is None or sum(job.user_id == each.user_id for each in running) < limits.per_user)
        and sum(job.endpoint == each.endpoint for each in running)
        < limits.endpoints.get(job.endpoint, len(running) + 1)
    )


@given(
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 5.0]), min_size=2, max_size=4),
    st.integers(1, 5),
    st.lists(st.integers(0, 4), min_size=30, max_size=60),
)
def test_users_who_all_wait_share_by_weight(weights: list[float], slots: int, ends: list[int]) -> None:
    """The bound of start-time fair queueing, at every moment and for every pair; it also means that nobody starves."""
    by_user = dict(zip(USERS, weights, strict=False))
    account = Account(SlotLimits(slots), by_user)
    for user in by_user:
        account.add(user, 100)
    started = Counter(job.user_id for job in account.give_turns())
    for which in ends:
        started.update(job.user_id for job in account.end(account.running[which % slots]))
        for one, weight in by_user.items():
            for other, other_weight in by_user.items():
                assert (
                    abs(started[one] / weight - started[other] / other_weight) <= 1 / weight + 1 / other_weight + 1e-9
                )


@given(st.lists(JOBS, max_size=15), st.integers(1, 3), WEIGHTS)
def test_the_order_that_is_told_is_the_order_of_the_turns(
    jobs: list[tuple[UUID, Priority, str, Place]], slots: int, weights: dict[UUID, float]
) -> None:
    account = Account(SlotLimits(slots), weights)
    for user, priority, endpoint, place in jobs:
        account.add(user, priority=priority, endpoint=endpoint, place=place)
    told = Turns(account.limits, []).order(account.waiting, account.shares)

    started = account.give_turns()
    while account.running:
        started += account.end(account.running[0])

    assert [job.id for job in started] == [job.id for job in told]


@pytest.mark.parametrize("ends", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_two_jobs_of_another_user_start_after_two_ends_beside_a_batch(ends: tuple[int, int]) -> None:
    batch, other = USERS[:2]
    account = Account(SlotLimits(2))
    account.add(batch, 200)
    account.give_turns()
    for _ in range(20):
        account.end(account.running[0])
    account.add(other, 2)

    started = [job for which in ends for job in account.end(account.running[which])]

    assert [job.user_id for job in started] == [other, other]


def test_who_was_away_for_long_has_no_more_than_its_share_when_it_comes_back() -> None:
    busy, away = USERS[:2]
    account = Account(SlotLimits(2))
    account.add(away, 1)
    account.add(busy, 100)
    for _ in range(50):
        account.give_turns()
        account.end(account.running[0])
    account.add(away, 50)

    started = [job.user_id for _ in range(20) for job in account.end(account.running[0])]

    assert started.count(away) - started.count(busy) <= 2
