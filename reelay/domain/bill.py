"""What a provider has billed, and a pass over it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

LONGEST_DAYS = 90
"""So far back fal tells its bill."""
FIRST_DAYS = 30
"""So far back the first pass reads."""
OVERLAP = timedelta(days=3)
"""What the pass before has read is read again, as a bill may come late or be corrected."""
GRACE = timedelta(days=1)
"""A request that completed so long ago should have been billed."""


@dataclass(frozen=True, kw_only=True)
class BilledRequest:
    """What a request was billed at a moment."""

    request_id: str
    endpoint: str
    billed_at: datetime
    units: Decimal | None
    nano_usd: Decimal
    """Billionths of a dollar."""


@dataclass(frozen=True, kw_only=True)
class BillToRead:
    days: int | None = None
    """None: what has come since the last pass."""


@dataclass(frozen=True, kw_only=True)
class BillReconciled:
    events: int = 0
    """Read in this pass."""
    unknown: int = 0
    """Of the requests that were billed in that time, those that are no job's."""
