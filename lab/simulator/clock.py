"""The simulator's time: the wall's, plus what tests have skipped."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta


class Clock:
    """Everything that a request goes through is read from one of these, so an hour passes in one call."""

    def __init__(self, skipped: timedelta = timedelta(0)) -> None:
        self.skipped = skipped
        self._advanced = asyncio.Event()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skipped

    def advance(self, by: timedelta) -> None:
        """Skip time for everybody who reads or waits for this clock."""
        self.skipped += by
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._advanced.wait()

    async def sleep(self, duration: timedelta) -> None:
        await self.sleep_until(self.now() + duration)
