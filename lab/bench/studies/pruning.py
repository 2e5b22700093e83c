"""What the deletion of old generations costs those who create new ones meanwhile."""

from collections.abc import AsyncIterator
from statistics import median

from lab.bench.contender import Step
from lab.bench.contenders.reelay import open_beside
from lab.bench.load import drive
from lab.bench.results import Row
from lab.bench.studies.service import Service
from lab.bench.studies.stored import empty, fill

AT_ONCE = 16
GENERATIONS = 96
SECTION = f"milliseconds of POST, {AT_ONCE} generations at once"
DAYS = {"RETENTION_DAYS_JOBS": "1"}
EXPIRED = "select count(*) from generation_jobs where completed_at < now() - interval '1 day'"


async def pruning_rows(service: Service, count: int) -> AsyncIterator[Row]:
    """POST's median with that many old generations stored, and while another worker deletes them."""
    await empty(service)
    await fill(service, await service.reelay.generate(), count)
    quiet = await post_milliseconds(service)
    yield Row(SECTION, "median", {"quiet": quiet})
    stored = left = await service.database.fetchval(EXPIRED)
    measured: list[float] = []
    # The worker's schedule begins the pass: one of our own would be a second one beside it.
    async with open_beside(service.ground, "pruning", environment=DAYS):
        while left:
            before, took = left, await post_milliseconds(service)
            left = await service.database.fetchval(EXPIRED)
            if 0 < left < before:  # it went on all the while
                measured.append(took)
    if not measured:
        raise RuntimeError(f"{stored:,} generations older than a day were deleted too soon to be measured")
    service.say(f"{stored:,} generations deleted")
    beside = median(measured)
    yield Row(SECTION, "median", {"quiet": quiet, f"{count:,} being deleted": beside, "ratio": beside / quiet})


async def post_milliseconds(service: Service) -> float:
    driven = await drive(service.reelay.generate_timed, count=GENERATIONS, concurrency=AT_ONCE)
    return 1000 * median(each[Step.CREATE] for each in driven.outcomes)
