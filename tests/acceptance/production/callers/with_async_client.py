"""The same as `with_sync_client.py`, by asyncio."""

import asyncio
import json
import sys
from typing import Any

from reelay_client import AsyncReelay, GenerationFailed, Refused


async def outcome(reelay: AsyncReelay, prompt: str, *, cancel: bool = False) -> list[Any]:
    created = await reelay.create("video", prompt=prompt)
    if cancel:
        await reelay.cancel(created.job_id)
    try:
        job = await reelay.wait(created.job_id)
    except GenerationFailed as error:
        return [type(error).__name__, error.code, error.job.status, str(error)]
    return [job.status, [file.format for file in job.files]]


async def refusal(reelay: AsyncReelay) -> list[Any]:
    try:
        await reelay.create("video", prompt="")
    except Refused as error:
        return [error.status, error.code, [each["field"] for each in error.errors]]
    return []


async def main() -> None:
    async with AsyncReelay(*sys.argv[1:]) as reelay:
        outcomes = [
            await outcome(reelay, "a lighthouse"),
            await outcome(reelay, "it fails [sim: fail=422]"),
            await outcome(reelay, "it lasts [sim: latency=60s]", cancel=True),
            await refusal(reelay),
        ]
    sys.stdout.write(json.dumps(outcomes))


asyncio.run(main())
