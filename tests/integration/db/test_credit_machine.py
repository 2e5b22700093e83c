"""The ledger against a model of it in five lines, under any sequence of what can happen to a user's credits."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from reelay.db.credits import AmountRefused, adjust, balance_of, ledger_drift, top_up
from reelay.db.engine import make_engine, make_sessions
from tests.integration.db.test_credits import Ledger, OutOfCredits
from tests.servers import Database, Postgres

T = TypeVar("T")
AMOUNTS = st.integers(0, 200)
REFERENCES = st.sampled_from(["a", "b", "c"])


@pytest.fixture
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


class CreditMachine(RuleBasedStateMachine):
    database: Database
    jobs: Bundle[Any] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engines = [make_engine(url, pool_size=2) for url in (self.database.admin_url, self.database.app_url)]
        service, app = map(make_sessions, self.engines)
        self.ledger = Ledger(service, [app])
        self.user = self.do(self.ledger.user())
        self.available = 0
        self.open: dict[Any, int] = {}
        self.references: set[str] = set()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        for engine in self.engines:
            self.do(engine.dispose())
        self.runner.close()

    @rule(cents=AMOUNTS, reference=REFERENCES)
    def top_up(self, cents: int, reference: str) -> None:
        async def add() -> bool:
            async with self.ledger.service.begin() as session:
                return await top_up(session, self.user, cents, reference=reference)

        if cents == 0:
            with pytest.raises(AmountRefused):
                self.do(add())
            return
        assert self.do(add()) is (reference not in self.references)
        self.available += 0 if reference in self.references else cents
        self.references.add(reference)

    @rule(cents=st.integers(-100, -1), reason=REFERENCES)
    def take_away(self, cents: int, reason: str) -> None:
        async def correct() -> bool:
            async with self.ledger.service.begin() as session:
                return await adjust(session, self.user, cents, reason=f"correction {reason}")

        if f"correction {reason}" in self.references:
            assert not self.do(correct())
        elif cents + self.available < 0:
            with pytest.raises(AmountRefused):
                self.do(correct())
        else:
            assert self.do(correct())
            self.available += cents
            self.references.add(f"correction {reason}")

    @rule(target=jobs, price=AMOUNTS)
    def create(self, price: int) -> Any:
        if price > self.available:
            with pytest.raises(OutOfCredits):
                self.do(self.ledger.create(self.user, price))
            return multiple()
        job = self.do(self.ledger.create(self.user, price))
        self.available -= price
        self.open[job] = price
        return job

    @rule(job=jobs, percent=st.integers(0, 100))
    def complete(self, job: Any, percent: int) -> None:
        held = self.open.pop(job, None)
        cost = (held or 0) * percent // 100
        assert self.do(self.ledger.complete(job, cost)) is (held is not None)
        self.available += (held or 0) - cost

    @rule(job=jobs, end=st.sampled_from([Ledger.fail, Ledger.cancel]))
    def give_up(self, job: Any, end: Any) -> None:
        held = self.open.pop(job, None)
        assert self.do(end(self.ledger, job)) is (held is not None)
        self.available += held or 0

    @rule(job=jobs)
    def end_again(self, job: Any) -> None:
        """Also of a living job, whose hold must stay."""
        assert not self.do(self.ledger.end(job))

    @invariant()
    def books_say_what_the_model_says(self) -> None:
        async def look() -> None:
            async with self.ledger.service() as session:
                balance = await balance_of(session, self.user.id)
                assert (balance.available, balance.held) == (self.available, sum(self.open.values()))
                assert await ledger_drift(session) == []

        self.do(look())


def test_any_sequence_keeps_the_books(database: Database) -> None:
    machine = type("OnThisDatabase", (CreditMachine,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
