"""Money in whole US cents; one credit is one cent. What a generation may cost is fixed when it is created."""

import math
from dataclasses import dataclass
from decimal import Decimal

MOST_CENTS = 10**12
"""Of one movement. A thousand times more still is exact wherever JSON numbers are doubles."""

MOST_UNITS = 10**6
"""That a provider may count for one request; eleven days of video. More is a mistake."""


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What a provider charges for one request: a base, and a rate for each of its units beyond those included."""

    base_cents: Decimal = Decimal(0)
    included_units: int = 0
    unit_cents: Decimal

    def cents(self, units: Decimal) -> int:
        """Whole cents, rounded up."""
        return math.ceil(self.base_cents + self.unit_cents * max(units - self.included_units, Decimal(0)))


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a completed generation has cost at its provider, and what of it its user pays: never more than was held."""

    cost_cents: int
    charged_cents: int
    doubt: str | None = None
    """Why what the provider counted is not believed. The cost is then taken to be what was held."""

    @property
    def overrun_cents(self) -> int:
        """What the provider took beyond the hold: ours to bear, unless an operator books an adjustment."""
        return self.cost_cents - self.charged_cents


def charge_for(held_cents: int, tariff: Tariff | None, units: float | None, *, unusable: str | None = None) -> Charge:
    """By the provider's count of its units at the price of the day of creation; without a count, what was held.

    `unusable` is what the provider said instead of a count.
    """
    if unusable is None and (tariff is None or units is None):
        return Charge(cost_cents=held_cents, charged_cents=held_cents)
    if unusable is None and tariff is not None and units is not None and 0 <= units <= MOST_UNITS:
        cents = tariff.cents(Decimal(str(units)))
        return Charge(cost_cents=cents, charged_cents=min(cents, held_cents))
    doubt = f"the provider counted {unusable or units} units"
    return Charge(cost_cents=held_cents, charged_cents=held_cents, doubt=doubt)
