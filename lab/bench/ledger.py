"""What the audit of the ledger and the gauges cost Postgres: `python -m lab.bench.ledger`. It needs two minutes."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import asyncpg
import psutil
import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from lab.devstack.ports import free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import running
from reelay.cli.secrets import Secrets
from reelay.db.credits import ledger_drift
from reelay.db.engine import make_engine, make_sessions
from reelay.db.ledger_audit import audit_ledger
from reelay.db.migrate import migrate
from reelay.db.statistics import read_current_state

USERS, LIVING = 10_000, 1_000
REPEATS = 20
NEW_ENTRIES, OF_ACCOUNTS = 7_000, 2_000
"""Those of five minutes, at a million jobs a day."""
USER = f"md5((number % {USERS} + 1)::text)::uuid"
BOOKED = """
update credit_accounts set available_cents = booked.available, held_cents = booked.held from (
    select user_id, sum(available_cents) as available, sum(held_cents) as held from credit_entries group by user_id
) as booked where booked.user_id = credit_accounts.user_id
"""
FILL = (
    f"insert into users (id, name) select md5(number::text)::uuid, number from generate_series(1, {USERS}) as number",
    "insert into credit_accounts (user_id) select id from users",
    f"""
    insert into generation_jobs
        (id, user_id, job_type, origin, status, stage, estimated_cost_cents, charged_cents, created_at, completed_at)
    select md5('job ' || number)::uuid, {USER}, 'video', 'reelay',
        case when number <= {LIVING} then 'in_progress' else 'completed' end,
        case when number <= {LIVING} then 'generating' else 'done' end,
        50, case when number <= {LIVING} then 0 else 40 end,
        now() - interval '1 day', case when number > {LIVING} then now() - interval '1 day' end
    from generate_series(1, {{jobs}}) as number
    """,
    f"""
    insert into credit_entries (user_id, phase, available_cents, funding_cents, at)
    select {USER}, 'top_up', 100000, -100000, now() - interval '2 days' from generate_series(1, {USERS}) as number
    """,
    f"""
    insert into credit_entries (user_id, job_id, phase, available_cents, held_cents, charged_cents, at)
    select {USER}, md5('job ' || number)::uuid, phase, available, held, charged, now() - interval '1 day'
    from generate_series(1, {{jobs}}) as number
    cross join (values ('hold', -50, 50, 0), ('settle', 10, -50, 40)) as moved (phase, available, held, charged)
    where phase = 'hold' or number > {LIVING}
    """,
    BOOKED,
)
MORE = (
    f"""
    insert into credit_entries (user_id, phase, available_cents, funding_cents, at)
    select md5((number % {OF_ACCOUNTS} + 1)::text)::uuid, 'top_up', 1, -1, now() - interval '10 minutes'
    from generate_series(1, {NEW_ENTRIES}) as number
    """,
    BOOKED,
)


async def measure(entries: int) -> None:
    with TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        server = EmbeddedPostgres(folder=Path(folder) / "postgres", port=port, secrets=Secrets())
        async with running(server.program(Path(folder) / "postgres.log")):
            await migrate(server.admin_url, server.app_url, server.service_url)
            superuser = server.superuser_url.rsplit("/", 1)[0] + "/" + server.admin_url.rsplit("/", 1)[1]
            database = await asyncpg.connect(superuser, command_timeout=900)
            await database.execute("set session_replication_role = replica")  # no triggers, no foreign keys
            for statement in FILL:
                await database.execute(statement.format(jobs=entries // 2))
            await database.execute("vacuum analyze")
            await time_all(server.service_url, database)
            await database.close()


async def time_all(service_url: str, database: asyncpg.Connection) -> None:
    engine = make_engine(service_url, pool_size=1, statement_seconds=900)
    sessions = make_sessions(engine)

    async def report(what: str, work: Callable[[AsyncSession], Awaitable[object]], *, repeats: int = REPEATS) -> None:
        taken = []
        async with sessions() as session:
            backend = psutil.Process(await session.scalar(text("select pg_backend_pid()")))
        cpu = cpu_seconds(backend)
        for _ in range(repeats):
            begun = time.perf_counter()
            async with sessions.begin() as session:
                await work(session)
            taken.append(1000 * (time.perf_counter() - begun))
        cpu = 1000 * (cpu_seconds(backend) - cpu) / repeats
        typer.echo(
            f"{what}: median {median(taken):.0f} ms, least {min(taken):.0f} ms, {cpu:.0f} ms of CPU, of {repeats}"
        )

    typer.echo(f"{await database.fetchval('select count(*) from credit_entries'):,} entries of {USERS:,} accounts")
    await report("every entry added up", ledger_drift, repeats=5)
    await report("the first audit", audit_ledger, repeats=1)
    await database.execute("vacuum analyze ledger_checkpoints")
    await report("an audit with nothing new", audit_ledger)
    for statement in MORE:
        await database.execute(statement)
    await report(f"an audit with {NEW_ENTRIES:,} new entries of {OF_ACCOUNTS:,} accounts", audit_ledger, repeats=1)
    await report("the gauges", read_current_state)
    await engine.dispose()


def cpu_seconds(backend: psutil.Process) -> float:
    """What a busy machine does not lengthen."""
    times = backend.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=2_000_000)
    asyncio.run(measure(parser.parse_args().entries))
