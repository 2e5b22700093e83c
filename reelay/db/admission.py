"""What a creation takes of its user: the quota, the limit of living jobs, the credits, the key's budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Double, Integer, Row, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement, TableValuedAlias
from sqlalchemy.types import TypeEngine

from reelay.db.credits import HoldAnswer, KeyBudget
from reelay.domain.quota import Grant, Quota

TERMS: Mapping[str, TypeEngine[Any]] = {
    "quota": Text(),
    "amount": Double(),
    "rate": Double(),
    "most_active": Integer(),
    "is_metered": Boolean(),
}
ANSWER = (
    "granted",
    "left_over",
    "is_crowded",
    "refused",
    "is_held",
    "available",
    "monthly_budget",
    "spent_this_month",
    "key_budget",
    "key_spent",
)


@dataclass(frozen=True, kw_only=True)
class Terms:
    quota: Quota | None = None
    """None: creations are not counted."""
    most_active: int | None = None
    """Of the user's jobs that have not ended, the new ones included; None: any number."""
    is_metered: bool = True
    """Whether prices are held."""

    @property
    def values(self) -> dict[str, Any]:
        quota = self.quota
        return {
            "quota": quota and quota.name,
            "amount": quota and quota.amount,
            "rate": quota and quota.rate,
            "most_active": self.most_active,
            "is_metered": self.is_metered,
        }


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Whether a creation was admitted, and why not: the first reason. One that was not must not be committed."""

    grant: Grant | None
    """Of the quota, where there is one."""
    is_crowded: bool
    """Too many jobs of the user's live."""
    refused: UUID | None
    """The job whose price its key's budget has no room for; where there is no `key`, the user's credits."""
    hold: HoldAnswer | None
    """Of the last job that was asked for."""
    key: KeyBudget | None
    """Before the last job that was asked for."""


async def admit_creation(session: AsyncSession, jobs: Sequence[UUID], terms: Terms) -> Admission:
    """Count a creation of the session's user, and set the prices of its jobs aside, which this transaction inserted.

    Exact with any number at once: the user's other creations wait for the end of the transaction.
    """
    admission = admission_of(bindparam("jobs", type_=ARRAY(Uuid())))
    row = (await session.execute(select(admission), {"jobs": jobs, **terms.values})).one()
    return read_admission(row, terms)


def admission_of(jobs: ColumnElement[Any]) -> TableValuedAlias:
    """As `admit_creation`, for a statement of its own whose parameters are the terms' values."""
    terms = [bindparam(name, type_=type_) for name, type_ in TERMS.items()]
    return func.admit_creation(jobs, *terms).table_valued(*ANSWER, name="admission")


def read_admission(row: Row[Any], terms: Terms) -> Admission:
    return Admission(
        grant=Grant(quota=terms.quota, granted=row.granted, left=row.left_over) if terms.quota else None,
        is_crowded=row.is_crowded,
        refused=row.refused,
        hold=None
        if row.is_held is None
        else HoldAnswer(row.is_held, row.available, row.monthly_budget, row.spent_this_month),
        key=None if row.key_budget is None else KeyBudget(row.key_budget, row.key_spent),
    )
