"""What the deletion of old generations costs those who create new ones meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from statistics import median

from lab.bench.contender import Step
from lab.bench.contenders.reelay import open_beside
from lab.bench.load import drive
from lab.bench.results import Row
from lab.bench.studies.service import Service
from lab.bench.studies.stored import empty, fill
from workflows.runs import prune_now

AT_ONCE = 16
GENERATIONS = 96
SECTION = f"milliseconds of POST, {AT_ONCE} generations at once"
DAYS = {"RETENTION_DAYS_JOBS": "1"}


async def pruning_rows(service: Service, count: int) -> AsyncIterator[Row]:
    """POST's median with that many old generations stored, and while another worker deletes them."""
    await empty(service)
    await fill(service, await service.reelay.generate(), count)
    async with open_beside(service.ground, "pruning", environment=DAYS):
        quiet = await post_milliseconds(service)
        yield Row(SECTION, "median", {"quiet": quiet})
        begun, measured = time.monotonic(), []
        pruning = asyncio.create_task(prune_now(service.temporal, "generations-pruning"))
        while not pruning.done():
            measured.append(await post_milliseconds(service))
        service.say(f"{(await pruning).jobs:,} generations deleted in {time.monotonic() - begun:.0f} s")
    # The last measurement ends after the deletion, which is over in the middle of it.
    beside = median(measured[:-1] or measured)
    yield Row(SECTION, "median", {"quiet": quiet, f"{count:,} being deleted": beside, "ratio": beside / quiet})


async def post_milliseconds(service: Service) -> float:
    driven = await drive(service.reelay.generate_timed, count=GENERATIONS, concurrency=AT_ONCE)
    return 1000 * median(each[Step.CREATE] for each in driven.outcomes)
