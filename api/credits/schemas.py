"""Credits as clients see them."""

from typing import Self

from api.http.wire import Wire
from reelay.db.credits import Balance


class Credits(Wire):
    balance_cents: int
    held_cents: int
    """Set aside for jobs that have not ended."""
    available_cents: int
    unmetered: bool
    """New jobs take no credits, whatever there is."""

    @classmethod
    def from_balance(cls, balance: Balance, *, unmetered: bool) -> Self:
        return cls(
            balance_cents=balance.total,
            held_cents=balance.held,
            available_cents=balance.available,
            unmetered=unmetered,
        )
