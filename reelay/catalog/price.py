"""What a provider charges, as data, and which rate applies to an input. The formula is `reelay.domain.money.Tariff`."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reelay.domain.money import Tariff


class Rate(BaseModel):
    """The price of one unit, for the inputs that have all the values of `when`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cents: Decimal
    when: dict[str, Any] = {}
    """By the caller's names."""

    def describe(self, unit: str) -> str:
        """E.g. `40 cents per second with resolution 4k`."""
        conditions = " and ".join(f"{name} {str(value).lower()}" for name, value in self.when.items())
        return f"{plain(self.cents)} cents per {unit}" + (f" with {conditions}" if conditions else "")


class Price(BaseModel):
    """`base_cents`, and for each unit beyond those `included` the first rate that applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str
    """E.g. `second`; what the quantities of the `measured` inputs, multiplied, count."""
    measured: tuple[str, ...] = ()
    """The caller's names of these inputs; with none of them one unit is charged."""
    rates: tuple[Rate, ...] = Field(min_length=1)
    base_cents: Decimal = Decimal(0)
    included: int = 0
    estimated: bool = False
    """True where the provider bills what nobody knows in advance, so that the real cost may be higher."""
    usual_units: Decimal = Decimal(1)
    """How many units a request is taken to need that no input measures."""
    foreseeable: bool = True
    """False where nobody knows the units before the end: the caller then says what a request may cost."""
    billed_in_unit: bool = True
    """False where the provider counts other units than this `unit`: its count then tells no price."""

    def tariff(self, has: Callable[[str, Any], bool]) -> Tariff:
        """The price of a unit for one request. `has` tells whether an input has a value."""
        rate = next(rate for rate in self.rates if all(has(*condition) for condition in rate.when.items()))
        return Tariff(base_cents=self.base_cents, included_units=self.included, unit_cents=rate.cents)

    @model_validator(mode="after")
    def _always_applies(self) -> Self:
        if self.rates[-1].when:
            raise ValueError("the last rate must have no `when`, so that one always applies")
        return self

    @property
    def description(self) -> str:
        """E.g. `35 cents for the first 5 seconds, then 7 cents per second`."""
        rates = "; ".join(rate.describe(self.unit) for rate in self.rates)
        if len(self.rates) > 1:
            rates += " otherwise"
        base = (
            f"{plain(self.base_cents)} cents for the first {self.included} {self.unit}s, then " if self.included else ""
        )
        return ("about " if self.estimated else "") + base + rates


def plain(cents: Decimal) -> str:
    return f"{cents.normalize():f}"
