"""The same calls, and the same generations, with ever more of them in the database."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from lab.bench.contender import CONNECTIONS, Step
from lab.bench.contenders.reelay import CREATING, open_reelay, operators_headers
from lab.bench.ground import Ground
from lab.bench.over_http import OverHttp, answer_of
from lab.bench.rows import Row
from lab.bench.studies.growth import Cost, cost_of, cost_rows
from reelay.cli.secrets import keep_secrets
from reelay.db.engine import make_engine, make_sessions
from reelay.db.reconciliation import stale_generations

USERS = 1000
REPEATS = 40
AT_ONCE = 16
STATEMENT_SECONDS = 900
# A million are a year's. Figures of a window cost what ended within it, which is not what is asked here.
SECONDS_APART = 31.5
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


async def stored_rows(
    ground: Ground, *, counts: Sequence[int], generations: int, say: Callable[[str], None]
) -> AsyncIterator[Row]:
    """The calls' medians and the cost of a generation with each number of stored ones; the numbers grow.

    Each row comes again with one column more.
    """
    section = f"milliseconds by stored generations, medians of {REPEATS}"
    figures: dict[str, dict[str, float]] = {}
    costs: dict[str, Cost] = {}
    async with open_reelay(ground) as reelay:
        assert isinstance(reelay, OverHttp)
        await empty(ground)
        template = await reelay.generate()
        for count in counts:
            begun = time.monotonic()
            await fill(ground, template, count)
            stored = f"{count:,} stored"
            say(f"{stored} after {time.monotonic() - begun:.1f} s")
            # The most first, so that its ratio to the least says what growth costs.
            async for label, seconds in timed_calls(ground, reelay, template):
                figures[label] = {stored: 1000 * seconds, **figures.get(label, {})}
                yield Row(section=section, label=label, values=figures[label])
            costs = {stored: await cost_of(reelay, ground, count=generations, concurrency=AT_ONCE), **costs}
            for row in cost_rows(f"per generation, {AT_ONCE} at once, by stored generations", costs):
                yield row


async def empty(ground: Ground) -> None:
    """Forgets what other studies have left; they have ended."""
    database = await asyncpg.connect(superuser(ground))
    try:
        await database.execute("set session_replication_role = replica")  # credits may refer to what is gone
        for table in reversed(COPY):
            await database.execute(f"delete from {table}", timeout=STATEMENT_SECONDS)
        for table in COPY:
            await database.execute(f"vacuum analyze {table}", timeout=STATEMENT_SECONDS)
    finally:
        await database.close()


async def fill(ground: Ground, template: str, count: int, *, owners: Sequence[str] = ("bulk %", "bench")) -> None:
    """Copies of the finished generation, up to `count` in all, of users with such names."""
    database = await asyncpg.connect(superuser(ground))
    try:
        await database.execute("set session_replication_role = replica")  # no triggers: nobody is told, all refer
        await database.execute(
            """
            insert into users (id, name) select gen_random_uuid(), 'bulk ' || number
            from generate_series(1, $1::int) as number on conflict do nothing
            """.replace("$1::int", str(USERS))
        )
        await database.execute("create temp table bench_owners (id uuid, place bigint)")
        await database.execute(
            "insert into bench_owners select id, row_number() over () - 1 from users where name like any ($1::text[])",
            owners,
        )
        there = await database.fetchval("select count(*) from generation_jobs")
        for table, statement in COPY.items():
            first = (template, there + 1, count, SECONDS_APART) if table == "generation_jobs" else (template,)
            await database.execute(statement, *(first if "$1" in statement else ()), timeout=STATEMENT_SECONDS)
        await database.execute("vacuum analyze", timeout=STATEMENT_SECONDS)
        await database.execute("checkpoint", timeout=STATEMENT_SECONDS)  # what was filled in is not written beside
    finally:
        await database.close()


async def timed_calls(ground: Ground, reelay: OverHttp, finished: str) -> AsyncIterator[tuple[str, float]]:
    """Seconds by what was called."""

    async def get(path: str, client: httpx.AsyncClient = reelay.api) -> None:
        await answer_of(lambda: client.get(path))

    engine = make_engine(ground.stack.database_admin_url, pool_size=1)
    sessions = make_sessions(engine)

    async def reconcile() -> None:
        async with sessions() as session:
            await stale_generations(session, unchanged_for=timedelta(minutes=5), after=None, limit=100)

    async with httpx.AsyncClient(
        base_url=ground.stack.api_url,
        headers=await operators_headers(ground),
        timeout=120,
        limits=CONNECTIONS,
        trust_env=False,
    ) as operator:
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            "GET of a finished job": lambda: get(CREATING.status_path.format(job=finished)),
            "list, newest first": lambda: get("/api/jobs?limit=50"),
            "list of the active": lambda: get("/api/jobs?status=active"),
            "gallery": lambda: get("/api/videos/user"),
            "statistics of a day": lambda: get("/api/admin/stats?window=24h", operator),
            "reconciliation: what has been quiet": reconcile,
        }
        generations = [await reelay.generate_timed() for _ in range(REPEATS // 2)]
        for label, step in (("POST", Step.CREATE), ("webhook until acknowledged", Step.WEBHOOK)):
            yield label, median(each[step] for each in generations)
        for label, call in calls.items():
            yield label, await _median_seconds(call)
    await engine.dispose()


async def _median_seconds(call: Callable[[], Awaitable[None]]) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - begun)
        await asyncio.sleep(0)
    return median(taken)


def superuser(ground: Ground) -> str:
    parts = urlsplit(ground.stack.database_admin_url)
    password = keep_secrets(ground.data_dir.secrets_file).superuser_password
    return urlunsplit(parts._replace(netloc=f"postgres:{password}@{parts.hostname}:{parts.port}"))
