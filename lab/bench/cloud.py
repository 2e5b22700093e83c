"""What a million generations a day would cost on Temporal Cloud, on paper: https://docs.temporal.io/cloud/pricing."""

from collections.abc import Iterator
from dataclasses import dataclass

# The page's source, github.com/temporalio/documentation docs/evaluate/cloud/pricing.mdx at 0217b71.
PRICES_READ = "2026-11-21"
# Business plan, pay as you go: up to so many million actions a month, US dollars per million.
TIERS = ((5, 50.0), (10, 45.0), (20, 40.0), (50, 35.0), (100, 30.0), (200, 25.0))
ACTIVE_PER_GBH, RETAINED_PER_GBH = 0.042, 0.00105
# Included in the plan: a GB is 744 GBh.
INCLUDED_ACTIONS, INCLUDED_ACTIVE_GBH, INCLUDED_RETAINED_GBH = 2.5e6, 2.5 * 744, 100.0 * 744
PLAN_AT_LEAST, PLAN_SHARE = 500.0, 0.10
DAYS, A_DAY = 30, 1_000_000
GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Month:
    actions: float
    active_gbh: float
    retained_gbh: float

    @property
    def for_actions(self) -> float:
        """US dollars, as all of these. Above 200 million the list names no price: the last one is taken."""
        left, paid, below = max(0.0, self.actions - INCLUDED_ACTIONS) / 1e6, 0.0, 0
        for upper, price in TIERS:
            here = min(left, upper - below) if upper != TIERS[-1][0] else left
            left, paid, below = left - here, paid + here * price, upper
        return paid

    @property
    def for_storage(self) -> float:
        active = max(0.0, self.active_gbh - INCLUDED_ACTIVE_GBH) * ACTIVE_PER_GBH
        return active + max(0.0, self.retained_gbh - INCLUDED_RETAINED_GBH) * RETAINED_PER_GBH

    @property
    def for_plan(self) -> float:
        return max(PLAN_AT_LEAST, PLAN_SHARE * (self.for_actions + self.for_storage))

    @property
    def whole(self) -> float:
        return self.for_actions + self.for_storage + self.for_plan


def month(*, actions: float, history_bytes: float, running_minutes: float, retention_days: int) -> Month:
    """Of a million generations a day. An open history is counted with its final size."""
    generations = A_DAY * DAYS
    gigabytes = generations * history_bytes / GB
    return Month(
        actions=generations * actions,
        active_gbh=gigabytes * running_minutes / 60,
        retained_gbh=gigabytes * retention_days * 24,
    )


def lines_of_cloud(*, actions: float, history_bytes: float) -> Iterator[str]:
    """Generations of two minutes, kept for a day, a week or the default of 30 days."""
    yield "| kept for | actions, M | active, GBh | retained, GBh | actions | storage | plan | month | per 1,000 |"
    yield "| --- |" + " ---: |" * 8
    for days in (1, 7, 30):
        here = month(actions=actions, history_bytes=history_bytes, running_minutes=2, retention_days=days)
        dollars = " | ".join(
            f"${each:,.0f}" for each in (here.for_actions, here.for_storage, here.for_plan, here.whole)
        )
        yield (
            f"| {days} d | {here.actions / 1e6:,.0f} | {here.active_gbh:,.0f} | {here.retained_gbh:,.0f} | {dollars} "
            f"| ${here.whole / (A_DAY * DAYS / 1000):.3f} |"
        )
