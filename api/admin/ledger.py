"""Whether the books balance, looked at now and then: a look reads every entry."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reelay.db.credits import Drift, ledger_drift
from reelay.db.engine import Sessions

# Of two million entries it takes 0.5 s; docs/decisions/016-operators-figures.md.
LOOKED_AT_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Audit:
    at: datetime
    drift: Sequence[Drift]
    """Empty when the books balance."""


class Books:
    def __init__(self, sessions: Sessions, *, kept_for: timedelta = LOOKED_AT_FOR) -> None:
        self._sessions = sessions
        self._kept_for = kept_for
        self._looking = asyncio.Lock()
        self._audit: Audit | None = None

    async def audit(self) -> Audit:
        """The last look, unless it is too old."""
        async with self._looking:
            if self._audit is None or datetime.now(UTC) - self._audit.at > self._kept_for:
                async with self._sessions() as session:
                    self._audit = Audit(datetime.now(UTC), await ledger_drift(session))
            return self._audit
