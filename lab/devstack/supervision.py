"""All parts together: started when what they need answers, restarted when they die, stopped in reverse."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any

from lab.devstack.processes import Child, ProcessDied, Program
from reelay.cli.errors import RestartLimit

DEATHS_AT_MOST = 3
WITHIN = timedelta(minutes=1)
PAUSE_SECONDS = 0.3
TROUBLES_AT_MOST = 50


class Supervisor:
    """Keeps programs running. Each starts, and starts again, only once those that it needs answer."""

    def __init__(self, programs: Sequence[Program], *, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._children = [Child(program) for program in programs]
        self._say = say
        self._changed = changed

    @property
    def pids(self) -> Mapping[str, int]:
        return {child.program.name: child.pid for child in self._children if child.pid}

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep all running until the work is done, then stop the last program first.

        Raises: RestartLimit, and what the work raises.
        """
        tasks = [asyncio.create_task(self._keep_running(child)) for child in self._children]
        tasks.append(asyncio.create_task(work))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for child in reversed(self._children):
                await child.stop()

    async def all_answer(self) -> None:
        await _answering(self._children)

    def kill(self) -> None:
        """For somebody who cannot wait for the clean stop."""
        for child in self._children:
            child.kill()

    async def _keep_running(self, child: Child) -> None:
        deaths: deque[float] = deque(maxlen=DEATHS_AT_MOST)
        troubles = 0
        while True:
            death = await self._live(child, again=bool(deaths))
            if death.is_one_of(child.program.passing_troubles) and troubles < TROUBLES_AT_MOST:
                troubles += 1
            else:
                troubles = 0
                deaths.append(asyncio.get_running_loop().time())
                self._report(child.program, death)
            if len(deaths) == DEATHS_AT_MOST and deaths[-1] - deaths[0] < WITHIN.total_seconds():
                raise RestartLimit(
                    f"{child.program.name} died {DEATHS_AT_MOST} times within a minute; "
                    f"all of its output is in {child.program.log_file}"
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def _live(self, child: Child, *, again: bool) -> ProcessDied:
        """One life, from the start to the death."""
        await _answering([other for other in self._children if other.program.name in child.program.needs])
        try:
            await child.start()
        except ProcessDied as death:
            return death
        self._changed()
        if again:
            self._say(f"{child.program.name} runs again")
        return await child.death()

    def _report(self, program: Program, death: ProcessDied) -> None:
        self._say(f"{program.name} died ({death.reason}). Its last lines:")
        for line in death.last_lines:
            self._say(f"  {program.name} | {line}")


async def _answering(children: Sequence[Child]) -> None:
    """Returns at a moment at which all of them answer."""
    while silent := [child for child in children if not child.answering.is_set()]:
        await silent[0].answering.wait()
