"""Accounts that take no submissions: parked for all jobs and workers at once, and probed by one at a time."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import ProviderAccount
from reelay.domain.generation import ProviderName

IS_PARKED = col(ProviderAccount.parked_at).is_not(None)


class AccountParked(Exception):
    """It is not this submission's turn: the account takes none, and another one probes whether that is over."""

    def __init__(self, account: ProviderAccount) -> None:
        super().__init__(f"{account.provider} takes no submissions of our account: {account.reason}")
        self.probe_at = account.probe_at


async def accounts(session: AsyncSession) -> Sequence[ProviderAccount]:
    """All that were ever parked."""
    ordered = select(ProviderAccount).order_by(col(ProviderAccount.provider), col(ProviderAccount.account))
    return (await session.scalars(ordered)).all()


async def park_account(
    session: AsyncSession, provider: ProviderName, account: str, *, reason: str, pause: timedelta
) -> bool:
    """No submissions for the pause, then one. False when it was parked already."""
    new = (
        upsert(ProviderAccount)
        .values(
            provider=provider,
            account=account,
            parked_at=func.now(),
            reason=reason,
            probe_at=func.now() + pause,
            probes=0,
        )
        .on_conflict_do_update(
            index_elements=["provider", "account"],
            set_={"parked_at": func.now(), "reason": reason, "probe_at": func.now() + pause, "probes": 0},
            where=~IS_PARKED,
        )
        .returning(col(ProviderAccount.parked_at))
    )
    if (await session.execute(new)).first() is not None:
        return True
    await schedule_probe(session, provider, account, pause=pause)
    return False


async def schedule_probe(session: AsyncSession, provider: ProviderName, account: str, *, pause: timedelta) -> None:
    """The probe's answer decides nothing: the next one may be sent after the pause at the latest."""
    await session.execute(
        update(ProviderAccount)
        .where(*_is(provider, account), IS_PARKED)
        .values(probe_at=func.least(ProviderAccount.probe_at, func.now() + pause))
    )


UNPARK = text("""
    update provider_accounts as parked set parked_at = null
    from submission_attempts as attempt
    where parked.provider = :provider and parked.account = :account
        and attempt.job_id = :job and attempt.number = :number and parked.parked_at < attempt.sent_at
    returning parked.account
""")


async def unpark_account(
    session: AsyncSession, provider: ProviderName, account: str, generation_id: UUID, number: int
) -> bool:
    """The attempt was not refused for the account's sake. True when that ends the parking."""
    attempt = {"provider": provider, "account": account, "job": generation_id, "number": number}
    return (await session.execute(UNPARK, attempt)).first() is not None


async def resume_accounts(session: AsyncSession, provider: ProviderName) -> None:
    """An operator ends the parking."""
    parked = update(ProviderAccount).where(col(ProviderAccount.provider) == provider, IS_PARKED)
    await session.execute(parked.values(parked_at=None))


def _is(provider: ProviderName, account: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(ProviderAccount.provider) == provider, col(ProviderAccount.account) == account
