"""Once a day the catalogue is compared with what fal publishes: a drift is a metric and a line of the log."""

import asyncio
import random
from contextlib import AbstractAsyncContextManager

import structlog
from temporalio.common import MetricGauge, MetricMeter

from reelay.background import Succeeded, TaskSupervisor
from reelay.catalog.catalog import Catalog
from reelay.drift import find_drift
from reelay.providers.errors import ProviderError
from reelay.providers.fal_platform import FalPlatform

DRIFTED_MODELS = "reelay_catalog_drifted_models"
EVERY_SECONDS = 24 * 3600.0
FIRST_AFTER_SECONDS = (600.0, 3600.0)
"""Spread: a deploy starts many processes at once, and a process that is started again and again asks nothing."""

log = structlog.get_logger()


def watching_catalog(
    tasks: TaskSupervisor, meter: MetricMeter, catalog: Catalog, platform: FalPlatform | None
) -> AbstractAsyncContextManager[None]:
    drifted = meter.create_gauge(DRIFTED_MODELS, "Models of the catalogue that differ from what fal publishes.")

    async def watch(succeeded: Succeeded) -> None:
        await asyncio.sleep(random.uniform(*FIRST_AFTER_SECONDS))
        while True:
            if platform:
                await check_catalog(drifted, catalog, platform)
            succeeded()
            await asyncio.sleep(EVERY_SECONDS)

    return tasks.running("catalog_drift", watch)


async def check_catalog(gauge: MetricGauge, catalog: Catalog, platform: FalPlatform) -> None:
    """While fal is away, what was found last stays."""
    try:
        drifted = await find_drift(platform, catalog.models)
    except ProviderError as error:
        log.warning("catalog_not_checked", error=str(error))
        return
    gauge.set(len(drifted))
    for endpoint, found in drifted.items():
        log.warning("catalog_drift_found", endpoint=endpoint, found="; ".join(found))
