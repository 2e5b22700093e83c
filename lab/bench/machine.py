"""Where and with what it was measured: figures without it say nothing."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

import asyncpg
import psutil
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from lab.bench.ground import Ground


async def machine(ground: Ground) -> Mapping[str, str]:
    temporal = await ground.connect("default")
    server = await temporal.workflow_service.get_system_info(GetSystemInfoRequest())
    database = await asyncpg.connect(ground.stack.database_admin_url)
    try:
        postgres = await database.fetchval("show server_version")
    finally:
        await database.close()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1024**3:.0f} GiB, "
        f"{platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "temporalio": version("temporalio"),
        "Temporal server": server.server_version,
        "Postgres": str(postgres),
    }
