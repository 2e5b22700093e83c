"""`reelay dev` and `reelay demo`."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rich.console import Console

from lab.devstack.clip_demo import ClipDemo
from lab.devstack.demo import Demo
from lab.devstack.environment import require_development, worker_health_port
from lab.devstack.ports import HOST, free_ports
from lab.devstack.stack import Ports, Stack
from reelay.cli.access import local_key
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import DemoFailed
from reelay.cli.progress_bar import say
from reelay_client import AsyncReelay


async def run_dev(data_dir: DataDir, ports: Ports, announce: Callable[[str], None]) -> None:
    """The stack, until it is stopped. Raises: StackError."""
    user = user_environment()
    require_development(user)
    if port := worker_health_port(user):
        ports = replace(ports, worker_metrics=port)
    with data_dir.held():
        ports.check_free()
        announce(f"starting; data and logs are in {data_dir.path}")
        stack = Stack(data_dir, ports, user=user, overrides={}, say=announce)

        async def stay() -> None:
            # The key is for the eyes of whoever sits there, and for no log.
            key = await local_key(data_dir)
            announce(stack.ready_line(key if sys.stdout.isatty() else None))
            await asyncio.Event().wait()

        await stack.run(stay)


async def run_demo(data_dir: DataDir, console: Console, demo: type[Demo | ClipDemo] = Demo) -> None:
    """One generation, or one clip, through a stack of its own. Raises: DemoFailed or another StackError."""
    api, temporal, ui, simulator, postgres = free_ports(5)
    ports = Ports(api=api, temporal=temporal, ui=ui, simulator=simulator, postgres=postgres)
    with data_dir.held():
        # Whatever the user's environment says: the demo looks into this archive, and is called back here.
        overrides = {"ARCHIVE_URL": data_dir.archive.as_uri(), "APP_URL": f"http://{HOST}:{api}"}
        stack = Stack(data_dir, ports, user=user_environment(), overrides=overrides, say=partial(say, console))
        done = asyncio.Event()

        async def show() -> None:
            say(console, stack.ready_line())
            async with AsyncReelay(stack.api_url, await local_key(data_dir)) as client:
                await demo(
                    client=client,
                    console=console,
                    archive=data_dir.archive,
                    simulator_url=f"http://{HOST}:{simulator}",
                    temporal_ui_url=stack.temporal.ui_url,
                ).run()
            done.set()

        say(console, "starting Postgres, Temporal, the simulator, the worker and the API")
        await stack.run(show)
        if not done.is_set():
            raise DemoFailed("interrupted")
