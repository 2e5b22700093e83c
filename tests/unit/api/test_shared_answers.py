"""One question for all who ask at once."""

import asyncio
import gc
from typing import Any

from api.shared_answers import SharedAnswers


async def test_a_failure_that_nobody_waits_for_is_not_complained_of() -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
    fails, asked = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        asked.set()
        await fails.wait()
        raise ConnectionError

    try:
        shared = SharedAnswers[str, None](fresh_seconds=60)
        reader = asyncio.create_task(shared.of("job", ask))
        await asked.wait()
        reader.cancel()
        await asyncio.wait([reader])
        fails.set()
        for _ in range(3):  # turns of the loop: it wakes up, it fails, its callbacks run
            await asyncio.sleep(0)
        del shared, reader
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert complaints == []
