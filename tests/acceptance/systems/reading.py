"""What these tests wait for, as any client would."""

import asyncio
from typing import Any

import httpx

from tests.running import PATIENCE_WITH_TESTS


async def until(client: httpx.AsyncClient, address: str, *wanted: str) -> dict[str, Any]:
    """The job at the address, once its status or stage is one of those."""
    async with asyncio.timeout(PATIENCE_WITH_TESTS):
        while not {(job := (await client.get(address)).json())["status"], job["stage"]} & set(wanted):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    found: dict[str, Any] = job
    return found
