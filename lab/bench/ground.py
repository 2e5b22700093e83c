"""What all contenders stand on: one Temporal server, one Postgres, one provider."""

import os
import platform
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import asyncpg
import psutil
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from lab.bench.contenders import restate_server
from lab.devstack.ports import HOST
from lab.devstack.processes import Answers, Program, running
from lab.devstack.temporal import answers_ok
from reelay.cli.data_dir import DataDir, RunningStack
from reelay.payload_keys import PayloadKeys
from workflows.converter import data_converter_with


@dataclass(frozen=True, kw_only=True)
class Ground:
    data_dir: DataDir
    provider_url: str
    processes: Mapping[str, int]
    """Those that serve every contender, name to pid."""

    @property
    def stack(self) -> RunningStack:
        """As it runs now: a part that was killed has come back as another process."""
        return self.data_dir.find_stack()

    async def connect(self, namespace: str = "default", *, keys: PayloadKeys | None = None) -> Client:
        """`keys`: by which Reelay has encrypted what it reads there."""
        return await Client.connect(
            self.stack.temporal_address, namespace=namespace, data_converter=data_converter_with(keys)
        )

    async def connect_to_new(self, namespace: str) -> Client:
        """A namespace of its own per contender: none finds the others' runs in its way."""
        temporal = await self.connect(namespace)
        retention = Duration(seconds=int(timedelta(days=1).total_seconds()))
        await temporal.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
        )
        return temporal

    async def machine(self) -> dict[str, str]:
        """Where and with what it is measured."""
        temporal = await self.connect()
        server = await temporal.workflow_service.get_system_info(GetSystemInfoRequest())
        database = await asyncpg.connect(self.stack.database_admin_url)
        try:
            postgres = await database.fetchval("show server_version")
        finally:
            await database.close()
        memory = psutil.virtual_memory().total / 1024**3
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}",
            "load before": f"{os.getloadavg()[0]:.1f}",
            "Python": platform.python_version(),
            "temporalio": version("temporalio"),
            "Temporal server": server.server_version,
            "Postgres": str(postgres),
            "DBOS": version("dbos"),
            "Restate": restate_server.versions(),
        }


def plain_environment() -> dict[str, str]:
    """Nothing of the user's own: keys, buckets and proxies have no place in a measurement."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}


def part(data_dir: DataDir, module: str, *arguments: str, environment: Mapping[str, str], answers: Answers) -> Program:
    """One of the bench's own modules as its own process."""
    name = "-".join([module.rpartition(".")[2], *(each for each in arguments[:1] if each.isidentifier())])
    return Program(
        name=name,
        command=(sys.executable, "-P", "-m", f"lab.bench.{module}", *arguments),
        environment={**plain_environment(), **environment},
        log_file=data_dir.log_file(name),
        answers=answers,
        start_timeout=timedelta(minutes=2),  # on a busy machine the provider's video takes one
    )


@asynccontextmanager
async def process(program: Program) -> AsyncIterator[int]:
    """Its pid, while it runs."""
    async with running(program) as child:
        assert child.pid is not None
        yield child.pid


def serves(url: str) -> Answers:
    async def answers(pid: int, /) -> bool:
        return await answers_ok(url)

    return answers


def polls(temporal: Client, task_queue: str) -> Answers:
    """Whether a worker listens on the queue."""
    request = DescribeTaskQueueRequest(
        namespace=temporal.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )

    async def answers(pid: int, /) -> bool:
        try:
            described = await temporal.workflow_service.describe_task_queue(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # the server has not noticed the new namespace yet
                raise
            return False
        return bool(described.pollers)

    return answers


def origin_of(port: int) -> str:
    return f"http://{HOST}:{port}"
