"""A run from nothing to its report: a stack of its own, the plan, the evidence."""

import os
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx

from lab.chaos.driver import Driver, Show
from lab.chaos.evidence import Evidence, gather
from lab.chaos.plan import Plan
from lab.chaos.receiver import SCHEDULE, receiving
from lab.devstack.ports import HOST, free_ports
from lab.devstack.stack import Ports, Stack
from reelay.cli.access import local_key
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError

UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None)


class Interrupted(StackError):
    """There is no verdict."""


async def run_chaos(folder: Path, plan: Plan, show: Show) -> Evidence:
    """Raises: StackError."""
    found = list[Evidence]()

    async def work(data_dir: DataDir) -> None:
        found.append(await carry_out(plan, data_dir, show))

    await run_stack(folder, plan.times.environment(), work)
    if not found:
        raise Interrupted("stopped before the end")
    return found[0]


async def run_stack(
    folder: Path, environment: Mapping[str, str], work: Callable[[DataDir], Coroutine[Any, Any, None]]
) -> None:
    """Everything is started in the folder, on loopback, and stopped again after the work. Raises: StackError."""
    api, temporal, ui, simulator, postgres = free_ports(5)
    ports = Ports(api=api, temporal=temporal, ui=ui, simulator=simulator, postgres=postgres)
    data_dir = DataDir(folder)
    with data_dir.held(), (folder / "supervisor.log").open("w") as log:
        overrides = {
            **environment,
            "ARCHIVE_URL": data_dir.archive.as_uri(),
            "APP_URL": f"http://{HOST}:{api}",
            "OUTGOING_WEBHOOK_SCHEDULE_SECONDS": SCHEDULE,
            "WEBHOOK_SECRET": token_urlsafe(32),  # without one, a forged push would be taken
        }
        stack = Stack(
            data_dir, ports, user=plain_environment(), overrides=overrides, say=partial(print, file=log, flush=True)
        )
        await stack.run(partial(work, data_dir))


async def carry_out(plan: Plan, data_dir: DataDir, show: Show) -> Evidence:
    stack = data_dir.find_stack()
    headers = {"authorization": f"Bearer {await local_key(data_dir)}"}
    async with (
        httpx.AsyncClient(
            base_url=stack.api_url, headers=headers, timeout=10, limits=UNLIMITED, trust_env=False
        ) as api,
        receiving(plan.seed) as receiver,
    ):
        receiver.secret = (await api.get("/api/webhook-endpoints/signing-secret")).json()["secret"]
        driver = Driver(plan, data_dir, api, receiver, show)
        await driver.run()
        show("counting")
        return await gather(plan, driver.notes, stack, data_dir.archive, receiver)


def plain_environment() -> dict[str, str]:
    """Nothing of the user's own: no key, bucket or proxy of theirs comes near this."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}
