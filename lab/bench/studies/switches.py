"""What a generation costs with slots, outgoing webhooks or encryption switched on, beside one without."""

import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from statistics import median

from lab.bench.contenders.reelay import open_beside, open_reelay
from lab.bench.measuring import measure
from lab.bench.over_http import OverHttp
from lab.bench.results import Row
from lab.bench.studies.receivers import open_endpoints, open_receivers
from lab.bench.studies.service import Service

AT_ONCE = 16
ROUNDS = 3
NEVER_REACHED = 10_000
COSTS = ("api", "worker", "temporal", "postgres")
USER = "told of jobs"


async def switch_rows(service: Service, generations: int) -> AsyncIterator[Row]:
    """So many generations at a time."""
    yield await _row(service, "slots", generations, service.reelay, lambda: service.limited_to(NEVER_REACHED))
    async with (
        open_receivers() as receivers,
        open_reelay(service.ground, user=USER) as reelay,
        open_endpoints(service, receivers, [USER]),
    ):

        async def end_of(job: str) -> None:
            await reelay.end_of(job)
            await receivers.completed[job].wait()

        yield await _row(service, "webhooks out", generations, replace(reelay, end_of=end_of))
    keys = f"bench:{base64.b64encode(os.urandom(32)).decode()}"
    async with open_beside(service.ground, "encrypted", environment={"PAYLOAD_KEYS": keys}) as reelay:
        yield await _row(service, "encryption", generations, reelay)


async def _row(
    service: Service,
    switch: str,
    generations: int,
    on: OverHttp,
    switched_on: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Row:
    """Off and on in turn. The medians."""
    costs: dict[str, list[float]] = {"on": [], "off": []}
    for _ in range(ROUNDS):
        for name, contender, switched in (("off", service.reelay, nullcontext), ("on", on, switched_on)):
            async with switched():
                cost = await measure(contender, service.ground, count=generations, concurrency=AT_ONCE)
            costs[name].append(cost.cpu_milliseconds(COSTS))
            service.say(f"{switch} {name}: {costs[name][-1]:.1f} ms")
    values = {name: median(each) for name, each in costs.items()}
    return Row(f"CPU milliseconds per generation, {AT_ONCE} at once, with a switch on and off", switch, values)
