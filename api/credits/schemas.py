"""Credits as clients see them."""

from typing import Self

from api.http.wire import Wire
from reelay.db.credits import Balance


class Credits(Wire):
    """The caller's credits; one credit is one US cent."""

    balance_cents: int
    """What there is, the held part included, in US cents."""
    held_cents: int
    """What is held for jobs that have not ended, in US cents."""
    available_cents: int
    """What new jobs can take, in US cents."""
    unmetered: bool
    """Whether new jobs take no credits at all."""

    @classmethod
    def from_balance(cls, balance: Balance, *, unmetered: bool) -> Self:
        return cls(
            balance_cents=balance.total,
            held_cents=balance.held,
            available_cents=balance.available,
            unmetered=unmetered,
        )
