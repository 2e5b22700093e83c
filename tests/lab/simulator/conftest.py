from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from lab.simulator.settings import SimulatorSettings
from tests.eventually import PATIENCE
from tests.lab.simulator.servers import KEY, Receiver, RunningSimulator, receiving, running


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> SimulatorSettings:
    return SimulatorSettings(
        media_dir=tmp_path_factory.mktemp("samples"),
        latency=timedelta(seconds=0.05),
        submit_timeout=timedelta(seconds=0.5),
        webhook_compression=500,
    )


@pytest.fixture(scope="session")
async def one_for_all(settings: SimulatorSettings) -> AsyncIterator[RunningSimulator]:
    async with running(settings) as simulator:
        yield simulator


@pytest.fixture
async def simulator(one_for_all: RunningSimulator) -> AsyncIterator[RunningSimulator]:
    """Empty, and talked to over connections of its own."""
    async with httpx.AsyncClient(base_url=one_for_all.url, headers=KEY, timeout=PATIENCE) as http:
        assert (await http.post("/__sim/reset")).status_code == 204
        yield replace(one_for_all, http=http)


@pytest.fixture(scope="session")
async def receiver_for_all() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(receiver_for_all: Receiver, simulator: RunningSimulator) -> Receiver:
    """One that has heard nothing yet; the simulator was emptied before."""
    receiver_for_all.received.clear()
    receiver_for_all.answers.clear()
    return receiver_for_all
