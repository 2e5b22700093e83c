"""Outgoing webhooks to many receivers at once, of which some are dead: how long the others wait."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from lab.bench.comparison import SHARES
from lab.bench.load import until
from lab.bench.processes import cpu_seconds
from lab.bench.results import Row
from lab.bench.studies.receivers import open_endpoints, open_receivers
from lab.bench.studies.service import Service
from lab.bench.studies.stored import empty, fill

ENDPOINTS = 100
DEAD = 10
PROCESSES = ("worker", "temporal", "postgres")
TELL = """
    select write_outgoing_event(job.user_id, 'job.completed', job => job.id)
    from generation_jobs as job join webhook_endpoints as endpoint using (user_id) where endpoint.id = $1
"""
DELIVERED = "select not exists (select from outgoing_deliveries where endpoint_id = any ($1) and state = 'pending')"
WAITED = """
    select count(*), extract(epoch from max(ended_at) - min(created_at))::float8 as seconds,
        percentile_disc($3::float8[]) within group (
            order by extract(epoch from ended_at - created_at)::float8
        ) as waited
    from outgoing_deliveries where endpoint_id = any ($1) and created_at >= $2
"""


async def outgoing_rows(service: Service, events: int) -> AsyncIterator[Row]:
    """The same receivers are told the same with and without dead ones beside them. Each row comes again."""
    section = f"{events:,} events of {ENDPOINTS} endpoints at once"
    figures: dict[str, dict[str, float]] = {}
    users = [f"told {number}" for number in range(ENDPOINTS)]
    async with open_receivers() as receivers, open_endpoints(service, receivers, users) as endpoints:
        await empty(service)
        await fill(service, await service.reelay.generate(), events + 1, owners=["told %"])
        receivers.dead = {f"/{number}" for number in range(DEAD)}
        live = endpoints[DEAD:]
        for column, told in (("all answer", live), (f"{DEAD} are dead", endpoints)):
            for label, figure in (await _tell(service, told, live)).items():
                figures.setdefault(label, {})[column] = figure
                yield Row(section, label, figures[label])
            service.say(f"{column}: {figures['deliveries per second'][column]:.1f} deliveries per second")


async def _tell(service: Service, told: Sequence[UUID], live: Sequence[UUID]) -> dict[str, float]:
    """All events at once. What it came to for the living, by label."""
    database, processes = service.database, service.pids(*PROCESSES)
    before, begun = cpu_seconds(processes), await database.fetchval("select now()")
    for endpoint in told:
        await database.execute(TELL, endpoint)
    await until(lambda: database.fetchval(DELIVERED, live))
    after = cpu_seconds(processes)
    found = await database.fetchrow(WAITED, live, begun, list(SHARES.values()))
    return {
        **{f"event until delivered, {name}, s": waited for name, waited in zip(SHARES, found["waited"], strict=True)},
        "deliveries per second": found["count"] / found["seconds"],
        **{f"CPU ms per delivery, {name}": 1000 * (after[name] - before[name]) / found["count"] for name in processes},
    }
