"""`make chaos-proof`: every planted bug has to be caught, by a check that passes without it."""

import asyncio
import os
import sys

from tests.lab.proof.plants import PLANTS
from tests.lab.proof.proving import Verdict, run


async def prove(name: str, turns: asyncio.Semaphore) -> bool:
    plant = PLANTS[name]
    async with turns:
        verdict = await run(plant.check, plant=name)
    mark = "caught" if verdict.caught else "MISSED"
    say(f"{name:<4} {mark}  {plant.bug}\n             {verdict.failures[0] if verdict.failures else plant.check}")
    if not verdict.caught:
        say(verdict.output)
    return verdict.caught


async def control(turns: asyncio.Semaphore) -> Verdict:
    async with turns:
        verdict = await run(*dict.fromkeys(plant.check for plant in PLANTS.values()))
    say("control: all of these checks pass without a bug" if verdict.passed else f"CONTROL FAILED\n{verdict.output}")
    return verdict


async def main() -> int:
    turns = asyncio.Semaphore(os.cpu_count() or 1)
    unplanted, caught = await asyncio.gather(control(turns), asyncio.gather(*(prove(name, turns) for name in PLANTS)))
    say(f"{sum(caught)} of {len(PLANTS)} planted bugs caught")
    return 0 if unplanted.passed and all(caught) else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


sys.exit(asyncio.run(main()))
