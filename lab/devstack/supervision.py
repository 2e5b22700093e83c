"""All parts together: started when what they need answers, restarted when they die, stopped in reverse."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any

from lab.devstack.processes import Child, ProcessDied, Program
from reelay.cli.errors import NeverReady

STARTS_AT_MOST = 3
"""Of a part that has never become ready. One that has is restarted for as long as the stack runs."""
PAUSES_SECONDS = (0.3, 1, 2, 5, 10, 30)
"""Before a restart, longer with each death; from the beginning again after a life of `STEADY_SECONDS`."""
STEADY_SECONDS = 60.0
TROUBLES_AT_MOST = 50


class Supervisor:
    """Keeps programs running. Each starts, and starts again, only once those that it needs answer."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        say: Callable[[str], None],
        changed: Callable[[], None],
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        """`say` shows a line to the user; `changed` hears that other processes run now."""
        self._pauses = pauses
        self._children = [Child(program) for program in programs]
        self._say = say
        self._changed = changed

    @property
    def pids(self) -> Mapping[str, int]:
        return {child.program.name: child.pid for child in self._children if child.pid}

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep all running until the work is done, then stop the last program first.

        Raises: NeverReady, and what the work raises.
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
        deaths = 0
        while True:
            begun = _now()
            death = await self._live_despite_passing_troubles(child, again=bool(deaths))
            was_steady = child.was_ready and _now() - begun > STEADY_SECONDS
            deaths = 1 if was_steady else deaths + 1
            self._report(child.program, death)
            if deaths >= STARTS_AT_MOST and not child.was_ready:
                raise NeverReady(
                    f"{child.program.name} did not become ready in {STARTS_AT_MOST} starts; "
                    f"all of its output is in {child.program.log_file}"
                )
            await asyncio.sleep(self._pauses[min(deaths, len(self._pauses)) - 1])

    async def _live_despite_passing_troubles(self, child: Child, *, again: bool) -> ProcessDied:
        """One life; a start that only came too early is repeated."""
        for attempt in count(1):
            death = await self._live(child, again=again)
            if attempt > TROUBLES_AT_MOST or not death.is_one_of(child.program.passing_troubles):
                break
            await asyncio.sleep(self._pauses[0])
        return death

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


def _now() -> float:
    return asyncio.get_running_loop().time()
