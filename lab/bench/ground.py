"""What all contenders stand on: one Temporal server, one Postgres, one provider."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from lab.devstack.processes import Answers, Program
from reelay.cli.data_dir import DataDir, RunningStack

OWN_PROCESSES = ("provider", "driver")
"""Those that only the measuring needs."""
SHARED_PROCESSES = ("temporal", "postgres")
"""Those that serve whoever needs them."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    data_dir: DataDir
    stack: RunningStack
    """Reelay's API and worker are part of it."""
    provider_url: str
    processes: Mapping[str, int]
    """Those that serve every contender, name to pid."""

    async def connect(self, namespace: str) -> Client:
        return await Client.connect(
            self.stack.temporal_address, namespace=namespace, data_converter=pydantic_data_converter
        )


def plain_environment() -> dict[str, str]:
    """Nothing of the user's own: keys, buckets and proxies have no place in a measurement."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}


def part(data_dir: DataDir, module: str, *arguments: str, environment: Mapping[str, str], answers: Answers) -> Program:
    """One of the bench's own modules as its own process."""
    name = module.rpartition(".")[2]
    return Program(
        name=name,
        command=(sys.executable, "-P", "-m", f"lab.bench.{module}", *arguments),
        environment={**plain_environment(), **environment},
        log_file=data_dir.log_file(name),
        answers=answers,
        start_timeout=timedelta(minutes=2),  # on a busy machine the provider's video takes one
    )
