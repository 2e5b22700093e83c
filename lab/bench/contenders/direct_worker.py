"""The worker of the floor, set like Reelay's. The process behind `python -m lab.bench.contenders.direct_worker`."""

import asyncio
import signal
from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from lab.bench.contenders.direct_workflow import TABLE, TASK_QUEUE, DirectActivities, DirectWorkflow
from lab.bench.job import Place, open_rows, open_steps


async def main(place: Place) -> None:
    """Work until SIGTERM. Connects by `TEMPORAL_*`."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = ClientConfig.load_client_connect_config()
    client = await Client.connect(**config, data_converter=pydantic_data_converter)
    async with open_steps(place) as steps, open_rows(place, TABLE) as rows:
        activities = DirectActivities(steps, rows)
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[DirectWorkflow],
            activities=[activities.submit, activities.fetch, activities.archive, activities.update],
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            max_concurrent_activities=200,
        ):
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(Place.from_command_line()))
