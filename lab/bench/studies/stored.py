"""The same calls, and the same generations, with ever more of them in the database."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from statistics import median

from lab.bench.contender import Step
from lab.bench.contenders.reelay import CREATING
from lab.bench.http_clients import answer_of
from lab.bench.measuring import Throughput, measure
from lab.bench.results import Row
from lab.bench.studies.growth import cost_rows
from lab.bench.studies.service import STATEMENT_SECONDS, Service
from reelay.db.engine import make_engine, make_sessions
from reelay.db.reconciliation import stale_generations

COUNTS = (1, 1000, 10_000, 100_000, 1_000_000)
GENERATIONS, AT_ONCE = 48, 16
"""With each of them."""
REPEATS = 40
USERS = 1000
# A million are a year's. Figures of a window cost what ended within it, which is not what is asked here.
SECONDS_APART = 31.5
OWNERS = """
    insert into users (id, name) select gen_random_uuid(), 'bulk ' || number
    from generate_series(1, $1::int) as number on conflict do nothing
"""
# Rows as they are, under new ids: whatever columns there are. A function in `from` is called once per row; as
# `(function(...)).*` it would be called once per column.
COPY = {
    "generation_jobs": """
        insert into generation_jobs
        select made.*
        from generation_jobs as job, generate_series($2::int, $3::int) as number
            join bench_owners as owner on owner.place = number % (select count(*) from bench_owners),
            lateral (select md5(number::text)::uuid as id, make_interval(secs => number * $4::float8) as ago) as new,
            lateral jsonb_populate_record(null::generation_jobs, to_jsonb(job) || jsonb_build_object(
                'id', new.id, 'user_id', owner.id, 'fal_request_id', new.id, 'clip_id', null,
                'created_at', job.created_at - new.ago, 'submitted_at', job.submitted_at - new.ago,
                'stage_at', job.stage_at - new.ago, 'completed_at', job.completed_at - new.ago)) as made
        where job.id = $1
    """,
    "submission_attempts": """
        insert into submission_attempts
        select made.*
        from (select * from submission_attempts where job_id = $1 order by number desc limit 1) as attempt,
            generation_jobs as job,
            lateral jsonb_populate_record(null::submission_attempts, to_jsonb(attempt) || jsonb_build_object(
                'job_id', job.id, 'user_id', job.user_id, 'request_id', job.id)) as made
        where job.id <> $1 and not exists (select from submission_attempts where job_id = job.id)
    """,
    "job_events": """
        insert into job_events (user_id, job_id, at, status, stage, detail, data)
        select job.user_id, job.id, job.created_at, job.status, job.stage, 'Completed', '{}'
        from generation_jobs as job where not exists (select from job_events where job_id = job.id)
    """,
    "video_files": """
        insert into video_files
        select made.*
        from (select * from video_files where job_id = $1 limit 1) as file, generation_jobs as job,
            lateral jsonb_populate_record(null::video_files, to_jsonb(file) || jsonb_build_object(
                'id', gen_random_uuid(), 'job_id', job.id, 'user_id', job.user_id)) as made
        where job.id <> $1 and not exists (select from video_files where job_id = job.id)
    """,
}


async def stored_rows(service: Service, most: int) -> AsyncIterator[Row]:
    """The calls' medians and the cost of a generation with each number of stored ones. Each row comes again with one
    column more."""
    figures: dict[str, dict[str, float]] = {}
    costs: dict[str, Throughput] = {}
    await empty(service)
    template = await service.reelay.generate()
    for count in (count for count in COUNTS if count <= most):
        await fill(service, template, count)
        stored = f"{count:,} stored"
        service.say(stored)
        # The most first, so that its ratio to the least says what growth costs.
        async for label, seconds in _timed_calls(service, template):
            figures[label] = {stored: 1000 * seconds, **figures.get(label, {})}
            yield Row(f"milliseconds by stored generations, medians of {REPEATS}", label, figures[label])
        cost = await measure(service.reelay, service.ground, count=GENERATIONS, concurrency=AT_ONCE)
        costs = {stored: cost, **costs}
        for row in cost_rows(f"per generation, {AT_ONCE} at once, by stored generations", costs):
            yield row


async def empty(service: Service) -> None:
    """Forgets what other studies have left; they have ended."""
    async with service.without_triggers() as database:
        for table in reversed(COPY):
            await database.execute(f"delete from {table}")
    await service.database.execute("vacuum analyze")


async def fill(service: Service, template: str, count: int, *, owners: Sequence[str] = ("bulk %", "bench")) -> None:
    """Copies of the finished generation, up to `count` in all, of users with such names."""
    async with service.without_triggers() as database:
        await database.execute(OWNERS, USERS)
        await database.execute("create temp table bench_owners (id uuid, place bigint) on commit drop")
        await database.execute(
            "insert into bench_owners select id, row_number() over () - 1 from users where name like any ($1::text[])",
            owners,
        )
        there = await database.fetchval("select count(*) from generation_jobs")
        for table, statement in COPY.items():
            first = (template, there + 1, count, SECONDS_APART) if table == "generation_jobs" else (template,)
            await database.execute(statement, *(first if "$1" in statement else ()))
    await service.database.execute("vacuum analyze")
    await service.database.execute("checkpoint")  # what was filled in is not written beside


async def _timed_calls(service: Service, finished: str) -> AsyncIterator[tuple[str, float]]:
    """Seconds by what was called."""
    generations = [await service.reelay.generate_timed() for _ in range(REPEATS // 2)]
    for label, step in (("POST", Step.CREATE), ("webhook until acknowledged", Step.WEBHOOK)):
        yield label, median(each[step] for each in generations)
    paths = {
        "GET of a finished job": CREATING.status_path.format(job=finished),
        "list, newest first": "/api/jobs?limit=50",
        "list of the active": "/api/jobs?status=active",
        "gallery": "/api/videos/user",
    }
    for label, path in paths.items():
        yield label, await _median_seconds(partial(answer_of, partial(service.api.get, path)))
    statistics = "/api/admin/stats?window=24h"
    yield "statistics of a day", await _median_seconds(partial(answer_of, partial(service.operator.get, statistics)))
    engine = make_engine(service.ground.stack.database_admin_url, pool_size=1, statement_seconds=STATEMENT_SECONDS)
    sessions = make_sessions(engine)

    async def reconcile() -> None:
        async with sessions() as session:
            await stale_generations(session, unchanged_for=timedelta(minutes=5), after=None, limit=100)

    yield "reconciliation: what has been quiet", await _median_seconds(reconcile)
    await engine.dispose()


async def _median_seconds(call: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - begun)
    return median(taken)
