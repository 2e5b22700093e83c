"""The skeleton's worker, with the settings of Reelay's: `python -m lab.bench.contenders.skeleton_worker`."""

import asyncio
import signal
from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from lab.bench.contenders.skeleton_workflow import TASK_QUEUE, SkeletonWorkflow, nothing


async def main() -> None:
    """Work until SIGTERM. Connects by `TEMPORAL_*`."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = ClientConfig.load_client_connect_config()
    client = await Client.connect(**config, data_converter=pydantic_data_converter)
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[SkeletonWorkflow],
        activities=[nothing],
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        max_concurrent_activities=200,
    ):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
