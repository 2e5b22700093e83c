"""The command line, as its own process."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT

REELAY = (sys.executable, "-P", "-m", "reelay.cli.main")
ENVIRONMENT = {"PATH": os.environ["PATH"], "POLL_INTERVAL_SECONDS": "0.5"}


async def reelay(*words: str, environment: dict[str, str] = ENVIRONMENT) -> tuple[int | None, str]:
    """Exit code and all output."""
    process = await asyncio.create_subprocess_exec(*REELAY, *words, env=environment, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    return process.returncode, output.decode()
