"""Jobs that wait for a slot at their provider: what many who wait take, how soon the next one goes after an end, and
how far the end that was forecast is from the real one."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from statistics import median

from lab.bench.comparison import SHARES, quantile
from lab.bench.contenders.reelay import CREATING
from lab.bench.http_clients import answer_of
from lab.bench.load import until
from lab.bench.processes import memory
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service
from lab.bench.studies.waiting import all_completed

SLOTS = 4
FORECAST = 200
ENDS_MEASURED = 200
LARGEST_BATCH = 1000
WAITING = """
    select count(*) from generation_jobs
    where created_at >= $1 and waiting_for = 'slot' and status = 'pending'
"""
# From an end to the next submission: the n-th of one to the n-th of the other, beyond those that began at once.
WAKES = """
    with sent as (
        select attempt.sent_at, row_number() over (order by attempt.sent_at) as number
        from submission_attempts as attempt join generation_jobs as job on job.id = attempt.job_id
        where job.created_at >= $1
    ), ended as (
        select completed_at, row_number() over (order by completed_at) as number from generation_jobs
        where created_at >= $1 and completed_at is not null
    )
    select extract(epoch from sent.sent_at - ended.completed_at)::float as seconds
    from ended join sent on sent.number = ended.number + $2
    where ended.number <= $3
"""


async def slot_rows(service: Service, count: int) -> AsyncIterator[Row]:
    yield of_reelay(
        f"forecast ends of {FORECAST} jobs at {SLOTS} slots",
        "median error, % of the time until the end",
        100 * await forecast_error(service),
    )
    section = f"{count:,} waiting for one of {SLOTS} slots"
    async with service.limited_to(SLOTS):
        async with service.webhooks_held():
            begun, _ = await create(service, count)
            await until(lambda: are_waiting(service, begun, count - SLOTS))
            held = memory(service.pids("worker")["worker"])
        yield of_reelay(section, "worker: MiB while all of them wait", held)
        measured = min(ENDS_MEASURED, count - SLOTS)
        await all_completed(service, begun, measured + SLOTS)
        wakes = await service.database.fetch(WAKES, begun, SLOTS, measured)
        for name, share in SHARES.items():
            milliseconds = 1000 * quantile([row["seconds"] for row in wakes], share)
            yield of_reelay(section, f"from an end to the next submission, ms, {name}", milliseconds)
    await all_completed(service, begun, count)


async def forecast_error(service: Service) -> float:
    """Of the ends that are told while all wait, as shares of the time from then on. The median."""
    async with service.limited_to(SLOTS):
        begun, jobs = await create(service, FORECAST)
        asked = await service.database.fetchval("select now()")
        told = [await forecast_of(service, job) for job in jobs]
        await all_completed(service, begun, FORECAST)
    rows = await service.database.fetch(
        "select id::text, completed_at from generation_jobs where created_at >= $1", begun
    )
    ended = {row["id"]: row["completed_at"] for row in rows}
    errors: list[float] = [
        abs((end - ended[job]).total_seconds()) / (ended[job] - asked).total_seconds()
        for job, end in zip(jobs, told, strict=True)
        if end and ended[job] > asked
    ]
    return median(errors)


async def forecast_of(service: Service, job: str) -> datetime | None:
    """Of one that waits for a slot."""
    view = (await answer_of(lambda: service.api.get(f"/api/jobs/{job}"))).json()
    is_told = view["waitingFor"] == "slot" and view["estimatedCompletionAt"]
    return datetime.fromisoformat(view["estimatedCompletionAt"]) if is_told else None


async def create(service: Service, count: int) -> tuple[datetime, list[str]]:
    """As batches; since when, and their ids."""
    begun = await service.database.fetchval("select now()")
    job = {"model": "veo3.1-fast", "input": {"prompt": CREATING.body["prompt"]}}
    jobs: list[str] = []
    while left := count - len(jobs):
        body = {"jobs": [job] * min(left, LARGEST_BATCH)}
        jobs += (await answer_of(partial(service.api.post, "/api/batches", json=body))).json()["jobIds"]
    return begun, jobs


async def are_waiting(service: Service, begun: datetime, count: int) -> bool:
    return bool(await service.database.fetchval(WAITING, begun) >= count)
