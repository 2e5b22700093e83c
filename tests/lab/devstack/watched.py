"""A supervisor under test."""

import asyncio
from collections.abc import Sequence

from lab.devstack.processes import Program
from lab.devstack.supervision import Supervisor
from tests.eventually import PATIENCE


class Watched:
    """A supervisor, and what it says."""

    def __init__(self, *programs: Program, pauses: Sequence[float] = (0.05,)) -> None:
        self.said: list[str] = []
        self.changed = asyncio.Event()
        self.supervisor = Supervisor(programs, say=self.said.append, changed=self.changed.set, pauses=pauses)

    async def replaced(self, name: str, pid: int) -> int:
        """The pid of the part's next life."""
        while (now := self.supervisor.pids.get(name, pid)) == pid:
            self.changed.clear()
            async with asyncio.timeout(PATIENCE):
                await self.changed.wait()
        return now
