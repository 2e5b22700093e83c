"""Whether the ledger balances, audited now and then: an audit reads every entry."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reelay.db.credits import Drift, ledger_drift
from reelay.db.engine import Sessions

# Of two million entries it takes 0.5 s; docs/decisions/016-operators-figures.md.
AUDIT_EVERY = timedelta(minutes=10)


@dataclass(frozen=True)
class Audit:
    at: datetime
    drift: Sequence[Drift]
    """Empty when the ledger balances."""


class LedgerAudit:
    def __init__(self, sessions: Sessions, *, every: timedelta = AUDIT_EVERY) -> None:
        self._sessions = sessions
        self._every = every
        self._auditing = asyncio.Lock()
        self._audit: Audit | None = None

    async def latest(self) -> Audit:
        """The last audit, unless it is too old; else a new one."""
        async with self._auditing:
            if self._audit is None or datetime.now(UTC) - self._audit.at > self._every:
                async with self._sessions() as session:
                    self._audit = Audit(datetime.now(UTC), await ledger_drift(session))
            return self._audit
