"""The workers of the skeleton and of the floor, with the settings of Reelay's.

The processes behind `python -m lab.bench.contenders.temporal_worker skeleton` and `floor`, which connect by
`TEMPORAL_*`.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from lab.bench.contenders import floor_workflow, skeleton_workflow
from lab.bench.job import Place, open_rows, open_steps


async def connect() -> Client:
    return await Client.connect(**ClientConfig.load_client_connect_config(), data_converter=pydantic_data_converter)


async def work(task_queue: str, workflow: type, activities: Sequence[Callable[..., Any]]) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Worker(
        await connect(),
        task_queue=task_queue,
        workflows=[workflow],
        activities=activities,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        max_concurrent_activities=200,
    ):
        await stop.wait()


async def skeleton() -> None:
    await work(skeleton_workflow.TASK_QUEUE, skeleton_workflow.SkeletonWorkflow, [skeleton_workflow.nothing])


async def floor() -> None:
    place = Place.from_command_line()
    async with open_steps(place) as steps, open_rows(place, floor_workflow.TABLE) as rows:
        does = floor_workflow.FloorActivities(steps, rows)
        await work(
            floor_workflow.TASK_QUEUE,
            floor_workflow.FloorWorkflow,
            [does.submit, does.fetch, does.archive, does.update],
        )


if __name__ == "__main__":
    asyncio.run({"skeleton": skeleton, "floor": floor}[sys.argv[1]]())
