"""What the deletion of old generations costs those who create new ones meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from statistics import median
from uuid import UUID

from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.final_pushes import StoredFinalPushes
from activities.housekeeping import HousekeepingActivities
from lab.bench.contender import Step
from lab.bench.contenders.reelay import open_reelay
from lab.bench.ground import Ground
from lab.bench.load import drive
from lab.bench.over_http import OverHttp
from lab.bench.rows import Row
from lab.bench.studies.stored import empty, fill
from reelay.db.engine import make_engine, make_sessions
from reelay.media.storage import open_storage
from reelay.providers.registry import open_providers
from reelay.settings import Environment, Settings

AT_ONCE = 16
GENERATIONS = 96
LASTING = timedelta(minutes=10)
SECTION = f"milliseconds of POST, {AT_ONCE} generations at once"


class NoRuns:
    async def stop(self, generation_id: UUID) -> None:
        """No user is deleted here."""


async def pruning_rows(ground: Ground, *, count: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """POST's median with that many old generations stored, and while they are deleted."""
    async with open_reelay(ground) as reelay:
        assert isinstance(reelay, OverHttp)
        await empty(ground)
        await fill(ground, await reelay.generate(), count)
        quiet = await post_milliseconds(reelay)
        yield Row(section=SECTION, label="median", values={"quiet": quiet})
        begun, measured = time.monotonic(), []
        pruning = asyncio.create_task(prune(ground))
        while not pruning.done():
            measured.append(await post_milliseconds(reelay))
        say(f"{await pruning:,} generations deleted in {time.monotonic() - begun:.0f} s")
        # The last measurement ends after the deletion, which is over in the middle of it.
        beside = median(measured[:-1] or measured)
        values = {"quiet": quiet, f"{count:,} being deleted": beside, "ratio": beside / quiet}
        yield Row(section=SECTION, label="median", values=values)


async def post_milliseconds(reelay: OverHttp) -> float:
    driven = await drive(reelay.generate_timed, count=GENERATIONS, concurrency=AT_ONCE)
    return 1000 * median(each[Step.CREATE] for each in driven.outcomes)


async def prune(ground: Ground) -> int:
    """As a worker does it. How many generations went."""
    settings = Settings(
        environment=Environment.DEVELOPMENT,
        data_dir=ground.data_dir.path,
        database_service_url=SecretStr(ground.stack.database_service_url),
        retention_days_jobs=1,
        fal_key=SecretStr("of no use: without an admin key fal is not asked to delete"),
        _env_file=None,
    )
    engine = make_engine(settings.service_url, pool_size=2)
    sessions = make_sessions(engine)
    storage = open_storage(settings.archive_location, scratch=settings.data_dir / "scratch")
    try:
        async with open_providers(settings, StoredFinalPushes(sessions)) as providers:
            housekeeping = HousekeepingActivities(settings, sessions, providers, storage, NoRuns())
            pruned = await ActivityEnvironment().run(housekeeping.prune, LASTING)
    finally:
        await engine.dispose()
    return int(pruned.jobs)
