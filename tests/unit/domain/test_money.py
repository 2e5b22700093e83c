"""What a completed generation is charged: the provider's count at the frozen tariff, never more than was held."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.money import MOST_UNITS, Tariff, charge_for

PER_SECOND = Tariff(unit_cents=Decimal(15))
AFTER_FIVE = Tariff(base_cents=Decimal(35), included_units=5, unit_cents=Decimal(7))


@pytest.mark.parametrize(
    ("tariff", "units", "cents"),
    [
        (PER_SECOND, 8.0, 120),
        (PER_SECOND, 0.0, 0),
        (PER_SECOND, 0.1, 2),  # 1.5 cents; a float's 0.1 is a little more than that, and must not make it 3
        (AFTER_FIVE, 3.0, 35),
        (AFTER_FIVE, 10.0, 70),
        (Tariff(unit_cents=Decimal("0.2")), 15.0, 3),
    ],
)
def test_costs_what_the_provider_counted(tariff: Tariff, units: float, cents: int) -> None:
    charge = charge_for(1000, tariff, units)
    assert (charge.cost_cents, charge.charged_cents, charge.overrun_cents, charge.doubt) == (cents, cents, 0, None)


def test_more_than_was_held_is_ours_to_bear_and_told() -> None:
    charge = charge_for(120, PER_SECOND, 16.0)
    assert (charge.cost_cents, charge.charged_cents, charge.overrun_cents) == (240, 120, 120)


@pytest.mark.parametrize(("tariff", "units"), [(PER_SECOND, None), (None, 8.0), (None, None)])
def test_without_a_count_that_tells_a_price_it_costs_what_was_held(tariff: Tariff | None, units: float | None) -> None:
    charge = charge_for(120, tariff, units)
    assert (charge.cost_cents, charge.charged_cents, charge.doubt) == (120, 120, None)


@pytest.mark.parametrize("units", [-1.0, -0.001, float("nan"), float("inf"), -float("inf"), 1e30, MOST_UNITS + 1.0])
def test_count_that_cannot_be_costs_what_was_held_and_is_told(units: float) -> None:
    charge = charge_for(120, PER_SECOND, units)
    assert (charge.cost_cents, charge.charged_cents) == (120, 120)
    assert charge.doubt is not None


def test_what_is_no_count_is_told() -> None:
    assert charge_for(120, PER_SECOND, None, unusable="many").doubt == "the provider counted many units"


@given(held=st.integers(0, 10**6), units=st.none() | st.floats(), rate=st.decimals(0, 1000, places=3))
def test_never_charges_more_than_was_held_nor_less_than_nothing(held: int, units: float | None, rate: Decimal) -> None:
    charge = charge_for(held, Tariff(unit_cents=rate), units)
    assert 0 <= charge.charged_cents <= min(held, charge.cost_cents)
